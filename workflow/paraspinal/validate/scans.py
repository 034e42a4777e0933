"""Read the label maps and images of one pair, and say what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from numpy.typing import NDArray

from paraspinal.core.errors import DataError, InputError
from paraspinal.core.imaging.geometry import Grid, same_grid
from paraspinal.core.imaging.images import array_of, read_image
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Reason, Status
from paraspinal.statistics.strata import AGE_BANDS_YEARS, BMI_BANDS_KG_M2, band
from paraspinal.validate.compare import Maps
from paraspinal.validate.conventions import Codes
from paraspinal.validate.masks import SHARE_OF_PIXEL, align, read_labels
from paraspinal.validate.pairing import BANDED, STRATA, MaskPair
from paraspinal.validate.run_tables import KnownScan

BANDS = {"age_years": ("age_band", AGE_BANDS_YEARS), "bmi_kg_m2": ("bmi_band", BMI_BANDS_KG_M2)}
UNKNOWN_SCAN = KnownScan("", {}, None, None)


def number_pairs(pairs: list[MaskPair], known: dict[Path, KnownScan]) -> Iterator[tuple[Row, MaskPair, KnownScan]]:
    """Yield each pair with its number, the number of its participant and its strata.

    The sheet overrides the tables of a run. No name of a file or a participant is in the row.
    """
    people: dict[str, int] = {}
    for number, pair in enumerate(pairs, 1):
        scan = known.get(pair.prediction.resolve(), UNKNOWN_SCAN) if pair.prediction else UNKNOWN_SCAN
        names = scan.names | pair.names
        who = names.get("participant")
        row: Row = {name: names.get(name) for name in STRATA}
        row |= {"pair": number, "scan_id": scan.scan_id or None}
        row["participant"] = people.setdefault(who, len(people) + 1) if who else None
        for name in BANDED:
            column, bounds = BANDS[name]
            row[column] = band(pd.Series([names.get(name)], dtype=object), bounds)[0]
        yield row, pair, scan


def read_pair(
    pair: MaskPair, scan: KnownScan, prediction_codes: Codes, reference_codes: Codes
) -> tuple[Maps | None, Row]:
    """Read a pair and bring it to the reference's grid; returns the maps (None without a reference) and the state.

    A missing or unreadable prediction is a failure of the method: the maps then hold the reference alone. Raises
    DataError where the reference cannot be read, or the two show different places.
    """
    if pair.reference is None:
        return None, _state(Status.EXCLUDED, Reason.NO_REFERENCE)
    reference = read_labels(pair.reference, "reference")
    grid = Grid.of(reference)
    try:
        if pair.prediction is None:
            raise DataError(Reason.SEG_EMPTY, "no prediction")
        prediction = read_labels(pair.prediction, "prediction")
    except DataError as error:
        maps = Maps(array_of(reference), reference_codes, None, prediction_codes, grid, {})
        return maps, _state(Status.FAILED, error.reason, error.detail)
    aligned = align(prediction, reference)
    water, fat, lost = _dixon(pair, scan, grid)
    levels = scan.levels if aligned.is_native else {}
    detail = "; ".join(text for text in (aligned.detail, lost) if text)
    state = _state(Status.WARN, Reason.AFFINE_MISMATCH, detail) if detail else _state(Status.OK)
    arrays = (aligned.reference, reference_codes, aligned.prediction, prediction_codes)
    return Maps(*arrays, aligned.grid, levels, water, fat), state


def _dixon(pair: MaskPair, scan: KnownScan, grid: Grid) -> tuple[NDArray | None, NDArray | None, str]:
    """Read water and fat on the grid of the reference; (None, None) and why, where they cannot be used."""
    water, fat = pair.water or scan.water, pair.fat or scan.fat
    if water is None or fat is None:
        return None, None, ""
    try:
        images = [read_image(path) for path in (water, fat)]
    except (InputError, DataError):
        return None, None, "a Dixon image cannot be read: no fat"
    tolerance_mm = SHARE_OF_PIXEL * min(grid.spacing_mm)
    if not all(same_grid(Grid.of(image), grid, tolerance_mm) for image in images):
        return None, None, "Dixon images on another grid than the reference: no fat"
    arrays = [array_of(image) for image in images]
    return arrays[0], arrays[1], ""


def _state(status: Status, reason: Reason | None = None, detail: str = "") -> Row:
    return {"status": status.value, "reason_code": reason and reason.value, "detail": detail or None}
