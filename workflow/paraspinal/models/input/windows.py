"""Where to look: the rows and columns of a stack of slices that hold the body."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.core.imaging.slice_grid import MIN_SHAPE, STRIDE

Window = tuple[slice, slice]
"""Rows and columns."""

BODY_FRAC = 0.04
"""A pixel belongs to the body if it is brighter than this share of the volume's 99th percentile."""

BODY_MARGIN_PIXELS = 6


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
