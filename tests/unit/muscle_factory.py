"""Round muscles as distance fields, for tests of the synthesis."""

from __future__ import annotations

import numpy as np

from paraspinal.models.synthesis.augmentation import Geometry
from paraspinal.models.synthesis.muscles.atlas_bank import BANK_PIXEL_MM, MAX_DISTANCE_MM, AtlasBank
from paraspinal.models.synthesis.muscles.task import SAMPLE_SHAPE


def plain_geometry() -> Geometry:
    """Make coordinates without any warp: x to the left, y to the back."""
    rows, columns = (2.0 * (np.arange(n) - (n - 1) / 2) for n in SAMPLE_SHAPE)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    return Geometry(x.astype(np.float32), y.astype(np.float32), is_mirrored=False)


def discs(x_mm: np.ndarray, y_mm: np.ndarray) -> np.ndarray:
    """Place eight round muscles (8, H, W), left ones at positive x."""
    centres = [(12, 0), (-12, 0), (38, 0), (-38, 0), (40, -45), (-40, -45), (70, -25), (-70, -25)]
    return np.stack([np.hypot(x_mm - x, y_mm - y) - 11.0 for x, y in centres]).astype(np.float32)


def with_pairs(muscles_mm: np.ndarray) -> np.ndarray:
    """Add the pairs of both sides (10, H, W); right for muscles that do not touch."""
    return np.concatenate([muscles_mm, np.minimum(muscles_mm[:2], muscles_mm[2:4])])


def small_bank(n_slices: int = 9) -> AtlasBank:
    """Build an atlas of round muscles that grow from slice to slice."""
    axis = np.arange(-90.0, 90.5, BANK_PIXEL_MM)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    fields = [with_pairs(np.clip(discs(x, y) - 0.3 * k, -MAX_DISTANCE_MM, MAX_DISTANCE_MM)) for k in range(n_slices)]
    return AtlasBank(np.stack(fields).astype(np.float32), (axis[0], axis[0]), slice_mm=3.0)


def boxes(x_mm: np.ndarray, y_mm: np.ndarray) -> np.ndarray:
    """Make two muscles of the left side (10, H, W) that touch at x = 9, with everything else far away."""

    def box(first: float, end: float) -> np.ndarray:
        outside = [first - x_mm, x_mm - end, np.abs(y_mm) - 19.0]
        beyond = np.sqrt(sum(np.maximum(d, 0.0) ** 2 for d in outside))
        return np.where(beyond > 0, beyond, np.maximum.reduce(outside))

    fields = np.full((10, *x_mm.shape), MAX_DISTANCE_MM, dtype=np.float32)
    fields[0], fields[2], fields[8] = box(-21.0, 9.0), box(9.0, 59.0), box(-21.0, 59.0)
    return fields
