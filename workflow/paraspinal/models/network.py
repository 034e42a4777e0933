"""The one network of the project: a small 2-D U-Net with a class head and an optional heatmap head."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

DEFAULT_CHANNELS = (24, 48, 96, 128, 160)
"""Features per resolution level; 1.7 M parameters, small enough for a laptop's CPU."""

LEAKY_SLOPE = 0.01


@dataclass(frozen=True)
class NetworkSpec:
    """Everything needed to build the network whose weights a file holds."""

    n_inputs: int
    n_classes: int
    n_heatmaps: int = 0
    channels: tuple[int, ...] = DEFAULT_CHANNELS

    @property
    def stride(self) -> int:
        """Image height and width must be multiples of this many pixels."""
        return int(2 ** (len(self.channels) - 1))

    def to_json(self) -> dict[str, Any]:
        """Describe the network in plain JSON types."""
        return {**asdict(self), "channels": list(self.channels)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> NetworkSpec:
        """Read what :meth:`to_json` wrote; unknown keys raise TypeError."""
        return cls(**{**data, "channels": tuple(data["channels"])})


class UNet(nn.Module):
    """U-Net; takes (N, C, H, W) and returns class logits (N, L, H, W) and heatmap logits (N, K, H, W)."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        widths = spec.channels
        self.down = nn.ModuleList(
            _block(spec.n_inputs if i == 0 else widths[i - 1], width, 1 if i == 0 else 2)
            for i, width in enumerate(widths)
        )
        self.up = nn.ModuleList(_block(widths[i] + widths[i - 1], widths[i - 1]) for i in range(len(widths) - 1, 0, -1))
        self.head = nn.Conv2d(widths[0], spec.n_classes + spec.n_heatmaps, kernel_size=1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Run the network; H and W are multiples of ``spec.stride``."""
        features: list[Tensor] = []
        for stage in self.down:
            image = stage(image)
            features.append(image)
        for stage, skip in zip(self.up, reversed(features[:-1]), strict=True):
            image = stage(torch.cat([functional.interpolate(image, scale_factor=2.0), skip], dim=1))
        logits = self.head(image)
        return logits[:, : self.spec.n_classes], logits[:, self.spec.n_classes :]


def _block(n_in: int, n_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
        nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
    )


def build_network(spec: NetworkSpec) -> UNet:
    """Build the network of ``spec`` in the memory layout convolutions like best, with fresh weights."""
    return UNet(spec).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def has_fast_bfloat16() -> bool:
    """Tell whether this processor computes bfloat16 natively (detected, never assumed)."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
