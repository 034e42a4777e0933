"""Do the in-phase and opposed-phase images agree with water and fat?

In phase the two add up, opposed they subtract: IP = a W + b F and OP = |a W - b F| (Dixon, Radiology 1984;153:189).
In a two-point set, where water and fat are made of just these two images, a = b. In sets of more echoes the in-phase
and opposed-phase images have lost what the water and fat images have not: water decays with T2* (25 ms in muscle: 0.96
to 0.83 at the usual echo times), and the peaks of fat are never quite in step (0.79 to 0.84, six peaks of Hamilton
2011), so that a / b lies between 1.0 and 1.25, up to 1.4 at late echoes. One real hand with three echoes: 0.91 to 1.14.
A factor on the fat image multiplies a / b, whatever the weighting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paraspinal.stages.harmonize.trunk import MIN_VOXELS, Floats, Mask, Trunk, thinned

RATIO = (0.8, 1.4)
"""a / b of sound sets, with a margin below for noise and motion; see above."""
PROVEN_RATIO = 1.1
"""Within this factor of one, a and b prove that water and fat are on one scale."""
MIN_EXPLAINED = 0.8
"""The fit counts as evidence when it explains this share of the image's variance ..."""
PROVEN_EXPLAINED = 0.95
"""... and as a proof when it explains this share."""
FAR_OUT = 4.0
"""Voxels off the fit by this many median deviations are left out of the next one: flow, motion, the border of air."""
ROUNDS = 4
"""Fits after the first; the factors have settled by then."""
NEAR_NULL = 0.3
"""Where water and fat nearly cancel, |aW - bF| below this share of aW + bF, the sign is not known."""


@dataclass(frozen=True)
class Fit:
    """In- or opposed-phase image as ``a`` water and ``b`` fat, with the share of its variance that explains."""

    name: str
    a: float
    b: float
    explained: float

    @property
    def counts(self) -> bool:
        """Whether the fit is evidence at all."""
        return self.explained >= MIN_EXPLAINED

    @property
    def ratio(self) -> float | None:
        """a / b; None where either has no sense."""
        return self.a / self.b if min(self.a, self.b) > 0 else None

    @property
    def is_sound(self) -> bool:
        """Whether the factors are those of a sound set."""
        return self.ratio is not None and RATIO[0] <= self.ratio <= RATIO[1]

    @property
    def is_proof(self) -> bool:
        """Whether the fit leaves no room for another scale."""
        near = self.ratio is not None and 1 / PROVEN_RATIO <= self.ratio <= PROVEN_RATIO
        return near and self.explained >= PROVEN_EXPLAINED

    def __str__(self) -> str:
        """Describe the fit."""
        return f"{self.name} image is {self.a:.2f} water {'-+'[self.b >= 0]} {abs(self.b):.2f} fat"


def fits(trunk: Trunk, in_phase: NDArray | None, opposed: NDArray | None, spacing_mm: tuple[float, ...]) -> list[Fit]:
    """Fit the images given, (z, y, x) unthinned; images that tell nothing give no fit."""
    if min(trunk.pure_water.sum(), trunk.pure_fat.sum()) < MIN_VOXELS:
        return []
    found = []
    for name, image, sign in (("in-phase", in_phase, 1), ("opposed-phase", opposed, -1)):
        if image is not None:
            found.append(_fit(name, trunk, thinned(image, spacing_mm), sign))  # type: ignore[arg-type]
    return [fit for fit in found if fit is not None and fit.counts]


def _fit(name: str, trunk: Trunk, image: Floats, sign: int) -> Fit | None:
    """Fit image = |a W + sign b F| over the body by trimmed least squares."""
    body = trunk.body
    water, fat, target = trunk.water[body], trunk.fat[body], np.abs(image[body])
    spread = float(np.var(target))
    if spread <= 0:
        return None
    pure = trunk.pure_water[body] | trunk.pure_fat[body]
    side = np.where(trunk.share[body] < 0.5, 1.0, -1.0) if sign < 0 else np.ones(water.size)
    kept: Mask = pure
    a = b = 0.0
    for _ in range(1 + ROUNDS):
        columns = np.stack([side * water, side * sign * fat], axis=1)
        (a, b), *_ = np.linalg.lstsq(columns[kept], target[kept], rcond=None)
        if sign < 0:
            balance = a * water - b * fat
            side = np.where(balance >= 0, 1.0, -1.0)
            known = np.abs(balance) > NEAR_NULL * (np.abs(a) * water + np.abs(b) * fat)
        else:
            known = np.ones(water.size, dtype=bool)
        error = np.abs(target - np.abs(a * water + sign * b * fat))
        limit = FAR_OUT * 1.4826 * float(np.median(error[known])) if known.any() else 0.0
        kept = known & (error <= max(limit, 1e-9))
        if kept.sum() < MIN_VOXELS:
            break
    explained = 1.0 - float(np.mean((target - np.abs(a * water + sign * b * fat)) ** 2)) / spread
    return Fit(name, float(a), float(b), explained)
