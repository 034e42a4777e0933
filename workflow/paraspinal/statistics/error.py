"""How large single errors are: mean absolute error, and the error of measurement."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paraspinal.statistics.limits import Z


@dataclass(frozen=True)
class ErrorSize:
    """Errors of paired values; all but the percentages in the unit of the values.

    ``mape_pct`` is None where a reference is zero, ``cv_pct`` where the mean of all values is.
    """

    mae: float
    mape_pct: float | None
    sem: float
    cv_pct: float | None
    mdc95: float


def error_size(reference: NDArray[np.float64], prediction: NDArray[np.float64]) -> ErrorSize:
    """Compute errors of n >= 2 pairs, (n,) each.

    mae = mean |d| and mape = 100 mean(|d| / |reference|), d being prediction - reference; sem = sd(d) / sqrt(2), the
    square root of the error mean square; cv = 100 sem / |mean of all values|; mdc95 = 1.96 sqrt(2) sem, the smallest
    change beyond the error of both methods (Weir 2005, doi 10.1519/15184.1).
    """
    difference = prediction - reference
    size, level = np.abs(difference), abs(float(reference.mean() + prediction.mean()) / 2.0)
    sem = float(np.std(difference, ddof=1)) / math.sqrt(2.0)
    return ErrorSize(
        mae=float(size.mean()),
        mape_pct=100.0 * float((size / np.abs(reference)).mean()) if reference.all() else None,
        sem=sem,
        cv_pct=100.0 * sem / level if level else None,
        mdc95=Z * math.sqrt(2.0) * sem,
    )
