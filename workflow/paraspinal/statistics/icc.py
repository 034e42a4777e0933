"""Intraclass correlations of single measurements, from the two-way analysis of variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from paraspinal.statistics.interval import Interval


@dataclass(frozen=True)
class MeanSquares:
    """Two-way analysis of variance of n subjects times k raters without repetition."""

    n: int
    k: int
    subjects: float
    raters: float
    error: float

    @classmethod
    def of(cls, ratings: NDArray[np.float64]) -> MeanSquares:
        """Split the variance of ratings, (n, k)."""
        n, k = ratings.shape
        values = ratings - ratings.mean()
        of_subjects, of_raters = values.mean(axis=1), values.mean(axis=0)
        residual = values - of_subjects[:, None] - of_raters[None, :]
        subjects = k * float((of_subjects**2).sum())
        raters = n * float((of_raters**2).sum())
        error = float((residual**2).sum())
        return cls(
            n=n,
            k=k,
            subjects=subjects / (n - 1),
            raters=raters / (k - 1),
            error=error / ((n - 1) * (k - 1)),
        )


def icc_a_1(ratings: NDArray[np.float64], confidence: float = 0.95) -> tuple[float, Interval]:
    """Compute ICC(A,1), absolute agreement of two-way effects, with its interval; ratings are (n, k), n >= 2.

    The ICC(2,1) of Shrout and Fleiss; the interval is McGraw and Wong's (1996, doi 10.1037/1082-989X.1.1.30, table 7)
    with Satterthwaite's degrees of freedom. NaN where no rater varies; 1 where raters agree entirely.
    """
    ms = MeanSquares.of(ratings)
    n, k = ms.n, ms.k
    nothing = Interval(float("nan"), float("nan"))
    scale = float(np.square(ratings).sum()) * np.finfo(float).eps
    if ms.subjects + ms.error <= scale:
        return float("nan"), nothing
    if ms.error <= scale and ms.raters <= scale:
        return 1.0, Interval(1.0, 1.0)
    icc = (ms.subjects - ms.error) / (ms.subjects + (k - 1) * ms.error + k * (ms.raters - ms.error) / n)
    # McGraw and Wong's a and b, both times (1 - icc), of which the degrees of freedom do not depend.
    a, b = k * icc / n, 1.0 - icc + k * icc * (n - 1) / n
    raters, error = a * ms.raters, b * ms.error
    if raters + error <= scale:  # raters contradict each other entirely
        return icc, nothing
    freedom = (raters + error) ** 2 / (raters**2 / (k - 1) + error**2 / ((n - 1) * (k - 1)))
    tail = 1.0 - (1.0 - confidence) / 2.0
    f_low, f_high = stats.f.ppf(tail, n - 1, freedom), stats.f.ppf(tail, freedom, n - 1)
    rest = k * ms.raters + (k * n - k - n) * ms.error
    low = n * (ms.subjects - f_low * ms.error) / (f_low * rest + n * ms.subjects)
    high = n * (f_high * ms.subjects - ms.error) / (rest + n * f_high * ms.subjects)
    return icc, Interval(float(low), float(high))
