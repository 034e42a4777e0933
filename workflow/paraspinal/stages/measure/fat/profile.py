"""Fat infiltration as every method sees it: sums of a numerator and a denominator over the voxels of a mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Reason
from paraspinal.stages.measure.fat.n4 import BiasCorrection
from paraspinal.stages.measure.regions import Edge, Region, Voxels

Floats = NDArray[np.float64]
Parts = tuple[Floats, Floats]
"""Numerator and denominator of a fat fraction, one value per voxel or per slice."""

Shares = Mapping[Edge, Floats]
"""Share by which each voxel of a mask and of its two neighbours counts, (n,)."""

RANGE_TOLERANCE_FRAC = 0.02
"""Noise may carry a mean fraction this far below 0 or above 1; it is then set to the bound. Farther out it is null."""


@dataclass(frozen=True)
class FatReading:
    """A scan as one fat method reads it.

    ``parts`` maps a label code and voxels to numerator and denominator per voxel; ``reasons`` says for which codes the
    method may not be used and why; ``out_of_range`` is what a fraction far outside [0, 1] means; ``bias_correction`` is
    what was done to the image before.
    """

    parts: Callable[[int, Voxels], Parts]
    reasons: Mapping[int, Reason] = field(default_factory=dict)
    out_of_range: Reason = Reason.OUTLIER
    bias_correction: BiasCorrection = BiasCorrection.NONE


@dataclass(frozen=True)
class FatProfile:
    """Numerator and denominator per slice of one muscle by one method, for the mask and its two neighbours."""

    by: FatReading
    per_slice: Mapping[Edge, Parts]
    reason: Reason | None

    def at(self, weights: Floats) -> dict[str, float | str | None]:
        """Fat infiltration of a level by its slice weights: the columns ``fi*`` of a metric row."""
        if self.reason is not None:
            return no_fat(self.reason)
        fi, reason = self._fraction(Edge.AS_SEGMENTED, weights)
        if fi is None:
            return no_fat(reason)
        return {
            "fi": fi,
            "fi_eroded": self._fraction(Edge.ERODED, weights)[0],
            "fi_dilated": self._fraction(Edge.DILATED, weights)[0],
            "fi_reason_code": None,
        }

    def _fraction(self, edge: Edge, weights: Floats) -> tuple[float | None, Reason | None]:
        numerator, denominator = self.per_slice[edge]
        total = float(weights @ denominator)
        if not total > 0:
            return None, Reason.CONSTANT_IMAGE
        value = float(weights @ numerator) / total
        if not -RANGE_TOLERANCE_FRAC <= value <= 1.0 + RANGE_TOLERANCE_FRAC:
            return None, self.by.out_of_range
        return min(max(value, 0.0), 1.0), None


def profile_of(reading: FatReading, code: int, region: Region, shares: Shares | None = None) -> FatProfile:
    """Sum the parts of a reading over the voxels of every slice of a muscle; with ``shares`` voxels count by them."""
    reason = Reason.SEG_EMPTY if region.is_empty else reading.reasons.get(code)
    n_slices = region.area_mm2.size
    per_slice = {}
    if reason is None:
        for edge, voxels in region.voxels.items():
            numerator, denominator = reading.parts(code, voxels)
            if shares is not None:
                numerator, denominator = numerator * shares[edge], denominator * shares[edge]
            k = voxels[0]
            per_slice[edge] = (
                np.bincount(k, numerator, n_slices).astype(np.float64),
                np.bincount(k, denominator, n_slices).astype(np.float64),
            )
    return FatProfile(reading, per_slice, reason)


def profiles_of(
    readings: Mapping[str, FatReading], regions: Mapping[int, Region], shares_of: Callable[[Region], Shares | None]
) -> dict[int, dict[str, FatProfile]]:
    """Fat of every muscle by every method, voxels counted by their shares where there are any."""
    profiles = {}
    for code, region in regions.items():
        shares = shares_of(region)
        profiles[code] = {name: profile_of(reading, code, region, shares) for name, reading in readings.items()}
    return profiles


def no_fat(reason: Reason | None) -> dict[str, float | str | None]:
    """The columns ``fi*`` of a metric row without a fat infiltration."""
    code = None if reason is None else reason.value
    return {"fi": None, "fi_eroded": None, "fi_dilated": None, "fi_reason_code": code}


def fat_rows(weights: Floats | None, size: Row, profiles: Mapping[str, FatProfile], reason: Reason | None) -> list[Row]:
    """The columns on fat of a muscle in a level: one row per method, or one row that says why there is none."""
    if reason is not None:
        return [{"fi_method": None, "fcsa_mm2": None, "bias_correction": None, **no_fat(reason)}]
    acsa = size.get("acsa_mm2")
    rows: list[Row] = []
    for name, profile in profiles.items():
        if acsa is None or weights is None:
            fat: Row = {**no_fat(None), "fi_reason_code": size["reason_code"]}
        else:
            fat = dict(profile.at(weights))
        fcsa = None if acsa is None or fat["fi"] is None else acsa * (1.0 - fat["fi"])
        rows.append({"fi_method": name, "fcsa_mm2": fcsa, "bias_correction": profile.by.bias_correction.value, **fat})
    return rows
