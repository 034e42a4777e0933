"""The networks of nnU-Net v2, written so that its weights fit by name: PlainConvUNet and ResidualEncoderUNet.

Layouts as in the package dynamic_network_architectures (Apache-2.0), which is not a dependency because it asks
for a vision model zoo that fetches weights from the internet. Equality with it is tested on recorded numbers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

RESIDUAL = "ResidualEncoderUNet"

_CONVOLUTION: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, Any] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_POOLING: dict[int, Any] = {2: nn.AvgPool2d, 3: nn.AvgPool3d}
_NORM: dict[tuple[str, int], Any] = {
    ("InstanceNorm", 2): nn.InstanceNorm2d,
    ("InstanceNorm", 3): nn.InstanceNorm3d,
    ("BatchNorm", 2): nn.BatchNorm2d,
    ("BatchNorm", 3): nn.BatchNorm3d,
}

Axes = tuple[int, ...]


@dataclass(frozen=True)
class NnUNetSpec:
    """Everything that decides the network; per-stage values go from fine to coarse, per-axis ones as the array."""

    architecture: str
    n_dimensions: int
    n_inputs: int
    n_classes: int
    features: tuple[int, ...]
    kernel_sizes: tuple[Axes, ...]
    strides: tuple[Axes, ...]
    n_blocks: tuple[int, ...]  # convolutions (plain) or residual blocks per stage of the encoder
    n_blocks_decoder: tuple[int, ...]
    has_bias: bool = True
    norm: str = "InstanceNorm"
    norm_epsilon: float = 1e-5
    is_norm_affine: bool = True
    negative_slope: float = 0.01  # 0 is a plain ReLU

    def to_json(self) -> dict[str, Any]:
        """Describe the network in plain JSON types."""
        plain: dict[str, Any] = asdict(self)
        return {k: _lists(v) for k, v in plain.items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> NnUNetSpec:
        """Read what :meth:`to_json` wrote; unknown keys raise TypeError."""
        return cls(**{k: _tuples(v) for k, v in data.items()})


def _lists(value: Any) -> Any:
    return [_lists(v) for v in value] if isinstance(value, tuple) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


class NnUNet(nn.Module):
    """Takes (N, C, *spatial) and returns logits (N, L, *spatial); spatial sizes are multiples of the total stride."""

    def __init__(self, spec: NnUNetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = _Encoder(spec)
        self.decoder = _Decoder(spec)

    def forward(self, image: Tensor) -> Tensor:
        """Run the network."""
        logits: Tensor = self.decoder(self.encoder(image))
        return logits


class _Unit(nn.Module):
    """Convolution, norm and, unless ``is_linear``, the nonlinearity."""

    def __init__(
        self, spec: NnUNetSpec, n_in: int, n_out: int, kernel: Axes, stride: Axes, has_bias: bool, is_linear: bool
    ) -> None:
        super().__init__()
        padding = tuple((k - 1) // 2 for k in kernel)
        self.conv = _CONVOLUTION[spec.n_dimensions](n_in, n_out, kernel, stride, padding, bias=has_bias)
        self.norm = _NORM[spec.norm, spec.n_dimensions](n_out, eps=spec.norm_epsilon, affine=spec.is_norm_affine)
        self.slope = None if is_linear else spec.negative_slope

    def forward(self, image: Tensor) -> Tensor:
        image = self.norm(self.conv(image))
        return image if self.slope is None else functional.leaky_relu(image, self.slope)


class _Stack(nn.Module):
    """Units one after the other; only the first one strides."""

    def __init__(self, spec: NnUNetSpec, count: int, n_in: int, n_out: int, kernel: Axes, stride: Axes) -> None:
        super().__init__()
        ones = (1,) * spec.n_dimensions
        self.convs = nn.Sequential(
            *(
                _Unit(spec, n_out if i else n_in, n_out, kernel, ones if i else stride, spec.has_bias, False)
                for i in range(count)
            )
        )

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.convs(image)
        return result


class _ResidualBlock(nn.Module):
    """Two units and a skip, which pools where the block strides and projects where the width changes."""

    def __init__(self, spec: NnUNetSpec, n_in: int, n_out: int, kernel: Axes, stride: Axes) -> None:
        super().__init__()
        ones = (1,) * spec.n_dimensions
        self.conv1 = _Unit(spec, n_in, n_out, kernel, stride, spec.has_bias, False)
        self.conv2 = _Unit(spec, n_out, n_out, kernel, ones, spec.has_bias, True)
        skip: list[nn.Module] = []
        if any(s != 1 for s in stride):
            skip.append(_POOLING[spec.n_dimensions](stride, stride))
        if n_in != n_out:
            skip.append(_Unit(spec, n_in, n_out, ones, ones, False, True))
        self.skip = nn.Sequential(*skip)
        self.slope = spec.negative_slope

    def forward(self, image: Tensor) -> Tensor:
        return functional.leaky_relu(self.conv2(self.conv1(image)) + self.skip(image), self.slope)


class _ResidualStage(nn.Module):
    def __init__(self, spec: NnUNetSpec, count: int, n_in: int, n_out: int, kernel: Axes, stride: Axes) -> None:
        super().__init__()
        ones = (1,) * spec.n_dimensions
        self.blocks = nn.Sequential(
            *(_ResidualBlock(spec, n_out if i else n_in, n_out, kernel, ones if i else stride) for i in range(count))
        )

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.blocks(image)
        return result


class _Encoder(nn.Module):
    def __init__(self, spec: NnUNetSpec) -> None:
        super().__init__()
        ones = (1,) * spec.n_dimensions
        widths = (spec.n_inputs, *spec.features)
        self.stem: nn.Module | None = None
        if spec.architecture == RESIDUAL:
            self.stem = _Stack(spec, 1, spec.n_inputs, spec.features[0], spec.kernel_sizes[0], ones)
            widths = (spec.features[0], *spec.features)
        stages: list[nn.Module] = []
        for i, count in enumerate(spec.n_blocks):
            shape = (count, widths[i], widths[i + 1], spec.kernel_sizes[i], spec.strides[i])
            is_residual = spec.architecture == RESIDUAL
            stages.append(_ResidualStage(spec, *shape) if is_residual else nn.Sequential(_Stack(spec, *shape)))
        self.stages = nn.Sequential(*stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        image = image if self.stem is None else self.stem(image)
        found = []
        for stage in self.stages:
            image = stage(image)
            found.append(image)
        return found


class _Decoder(nn.Module):
    def __init__(self, spec: NnUNetSpec) -> None:
        super().__init__()
        ones = (1,) * spec.n_dimensions
        stages, up, heads = [], [], []
        for i, count in zip(range(len(spec.features) - 2, -1, -1), spec.n_blocks_decoder, strict=True):
            width, stride = spec.features[i], spec.strides[i + 1]
            transposed, convolution = _TRANSPOSED[spec.n_dimensions], _CONVOLUTION[spec.n_dimensions]
            up.append(transposed(spec.features[i + 1], width, stride, stride, bias=spec.has_bias))
            stages.append(_Stack(spec, count, 2 * width, width, spec.kernel_sizes[i], ones))
            heads.append(convolution(width, spec.n_classes, 1))
        self.stages, self.transpconvs, self.seg_layers = (nn.ModuleList(part) for part in (stages, up, heads))

    def forward(self, features: list[Tensor]) -> Tensor:
        image = features[-1]
        for stage, up, skip in zip(self.stages, self.transpconvs, reversed(features[:-1]), strict=True):
            image = stage(torch.cat([up(image), skip], dim=1))
        logits: Tensor = self.seg_layers[-1](image)
        return logits


def own_tensors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop the second names nnU-Net gives the same tensors: a decoder holds the encoder, a unit lists its parts."""
    return {k: v for k, v in state.items() if ".all_modules." not in k and not k.startswith("decoder.encoder.")}
