"""Agreement of two label maps of one scan, by muscle, side and level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Muscle, Side
from paraspinal.statistics import overlap
from paraspinal.validate.conventions import Codes
from paraspinal.validate.pair_state import PairState

MuscleSide = tuple[Muscle, Side]

WHOLE = "all"
"""``level`` of the whole muscle."""


@dataclass(frozen=True)
class Maps:
    """Label maps (z, y, x) on one grid with their codes, and water and fat on it where there are.

    ``prediction`` is None where the segmentation failed. ``levels`` are the first and last slice by level.
    """

    reference: NDArray
    reference_codes: Codes
    prediction: NDArray | None
    prediction_codes: Codes
    grid: Grid
    levels: Mapping[str, tuple[int, int]]
    water: NDArray | None = None
    fat: NDArray | None = None


def compare(maps: Maps) -> Iterator[Row]:
    """Yield a row per muscle, side and level that both conventions know."""
    for muscle, side in maps.reference_codes:
        if (muscle, side) in maps.prediction_codes:
            yield from _rows(maps, muscle, side)


def exchanged(maps: Maps) -> Iterator[tuple[MuscleSide, MuscleSide]]:
    """Yield muscles of the reference that overlap more with another muscle of the prediction, and with which."""
    if maps.prediction is None:
        return
    names = {code: key for key, code in maps.prediction_codes.items()}
    for key, code in maps.reference_codes.items():
        found, counts = np.unique(maps.prediction[maps.reference == code], return_counts=True)
        shares = {names[int(v)]: int(n) for v, n in zip(found, counts, strict=True) if int(v) in names}
        best = max(shares, key=lambda name: shares[name], default=key)
        if key in maps.prediction_codes and shares.get(best, 0) > shares.get(key, 0):
            yield key, best


def _rows(maps: Maps, muscle: Muscle, side: Side) -> Iterator[Row]:
    reference = maps.reference == maps.reference_codes[muscle, side]
    code = maps.prediction_codes[muscle, side]
    prediction = np.zeros_like(reference) if maps.prediction is None else maps.prediction == code
    found = None
    if reference.any() and prediction.any():
        found = overlap.surfaces(reference, prediction, maps.grid.spacing_mm[::-1])
    whole = (0, len(reference) - 1)
    for level, (first, last) in {WHOLE: whole, **maps.levels}.items():
        part = slice(first, last + 1)
        surfaces = found if found is None or level == WHOLE else found.within(first, last)
        yield {"muscle": muscle.value, "side": side.value, "level": level} | _row(
            maps, reference[part], prediction[part], part, surfaces
        )


def _row(
    maps: Maps, reference: overlap.Mask, prediction: overlap.Mask, part: slice, surfaces: overlap.Surfaces | None
) -> Row:
    state = PairState.of(bool(reference.any()), bool(prediction.any()))
    sizes = [float(np.count_nonzero(mask)) * maps.grid.voxel_volume_mm3 for mask in (reference, prediction)]
    row: Row = {"pair_state": state.value}
    if state in (PairState.BOTH_PRESENT, PairState.REFERENCE_ONLY):
        row |= {"reference_volume_mm3": sizes[0], "reference_fi": _fat(maps, reference, part)}
    if state in (PairState.BOTH_PRESENT, PairState.PREDICTION_ONLY):
        row |= {"prediction_volume_mm3": sizes[1], "prediction_fi": _fat(maps, prediction, part)}
    if state is PairState.BOTH_ABSENT:
        return row
    if state is not PairState.BOTH_PRESENT or surfaces is None:
        worst = float(np.linalg.norm(np.asarray(maps.grid.size) * np.asarray(maps.grid.spacing_mm)))
        return row | {"dsc": 0.0, "hd95_mm": worst, "assd_mm": worst, "nsd_1mm": 0.0, "nsd_2mm": 0.0}
    return row | {
        "dsc": overlap.dice(reference, prediction),
        "hd95_mm": overlap.hd95_mm(surfaces),
        "assd_mm": overlap.assd_mm(surfaces),
        "nsd_1mm": overlap.nsd(surfaces, 1.0),
        "nsd_2mm": overlap.nsd(surfaces, 2.0),
        "volume_difference_mm3": sizes[1] - sizes[0],
        "volume_difference_pct": 100.0 * (sizes[1] - sizes[0]) / sizes[0],
    }


def _fat(maps: Maps, mask: overlap.Mask, part: slice) -> float | None:
    """Fat infiltration, sum F / sum (F + W) in the mask; None without Dixon images or signal."""
    if maps.water is None or maps.fat is None:
        return None
    fat = float(maps.fat[part][mask].sum(dtype=np.float64))
    total = fat + float(maps.water[part][mask].sum(dtype=np.float64))
    return fat / total if total > 0.0 else None
