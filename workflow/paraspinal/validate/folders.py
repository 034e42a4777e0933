"""`paraspinal validate`: label maps of a folder against reference label maps of another."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from paraspinal.core.errors import DataError, InputError
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Status
from paraspinal.stages.measure.fat.dixon_ff_ratio_of_sums import METHOD as RATIO_OF_SUMS
from paraspinal.statistics.columns import agreement_table
from paraspinal.statistics.margins import Margin
from paraspinal.statistics.strata import PairedTable, agreement_rows
from paraspinal.validate.columns import OVERLAP, OVERLAP_SUMMARY, PAIRS, STRATA
from paraspinal.validate.compare import WHOLE, MuscleSide, compare, exchanged
from paraspinal.validate.conventions import Codes
from paraspinal.validate.figures import bland_altman, dice_by_muscle
from paraspinal.validate.output import write_tables
from paraspinal.validate.pair_state import PairState
from paraspinal.validate.pairing import MaskPair
from paraspinal.validate.run_tables import KnownScan
from paraspinal.validate.scans import number_pairs, read_pair
from paraspinal.validate.summary import BY, summarise

MEASURES = {"volume_mm3": "volume_mm3", "fi": f"fi_{RATIO_OF_SUMS.name}"}
"""Values in the table of overlap, and what they are called in the table of agreement."""


@dataclass(frozen=True)
class ValidationResult:
    """Rows of the written tables, what was noticed, and the figures."""

    pairs: list[Row]
    overlap: list[Row]
    summary: list[Row]
    agreement: list[Row]
    notes: tuple[str, ...]
    figures: tuple[str, ...]


def validate(
    pairs: list[MaskPair],
    codes: tuple[Codes, Codes],
    known: dict[Path, KnownScan],
    margins: tuple[Margin, ...],
    out: Path,
    with_figures: bool = True,
) -> ValidationResult:
    """Compare every pair and write ``pairs``, ``overlap``, ``overlap_summary`` and ``agreement`` into ``out``.

    ``codes`` are those of the predictions and of the references. A pair that cannot be compared stands in ``pairs``
    with its reason and stops nothing. Raises InputError where no muscle is known to both conventions, or no pair
    could be compared.
    """
    if not set(codes[0]) & set(codes[1]):
        raise InputError("the two label conventions share no muscle", hint="--prediction-labels, --reference-labels")
    pair_rows, overlap, crossed = _compare(pairs, codes, known)
    overlap, notes = _outlined(overlap)
    if not overlap:
        reasons = Counter(row["reason_code"] or "no known label in the reference" for row in pair_rows).most_common(3)
        found = ", ".join(f"{reason} {count}" for reason, count in reasons)
        raise InputError(f"no pair could be compared ({found})", hint="check the label conventions and the grids")
    frame = pd.DataFrame(overlap, columns=list(OVERLAP.names))
    strata = tuple(name for name in STRATA if frame[name].notna().any())
    summary = list(summarise(frame, strata))
    participant = "participant" if frame["participant"].notna().any() else None
    paired = PairedTable(_values(frame), BY, strata, participant, margins)
    agreement = agreement_rows(paired)
    tables = [(PAIRS, pair_rows), (OVERLAP, overlap), (OVERLAP_SUMMARY, summary), (agreement_table(BY), agreement)]
    write_tables(out, tables, {"labels": [_names(c) for c in codes], "margins": {m.pattern: str(m) for m in margins}})
    figures: list[str] = []
    if with_figures:
        figures = [dice_by_muscle(frame[frame["level"] == WHOLE], out / "figures")]
        whole = [row for row in agreement if row["level"] == WHOLE]
        figures += bland_altman(paired.frame[paired.frame["level"] == WHOLE], whole, BY[:2], out / "figures")
    notes += [
        f"{_words(a)} of the reference lies mostly in {_words(b)} of the prediction: check the label conventions"
        for (a, b), count in crossed.items()
        if count > frame["pair"].nunique() / 2
    ]
    return ValidationResult(pair_rows, overlap, summary, agreement, tuple(notes), tuple(figures))


def _compare(
    pairs: list[MaskPair], codes: tuple[Codes, Codes], known: dict[Path, KnownScan]
) -> tuple[list[Row], list[Row], Counter[tuple[MuscleSide, MuscleSide]]]:
    pair_rows: list[Row] = []
    overlap: list[Row] = []
    crossed: Counter[tuple[MuscleSide, MuscleSide]] = Counter()
    for row, pair, scan in number_pairs(pairs, known):
        try:
            maps, state = read_pair(pair, scan, *codes)
        except DataError as error:
            state = {"status": Status.FAILED.value, "reason_code": error.reason.value, "detail": error.detail}
            maps = None
        pair_rows.append(row | state)
        if maps is not None:
            overlap += [row | found for found in compare(maps)]
            crossed.update(exchanged(maps))
    return pair_rows, overlap, crossed


def _outlined(overlap: list[Row]) -> tuple[list[Row], list[str]]:
    """Leave out the muscles that no reference outlines: nobody says that they are not there."""
    in_reference = (PairState.BOTH_PRESENT.value, PairState.REFERENCE_ONLY.value)
    outlined = {_key(row) for row in overlap if row["pair_state"] in in_reference}
    others = dict.fromkeys(_key(row) for row in overlap if _key(row) not in outlined)
    notes = [f"{_words(key)}: in no reference, not compared" for key in others]
    return [row for row in overlap if _key(row) in outlined], notes


def _values(frame: pd.DataFrame) -> pd.DataFrame:
    """Bring the table of overlap into paired values: a measure of a muscle that is not in both is missing."""
    keep = ["participant", *BY, *STRATA]
    parts = []
    for name, measure in MEASURES.items():
        columns = {f"reference_{name}": "reference", f"prediction_{name}": "prediction"}
        part = frame[[*keep, *columns]].rename(columns=columns)
        parts.append(part.astype({"reference": float, "prediction": float}).assign(measure=measure))
    found = pd.concat([part for part in parts if part["reference"].notna().any()], ignore_index=True)
    return found


def _key(row: Row) -> tuple[str, str]:
    return row["muscle"], row["side"]


def _words(key: tuple[str, str]) -> str:
    return " ".join(key).replace("_", " ")


def _names(codes: Codes) -> dict[str, Any]:
    return {f"{muscle}_{side}": code for (muscle, side), code in codes.items()}
