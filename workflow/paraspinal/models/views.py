"""Several looks at one image: mirrored, larger, smaller; their mean outlines better, their quarrel says how sure.

The first look sees the whole body. The others see only the region where it found muscle, so that all of
them together cost about as much as looking twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.models.normalise import PIXEL_MM
from paraspinal.models.preprocess import STRIDE, Array, SliceGrid

Window = tuple[slice, slice]
"""Rows and columns of a canvas."""

REGION_MARGIN_MM = 32.0
"""Room around the muscles that the other looks see: the bones and fat that tell one muscle from another."""


@dataclass(frozen=True)
class View:
    """One look: the pixel size it is taken at (the network believes in ``PIXEL_MM``), mirrored or not."""

    pixel_mm: float = PIXEL_MM
    is_mirrored: bool = False


FIRST_VIEW = View()
FURTHER_VIEWS = (View(is_mirrored=True), View(1.8), View(1.8, is_mirrored=True))


def muscle_region(probabilities: Array, pixel_mm: float = PIXEL_MM) -> Window | None:
    """Rows and columns of the muscles in any slice of (N, L, H, W), with a margin; None where there are none."""
    found = (probabilities.argmax(axis=1) > 0).any(axis=0)
    if not found.any():
        return None
    margin = int(np.ceil(REGION_MARGIN_MM / pixel_mm))
    window = []
    for axis in (0, 1):
        used = np.flatnonzero(found.any(axis=1 - axis))
        window.append(slice(max(0, int(used[0]) - margin), min(found.shape[axis], int(used[-1]) + 1 + margin)))
    return window[0], window[1]


def same_region(region: Window, grid: SliceGrid, other: SliceGrid) -> Window:
    """Find the rows and columns of ``other``'s canvas that hold a region of ``grid``'s; lengths divisible by STRIDE."""
    window = []
    for axis in (0, 1):
        ends = grid.canvas_axis_mm(axis)[[region[axis].start, region[axis].stop - 1]]
        first, last = np.interp(ends, other.canvas_axis_mm(axis), np.arange(other.canvas[axis]))
        size = other.canvas[axis]
        length = min(size, -(-(int(np.ceil(last)) - int(first) + 1) // STRIDE) * STRIDE)
        start = int(np.clip((int(first) + int(np.ceil(last)) + 1 - length) // 2, 0, size - length))
        window.append(slice(start, start + length))
    return window[0], window[1]


def onto(fields: Array, window: Window, other: SliceGrid, region: Window, grid: SliceGrid) -> Array:
    """Interpolate fields (..., H, W) in a window of ``other``'s canvas onto a region of ``grid``'s."""
    matrices = [
        interpolation_matrix(other.canvas_axis_mm(axis)[window[axis]], grid.canvas_axis_mm(axis)[region[axis]])
        for axis in (0, 1)
    ]
    return np.asarray(matrices[0] @ fields @ matrices[1].T, dtype=np.float32)


def interpolation_matrix(from_mm: npt.NDArray[np.float64], to_mm: npt.NDArray[np.float64]) -> Array:
    """Build the matrix that reads values at evenly spaced ``from_mm`` at ``to_mm``; the ends continue outside."""
    step = from_mm[1] - from_mm[0]
    places = np.clip((to_mm - from_mm[0]) / step, 0, len(from_mm) - 1)
    weights = np.maximum(0.0, 1.0 - np.abs(places[:, None] - np.arange(len(from_mm))[None, :]))
    return np.asarray(weights, dtype=np.float32)
