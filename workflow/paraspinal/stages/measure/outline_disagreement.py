"""How far the model's outlines of an image and of its mirror image differ about a muscle within a level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.records.tables import Row


def slice_disagreement(row: Row, grid: Grid) -> dict[int, NDArray[np.float64]]:
    """1 - Dice of the two outlines per label code, (n_slices,) in stored order; NaN where neither shows the label.

    Empty for models that outline an image once. The model counts slices upwards, the image as it is stored.
    """
    disagreement = {}
    for found in row["label_disagreement"] or []:
        values = found["slice_disagreement"]
        if values is not None and len(values) == grid.size[2]:
            upwards = np.array([np.nan if value is None else value for value in values])
            disagreement[found["label"]] = upwards if grid.normal[2] >= 0 else upwards[::-1]
    return disagreement


def level_disagreement(
    disagreement: NDArray[np.float64] | None, weights: NDArray[np.float64] | None, area_mm2: NDArray[np.float64]
) -> float | None:
    """Mean over the slices of a level, each by its weight and the area (n_slices,) of the muscle; None without any."""
    if disagreement is None or weights is None:
        return None
    share = np.where(np.isfinite(disagreement), weights * area_mm2, 0.0)
    return float(share @ np.nan_to_num(disagreement) / share.sum()) if share.sum() > 0 else None
