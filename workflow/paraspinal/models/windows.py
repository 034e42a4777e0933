"""Where to look: the rows and columns of a stack of slices that hold the body, and the muscles in it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.models.agreement import ClassMap
from paraspinal.models.normalise import PIXEL_MM
from paraspinal.models.preprocess import MIN_SHAPE, STRIDE

Window = tuple[slice, slice]
"""Rows and columns."""

BODY_FRAC = 0.04
"""A pixel belongs to the body if it is brighter than this share of the volume's 99th percentile."""

BODY_MARGIN_PIXELS = 6

REGION_MARGIN_MM = 48.0
"""Room around the muscles in which they are looked at again: the bones and fat that tell one from another."""


def body_window(slices: npt.NDArray[np.float32]) -> Window:
    """Find the rows and columns of (N, H, W) that hold the body in any slice: air need not be looked at.

    Both lengths are multiples of the network's stride, as those of the slices are.
    """
    bright = slices.max(axis=0)
    bright = ndimage.uniform_filter(bright, 3) > BODY_FRAC * np.percentile(bright, 99.0)
    window = []
    for axis, low in enumerate(MIN_SHAPE):
        size = slices.shape[1 + axis]
        used = np.flatnonzero(bright.any(axis=1 - axis))
        first, last = (int(used[0]), int(used[-1])) if used.size else (0, size - 1)
        length = min(size, -(-max(last - first + 1 + 2 * BODY_MARGIN_PIXELS, low) // STRIDE) * STRIDE)
        start = int(np.clip((first + last + 1 - length) // 2, 0, size - length))
        window.append(slice(start, start + length))
    return window[0], window[1]


def muscle_region(classes: ClassMap) -> Window | None:
    """Find the rows and columns of (N, H, W) that hold a class other than 0 in any slice, with a margin.

    Both lengths are multiples of the network's stride, as those of the slices are; None where there is no class.
    """
    found = (classes > 0).any(axis=0)
    if not found.any():
        return None
    margin = int(np.ceil(REGION_MARGIN_MM / PIXEL_MM))
    window = []
    for axis, size in enumerate(found.shape):
        used = np.flatnonzero(found.any(axis=1 - axis))
        first, last = max(0, int(used[0]) - margin), min(size, int(used[-1]) + 1 + margin)
        length = min(size, -(-(last - first) // STRIDE) * STRIDE)
        start = int(np.clip((first + last - length) // 2, 0, size - length))
        window.append(slice(start, start + length))
    return window[0], window[1]
