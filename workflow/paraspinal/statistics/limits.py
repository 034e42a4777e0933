"""Bias and limits of agreement (Bland and Altman) with exact confidence intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from paraspinal.statistics.interval import Interval

Z = float(stats.norm.ppf(0.975))
"""Half width of the limits in standard deviations: 95 % of normal differences lie within bias +- Z * sd."""


@dataclass(frozen=True)
class Limits:
    """Bias and 95 % limits of agreement, each with a 95 % confidence interval, in the unit of the values."""

    bias: float
    sd: float
    bias_ci: Interval
    lower: float
    lower_ci: Interval
    upper: float
    upper_ci: Interval


def limits_of_agreement(difference: NDArray[np.float64], confidence: float = 0.95) -> Limits:
    """Compute bias = mean and limits = bias +- 1.96 sd of differences, (n,) with n >= 2.

    The interval of each limit is exact for normal differences: a limit is a percentile of their distribution, and
    its confidence limits are tolerance factors of the noncentral t distribution (Carkeet 2015, doi
    10.1097/OPX.0000000000000513; Shieh 2018, doi 10.1186/s12874-018-0505-y). They are not symmetric.
    """
    n = len(difference)
    bias, sd = float(np.mean(difference)), float(np.std(difference, ddof=1))
    tail = (1.0 - confidence) / 2.0
    half = float(stats.t.ppf(1.0 - tail, n - 1)) * sd / math.sqrt(n)
    near, far = tolerance_factor(n, tail), tolerance_factor(n, 1.0 - tail)
    return Limits(
        bias=bias,
        sd=sd,
        bias_ci=Interval(bias - half, bias + half),
        lower=bias - Z * sd,
        lower_ci=Interval(bias - far * sd, bias - near * sd),
        upper=bias + Z * sd,
        upper_ci=Interval(bias + near * sd, bias + far * sd),
    )


def tolerance_factor(n: int, probability: float, z: float = Z) -> float:
    """Find k with P(mean + k sd < mu + z sigma) = 1 - ``probability`` for n normal values.

    k = t'(probability; n - 1, z sqrt(n)) / sqrt(n), t' being the quantile of the noncentral t distribution.
    """
    return float(stats.nct.ppf(probability, n - 1, z * math.sqrt(n)) / math.sqrt(n))
