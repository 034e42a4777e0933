"""Agreement with a reference, where a comparison lies in the results folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from paraspinal.core.errors import InputError
from paraspinal.core.records.tables import Row
from paraspinal.stages.report.data import records

FOLDERS = ("agreement", "validation")
"""Folders of the results in which ``paraspinal agreement`` and ``validate`` may have been told to write."""
NEEDED = (
    "measure", "stratum_by", "n", "n_participants", "bias", "loa_lower", "loa_upper", "icc_a1", "icc_a1_ci_low",
    "icc_a1_ci_high", "margin", "margin_rule", "tost_p", "is_equivalent",
)  # fmt: skip


def agreement_files(results: Path) -> tuple[str, ...]:
    """Tables of agreement in the results, relative to them."""
    found = [path for folder in FOLDERS for path in sorted((results / folder).glob("*agreement*.parquet"))]
    return tuple(str(path.relative_to(results)) for path in found)


def agreements(results: Path) -> Iterator[tuple[str, list[Row]]]:
    """Yield every table of agreement with its undivided rows, one per measure.

    Raises InputError if one is damaged or lacks a column.
    """
    for name in agreement_files(results):
        try:
            frame: pd.DataFrame = pq.read_table(results / name, columns=list(NEEDED)).to_pandas()
        except (OSError, ValueError):
            raise InputError("a table of agreement is damaged", hint="write it again, or take it away") from None
        if set(frame) != set(NEEDED):
            raise InputError("a table of agreement was written by another version", hint="write it again")
        yield name, records(frame[frame["stratum_by"] == "all"])
