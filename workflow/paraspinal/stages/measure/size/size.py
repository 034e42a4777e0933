"""Size of one muscle in one level, measured in the native grid; definitions are in the data dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import LevelScheme, Muscle, Reason, Side
from paraspinal.stages.measure.regions import Region

Weights = NDArray[np.float64]

PLANES = (LevelScheme.VERTEBRA_MID, LevelScheme.DISC_MID)
"""Schemes that are planes: they have a cross-section and no volume."""

MIN_SLICES_FOR_VOLUME = 2
"""A single slice has no spacing to a neighbour, so no volume."""


@dataclass(frozen=True)
class Slices:
    """What the size of a muscle needs to know of the scan: slice spacing (mm) and tilt to the scanner (degrees).

    ``holds_disc_group`` marks a few slices planned on one disc: they cover about half of the muscle between two discs,
    so they give cross-sections and no volume.
    """

    spacing_mm: float
    tilt_to_scanner_deg: float
    holds_disc_group: bool


def weights_of(slab: Row) -> Weights | None:
    """Slice weights of a level; None where it has no slice in this scan."""
    if slab["slice_weights"] is None:
        return None
    weights = np.asarray(slab["slice_weights"], dtype=np.float64)
    return weights if weights.sum() > 0 else None


def size_of(region: Region, slab: Row, slices: Slices, min_coverage_frac: float) -> Row:
    """Measure one muscle in one level.

    Returns the size columns of a metric row and its ``reason_code``. A muscle that the label map does not show in the
    level has null sizes, never 0: the model may have missed it. For the same reason a slice without the muscle between
    slices that have it does not count as 0: it is left out of the mean, and there is no volume.
    """
    weights, scheme = weights_of(slab), LevelScheme(slab["level_scheme"])
    tilt = slab["slice_tilt_deg"] if slab["slice_tilt_deg"] is not None else slices.tilt_to_scanner_deg
    row: Row = {"coverage_frac": slab["coverage_frac"], "slice_tilt_deg": tilt}
    if scheme is LevelScheme.NONE or weights is None:
        return {**row, "reason_code": slab["reason_code"] or Reason.LEVEL_UNRESOLVED.value}
    row["n_slices"] = float(weights.sum())
    area = region.area_mm2
    held = area[weights > 0]
    if not held.any():
        return {**row, "reason_code": (Reason.SEG_EMPTY if region.is_empty else Reason.SEG_PARTIAL).value}
    is_covered = slab["coverage_frac"] >= min_coverage_frac
    seen = weights * ~holes(area)
    is_whole = bool((seen == weights).all())
    acsa = float(seen @ area / seen.sum())
    has_volume = (
        is_covered
        and is_whole
        and scheme not in (*PLANES, LevelScheme.DISC_STACK)
        and not slices.holds_disc_group
        and area.size >= MIN_SLICES_FOR_VOLUME
    )
    is_truncated = bool((region.touches_border & (weights > 0)).any())
    return {
        **row,
        "volume_mm3": float(weights @ area) * slices.spacing_mm if has_volume else None,
        "acsa_mm2": acsa,
        "csa_mid_mm2": acsa if scheme in PLANES else _at_middle(area, weights) if is_covered and is_whole else None,
        "csa_perp_mm2": acsa * abs(float(np.cos(np.radians(tilt)))),
        "rcsa_vb": ratio(acsa, slab["body_area_mm2"]),
        "rcsa_disc": ratio(acsa, slab["disc_area_mm2"]),
        "truncated_fov": is_truncated,
        "reason_code": _reason(held, is_covered, is_truncated, slab),
    }


def holes(area_mm2: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Slices without the muscle between slices that have it, (n_slices,)."""
    found = np.flatnonzero(area_mm2)
    places = np.arange(area_mm2.size)
    missed: NDArray[np.bool_] = (area_mm2 == 0) & (places > found[0]) & (places < found[-1])
    return missed


def asymmetry_pct(left_mm2: float | None, right_mm2: float | None) -> tuple[float | None, float | None]:
    """Signed and absolute asymmetry, 100 (L - R) / ((L + R) / 2) in %; None if a side is missing."""
    if left_mm2 is None or right_mm2 is None or left_mm2 + right_mm2 <= 0:
        return None, None
    signed = 100.0 * (left_mm2 - right_mm2) / ((left_mm2 + right_mm2) / 2.0)
    return signed, abs(signed)


def add_asymmetry(sizes: Mapping[tuple[Muscle, Side], Row]) -> None:
    """Add the asymmetry of the cross-sections to both sides of every muscle."""
    for muscle in {muscle for muscle, _ in sizes}:
        pair = [sizes.get((muscle, side), {}) for side in (Side.LEFT, Side.RIGHT)]
        signed, absolute = asymmetry_pct(*(size.get("acsa_mm2") for size in pair))
        for size in pair:
            size["asym_signed_pct"], size["asym_abs_pct"] = signed, absolute


def _reason(held: NDArray[np.float64], is_covered: bool, is_truncated: bool, slab: Row) -> str | None:
    if not held.all():
        return Reason.SEG_PARTIAL.value
    if not is_covered:
        return Reason.COVERAGE_PARTIAL.value
    if is_truncated:
        return Reason.FOV_TRUNCATED.value
    code: str | None = slab["reason_code"]
    return code


def ratio(value: float, reference: float | None) -> float | None:
    """Divide by a reference; None without one."""
    return value / reference if reference else None


def _at_middle(area_mm2: NDArray[np.float64], weights: Weights) -> float:
    """Cross-section half way through a slab, linear between slices.

    The ends of the slab follow from its weights: slice k stands for [k - 1/2, k + 1/2].
    """
    inside = np.flatnonzero(weights > 0)
    first, last = int(inside[0]), int(inside[-1])
    if first == last:
        return float(area_mm2[first])
    middle = ((first + 0.5 - weights[first]) + (last - 0.5 + weights[last])) / 2
    return float(np.interp(middle, np.arange(area_mm2.size), area_mm2))
