"""How much of a muscle's outline in a level is in doubt: the two looks of the model, summed up over slices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.records.tables import Row


def slice_doubts(row: Row, grid: Grid) -> dict[int, NDArray[np.float64]]:
    """Disagreement of the looks per label code, (n_slices,) in stored order; NaN where neither look shows the label.

    Empty for models that look once. The model counts slices upwards, the image as it is stored.
    """
    doubts = {}
    for found in row["uncertainty"] or []:
        values = found["slice_disagreement"]
        if values is not None and len(values) == grid.size[2]:
            upwards = np.array([np.nan if value is None else value for value in values])
            doubts[found["label"]] = upwards if grid.normal[2] >= 0 else upwards[::-1]
    return doubts


def level_doubt(
    doubts: NDArray[np.float64] | None, weights: NDArray[np.float64] | None, area_mm2: NDArray[np.float64]
) -> float | None:
    """Mean over the slices of a level, each by its weight and the area (n_slices,) of the muscle; None without any."""
    if doubts is None or weights is None:
        return None
    share = np.where(np.isfinite(doubts), weights * area_mm2, 0.0)
    return float(share @ np.nan_to_num(doubts) / share.sum()) if share.sum() > 0 else None
