"""What the spine network sees: its input channels, the same in training and use.

Apart from the synthesis, so that a change to how training pictures are made re-runs no segmentation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]

LOCAL_SIGMA_PX = 7.0
"""Neighbourhood of the local z-score, 14 mm: about half a body."""


N_CHANNELS = 4
"""Two of the slice itself, one of either neighbour: where a body ends sideways, one slice alone does not show."""


def network_inputs(slices: Field, chosen: Sequence[int] | NDArray[np.int64], step: int = 1) -> Field:
    """Turn the chosen of ``slices`` (n, H, W) into what the network sees, (len(chosen), 4, H, W).

    Channels: the two of :func:`channels`, then the local z-score of the slice ``step`` before and of that ``step``
    after; zeros where the stack ends.
    """
    near = sorted({j for i in chosen for j in (i - step, i, i + step) if 0 <= j < len(slices)})
    own = {j: channels(np.maximum(slices[j], 0.0)) for j in near}
    nothing = np.zeros((2, *slices.shape[1:]), np.float32)
    rows = [[*own[i], own.get(i - step, nothing)[1], own.get(i + step, nothing)[1]] for i in chosen]
    return np.stack([np.stack(row) for row in rows])


def channels(picture: Field) -> Field:
    """Turn a slice (H, W) of arbitrary scale into two channels (2, H, W).

    Intensity over the 97th percentile of the foreground, and the local z-score; zero pixels are padding.
    """
    inside = picture > 0
    if not inside.any():
        return np.zeros((2, *picture.shape), np.float32)
    level = picture[inside]
    foreground = level[level > 0.1 * level.mean()]
    scaled = np.clip(picture / np.percentile(foreground, 97), 0, 2).astype(np.float32)
    weight = _blur(inside.astype(np.float32), LOCAL_SIGMA_PX) + 1e-6
    mean = _blur(scaled, LOCAL_SIGMA_PX) / weight
    variance = _blur(scaled**2, LOCAL_SIGMA_PX) / weight - mean**2
    local = (scaled - mean) / np.sqrt(np.maximum(variance, 0) + 0.02**2)
    return np.stack([scaled, np.clip(local, -3, 3) * inside / 2]).astype(np.float32)


def _blur(picture: Field, sigma: float) -> Field:
    blurred: Field = ndimage.gaussian_filter(picture, sigma, truncate=2.5, mode="constant")
    return blurred
