"""One-dimensional Gaussian mixtures fitted to a histogram by expectation-maximisation, from fixed starting points."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Trials = tuple[Floats, Floats, Floats]
"""Shares, means and standard deviations of several mixtures, each (trials, components)."""

START_QUANTILES = (0.2, 0.4, 0.6, 0.8, 0.9, 0.97)
"""The data are cut at these quantiles (every combination of them) to start the search; the best fit wins."""
FIRST_ROUNDS = 40
"""Rounds after which the best start is known and goes on alone."""
MAX_ROUNDS = 400
TOLERANCE = 1e-7
"""The search ends when no trial gains more than this log-likelihood per observation in a round."""
MIN_SHARE = 1e-6
"""Least share of a component; keeps one that loses all its data from dividing by zero."""


@dataclass(frozen=True)
class Mixture:
    """Components by rising mean: shares (sum 1), means and standard deviations, each (c,); and how well they fit."""

    shares: Floats
    means: Floats
    sds: Floats
    log_likelihood: float
    n: float

    @property
    def bic(self) -> float:
        """Bayesian information criterion; lower is better."""
        return (3 * self.shares.size - 1) * float(np.log(self.n)) - 2 * self.log_likelihood

    def responsibilities(self, values: Floats) -> Floats:
        """Probability of each component for values (n,); returns (n, c)."""
        log_p = _log_density(values, self.shares, self.means, self.sds)
        p = np.exp(log_p - log_p.max(axis=-1, keepdims=True))
        posterior: Floats = p / p.sum(axis=-1, keepdims=True)
        return posterior

    def ashman_d(self, a: int, b: int) -> float:
        """Separation of two components, sqrt(2) |mu_a - mu_b| / sqrt(sd_a^2 + sd_b^2) (Ashman et al. 1994)."""
        spread = float(np.hypot(self.sds[a], self.sds[b]))
        return float(np.sqrt(2.0)) * float(abs(self.means[a] - self.means[b])) / spread


def fit(values: Floats, counts: Floats, n_components: int) -> Mixture:
    """Fit a mixture to a histogram: bin centres (n,), evenly spaced and rising, and counts (n,).

    The standard deviation of a component is at least one bin. The result depends on the histogram only.
    """
    floor = float(values[1] - values[0])
    trials, level = _search(values, counts, _starts(values, counts, n_components, floor), floor, FIRST_ROUNDS)
    best = slice(int(level.argmax()), int(level.argmax()) + 1)
    shares, means, sds = (x[best] for x in trials)
    (shares, means, sds), level = _search(values, counts, (shares, means, sds), floor, MAX_ROUNDS)
    order = np.argsort(means[0], kind="stable")
    total = float(counts.sum())
    return Mixture(shares[0][order], means[0][order], sds[0][order], float(level[0]) * total, total)


def _search(values: Floats, counts: Floats, start: Trials, floor: float, rounds: int) -> tuple[Trials, Floats]:
    """Improve every trial by expectation-maximisation; returns them and their log-likelihoods per observation."""
    shares, means, sds = start
    total = float(counts.sum())
    level = np.full(shares.shape[0], -np.inf)
    for _ in range(rounds):
        log_p = _log_density(values, shares, means, sds)
        peak = log_p.max(axis=-1, keepdims=True)
        p = np.exp(log_p - peak)
        mass = p.sum(axis=-1, keepdims=True)
        previous, level = level, ((np.log(mass) + peak)[..., 0] @ counts) / total
        if (level - previous).max() < TOLERANCE:
            break
        weighted = p / mass * counts[:, None]
        held = np.maximum(weighted.sum(axis=-2), MIN_SHARE * total)
        means = np.einsum("snc,n->sc", weighted, values) / held
        spread = np.einsum("snc,snc->sc", weighted, (values[:, None] - means[:, None, :]) ** 2) / held
        sds = np.sqrt(np.maximum(spread, floor**2))
        shares = held / held.sum(axis=-1, keepdims=True)
    return (shares, means, sds), level


def _starts(values: Floats, counts: Floats, n_components: int, floor: float) -> Trials:
    """Shares, means and standard deviations of the parts between cuts, (starts, components) each."""
    cumulative = np.cumsum(counts) / counts.sum()
    rows = []
    for quantiles in combinations(START_QUANTILES, n_components - 1):
        part = np.searchsorted(np.asarray(quantiles), cumulative, side="left")
        held = np.stack([np.where(part == c, counts, 0.0) for c in range(n_components)])
        size = np.maximum(held.sum(axis=1), MIN_SHARE * counts.sum())
        mean = held @ values / size
        empty = held.sum(axis=1) == 0
        mean = np.where(empty, values[-1], mean)
        sd = np.sqrt(np.maximum((held * (values - mean[:, None]) ** 2).sum(axis=1) / size, floor**2))
        rows.append((size / size.sum(), mean, sd))
    shares, means, sds = (np.stack(column) for column in zip(*rows, strict=True))
    return shares, means, sds


def _log_density(values: Floats, shares: Floats, means: Floats, sds: Floats) -> Floats:
    z = (values[:, None] - means[..., None, :]) / sds[..., None, :]
    log_p: Floats = np.log(shares / (sds * np.sqrt(2 * np.pi)))[..., None, :] - 0.5 * z**2
    return log_p
