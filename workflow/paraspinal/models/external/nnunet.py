"""Segment with an nnU-Net v2 model, step by step as its own predictor does.

Transpose, crop to what is not zero, normalise, resample, overlapping patches with mirroring where training
allowed it, average of folds, and the logits back to native voxels before anything is decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import torch
from scipy import ndimage
from torch import Tensor

from paraspinal.models.external.external import ForeignModel, fit, result_of
from paraspinal.models.external.nnunet_network import NnUNet, NnUNetSpec
from paraspinal.models.external.nnunet_resampling import resample, target_shape
from paraspinal.models.external.sliding_window import sliding_logits
from paraspinal.models.inference import SegmentationResult
from paraspinal.models.input.volume import require_anatomy

Array = npt.NDArray[np.float32]
MIN_DEVIATION = 1e-8


class NnUNetSegmenter:
    """Segments images of any orientation with the folds of one nnU-Net configuration."""

    def __init__(self, model: ForeignModel) -> None:
        self.model = model
        self._said: dict[str, Any] = model.card.network
        spec = NnUNetSpec.from_json(self._said["architecture"])
        self._folds = [
            fit(NnUNet(spec), fold_tensors(model.tensors, number), model.device)
            for number in range(self._said["n_folds"])
        ]

    def segment(self, image: sitk.Image) -> SegmentationResult:
        """Return labels in exactly the grid of ``image``; an image without contrast or anatomy raises DataError."""
        require_anatomy(image)
        orientation = self._said["orientation"]
        turned = sitk.DICOMOrient(image, orientation) if orientation else image
        volume = sitk.GetArrayFromImage(turned).astype(np.float32)
        logits = self.logits(volume, turned.GetSpacing()[::-1])
        probabilities = torch.from_numpy(logits).softmax(dim=0).numpy()
        result = result_of(turned, probabilities, self.model.card)
        if not orientation:
            return result
        native = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
        label_map = sitk.DICOMOrient(result.label_map, native)
        label_map.CopyInformation(image)  # turning there and back leaves rounding in the origin
        return SegmentationResult(label_map, result.entropy, result.flip_disagreement)

    def logits(self, volume: Array, spacing_mm: Sequence[float]) -> Array:
        """Compute logits (L, z, y, x) of a volume (z, y, x) in its own voxels."""
        said = self._said
        order = said["transpose_forward"]
        turned = volume.transpose(order)
        spacing = [float(spacing_mm[axis]) for axis in order]
        inside = ndimage.binary_fill_holes(turned != 0)
        box = ndimage.find_objects(inside.astype(np.uint8))[0]
        cropped = normalise(turned[box].copy(), inside[box], said["normalization"], said["use_mask_for_norm"])
        target = [*spacing[: 3 - len(said["spacing_mm"])], *said["spacing_mm"]]
        shape = target_shape(cropped.shape, spacing, target)
        ready = resample(cropped[None], shape, spacing, target, said["resample_image"])
        found = np.zeros((said["n_classes"], *shape), dtype=np.float32)
        for fold in self._folds:
            patch = said["patch_size"]
            found += sliding_logits(self._mirrored(fold), ready, patch, said["n_classes"], self.model.device)
        found /= len(self._folds)
        found = resample(found, cropped.shape, target, spacing, said["resample_logits"])
        whole = np.zeros((len(found), *turned.shape), dtype=np.float32)
        whole[0] = 1.0  # outside the crop there is only background
        whole[(slice(None), *box)] = found
        back = [order.index(axis) + 1 for axis in range(3)]
        return np.ascontiguousarray(whole.transpose([0, *back]))

    def _mirrored(self, network: torch.nn.Module) -> Any:
        axes = tuple(self._said["mirror_axes"])
        flips = [flip for count in range(len(axes) + 1) for flip in combinations(axes, count)]

        def predict(patch: Tensor) -> Tensor:
            total = torch.zeros(())
            for flip in flips:
                dims = [axis + 2 for axis in flip]
                total = total.to(patch.device) + network(patch.flip(dims)).flip(dims)
            return total / len(flips)

        return predict


def fold_tensors(tensors: dict[str, Tensor], number: int) -> dict[str, Tensor]:
    """Pick the weights of one fold."""
    prefix = f"fold{number}."
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def normalise(volume: Array, inside: npt.NDArray[np.bool_], scheme: str, use_mask: bool) -> Array:
    """Scale intensities as the plans say; ``inside`` marks what is not zero, with holes filled."""
    if scheme == "NoNormalization":
        return volume
    if scheme == "RescaleTo01Normalization":
        volume -= volume.min()
        return volume / max(float(volume.max()), MIN_DEVIATION)
    where = inside if use_mask else np.ones_like(inside)
    chosen = volume[where]
    volume[where] = (chosen - chosen.mean()) / max(float(chosen.std()), MIN_DEVIATION)
    return volume
