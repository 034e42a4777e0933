"""Resampling as nnU-Net does it, so that its weights see what they were trained on.

Splines on pixel areas (edges repeated, clipped to the input's range); where slices are much thicker than
pixels, in-plane and across slices separately. Arrays are (C, *spatial).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[np.float32]
Spacing = Sequence[float]

ANISOTROPY = 3.0
"""Spacing counts as anisotropic above this ratio of largest to smallest (nnU-Net's ANISO_THRESHOLD)."""


def target_shape(shape: Sequence[int], spacing: Spacing, target: Spacing) -> tuple[int, ...]:
    """Compute how many voxels an axis has at the target spacing."""
    return tuple(round(mm / new * n) for n, mm, new in zip(shape, spacing, target, strict=True))


def resample(data: Array, shape: Sequence[int], spacing: Spacing, target: Spacing, options: dict[str, Any]) -> Array:
    """Bring (C, *spatial) to ``shape``; ``options`` are order, order_z and force_separate_z of the plans."""
    if tuple(data.shape[1:]) == tuple(shape):
        return data
    axis = _separate_axis(spacing, target, options["force_separate_z"])
    result = np.empty((len(data), *shape), dtype=np.float32)
    for channel, volume in enumerate(data):
        wide = volume.astype(np.float64)
        if axis is None:
            result[channel] = _resize(wide, shape, options["order"])
            continue
        in_plane = list(shape)
        in_plane[axis] = volume.shape[axis]
        slices = np.moveaxis(wide, axis, 0)
        plane = [n for i, n in enumerate(shape) if i != axis]
        resized = np.moveaxis(np.stack([_resize(s, plane, options["order"]) for s in slices]), 0, axis)
        result[channel] = _across(resized, axis, shape[axis], options["order_z"])
    return result


def _separate_axis(spacing: Spacing, target: Spacing, forced: bool | None) -> int | None:
    """Axis to treat on its own: the coarse one of the image, or of the target; None where there is not exactly one."""
    chosen: Spacing | None = spacing if forced else None
    if forced is None:
        chosen = next((mm for mm in (spacing, target) if max(mm) / min(mm) > ANISOTROPY), None)
    if chosen is None:
        return None
    coarse = [i for i, mm in enumerate(chosen) if max(chosen) / mm == 1]
    return coarse[0] if len(coarse) == 1 else None


def _resize(array: npt.NDArray[np.float64], shape: Sequence[int], order: int) -> npt.NDArray[np.float64]:
    if tuple(array.shape) == tuple(shape):
        return array
    factors = [new / old for new, old in zip(shape, array.shape, strict=True)]
    zoomed = ndimage.zoom(array, factors, order=order, mode="nearest", grid_mode=True)
    clipped: npt.NDArray[np.float64] = np.clip(zoomed, array.min(), array.max())
    return clipped


def _across(array: npt.NDArray[np.float64], axis: int, count: int, order: int) -> npt.NDArray[np.float64]:
    if array.shape[axis] == count:
        return array
    positions = array.shape[axis] / count * (np.arange(count) + 0.5) - 0.5
    if order == 0:
        nearest = np.clip(np.floor(positions + 0.5), 0, array.shape[axis] - 1).astype(int)
        found: npt.NDArray[np.float64] = array.take(nearest, axis=axis)
        return found
    factors = [count / n if i == axis else 1.0 for i, n in enumerate(array.shape)]
    found = ndimage.zoom(array, factors, order=order, mode="nearest", grid_mode=True)
    return found
