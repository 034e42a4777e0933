"""Equivalence of paired values by two one-sided tests, by the rule of the seed paper.

Zhang et al. (Radiology: AI 2025, doi 10.1148/ryai.240833): the standardised differences are tested for normality
(Kolmogorov-Smirnov against the standard normal); if that is not rejected the paired t version is used, else the mean
difference is bootstrapped. The test estimates mean and standard deviation from the same data, so it rejects less
often than its level says (Lilliefors' correction is not part of the rule).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from paraspinal.statistics.interval import Interval


class TostMethod(StrEnum):
    """How an equivalence test was made."""

    PARAMETRIC = "parametric"  # paired t
    BOOTSTRAP = "bootstrap"
    CONSTANT = "constant"  # all differences are one number: nothing to estimate


ALPHA = 0.05
"""Level of each one-sided test; the interval has 1 - 2 alpha."""
NORMALITY_ALPHA = 0.05
RESAMPLES = 10_000
SEED = 20_250_101
"""Fixed, so that the same values give the same p."""
CHUNK = 4_000_000
"""Values drawn at a time: 32 MiB."""


@dataclass(frozen=True)
class Tost:
    """One equivalence test of a mean difference.

    ``ci90`` is its 90 % interval and ``smallest_margin`` its farther end: any larger margin passes. ``normality_p`` is
    None where all differences are one number. Everything but the p values is in the unit of the values.
    """

    method: TostMethod
    normality_p: float | None
    p: float
    ci90: Interval

    @property
    def smallest_margin(self) -> float:
        """Margin above which the test passes."""
        return self.ci90.farthest


def tost(difference: NDArray[np.float64], margin: float) -> Tost:
    """Test whether the mean of the differences, (n,) with n >= 3, lies within +- ``margin`` (> 0, their unit)."""
    n, mean = len(difference), float(difference.mean())
    spread = float(np.std(difference, ddof=1))
    if is_constant(difference):
        return Tost(TostMethod.CONSTANT, None, 0.0 if abs(mean) < margin else 1.0, Interval(mean, mean))
    normality_p = float(stats.kstest((difference - mean) / spread, "norm").pvalue)
    if normality_p > NORMALITY_ALPHA:
        error = spread / math.sqrt(n)
        p = max(stats.t.sf((mean + margin) / error, n - 1), stats.t.cdf((mean - margin) / error, n - 1))
        half = float(stats.t.ppf(1.0 - ALPHA, n - 1)) * error
        return Tost(TostMethod.PARAMETRIC, normality_p, float(p), Interval(mean - half, mean + half))
    means = bootstrap_means(difference)
    beyond = max(int((means <= -margin).sum()), int((means >= margin).sum()))
    rank = math.ceil(ALPHA * (RESAMPLES + 1)) - 1  # so that p < alpha exactly when the interval is within the margin
    ci90 = Interval(float(means[rank - 1]), float(means[-rank]))
    return Tost(TostMethod.BOOTSTRAP, normality_p, (beyond + 1) / (RESAMPLES + 1), ci90)


def is_constant(values: NDArray[np.float64]) -> bool:
    """Whether values, (n,), are one number but for rounding."""
    return bool(np.ptp(values) <= 1e-12 * max(float(np.abs(values).max()), np.finfo(float).tiny))


def bootstrap_means(values: NDArray[np.float64], resamples: int = RESAMPLES, seed: int = SEED) -> NDArray[np.float64]:
    """Draw means of resamples of values, (n,), with replacement; (resamples,), sorted."""
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK // len(values))
    means = [
        values[rng.integers(0, len(values), (min(step, resamples - start), len(values)), dtype=np.int32)].mean(axis=1)
        for start in range(0, resamples, step)
    ]
    return np.sort(np.concatenate(means))


def participant_means(difference: NDArray[np.float64], participant: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average the differences of each participant; ``participant`` holds codes from 0, negative for unknown."""
    known = participant >= 0
    codes, position = np.unique(participant[known], return_inverse=True)
    sums = np.bincount(position, weights=difference[known], minlength=len(codes))
    found: NDArray[np.float64] = sums / np.bincount(position, minlength=len(codes))
    return found
