"""Divide paired values by measure, group and stratum, and compute the table of agreement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from paraspinal.core.records.tables import Row
from paraspinal.statistics.agreement import Paired, agreement_row
from paraspinal.statistics.margins import Margin, margin_for
from paraspinal.statistics.multiplicity import holm

ALL = "all"
"""``stratum_by`` and ``stratum`` of what is not divided."""
UNKNOWN = "unknown"
"""Stratum of rows that do not say."""

AGE_BANDS_YEARS = (40.0, 60.0, 80.0)
BMI_BANDS_KG_M2 = (18.5, 25.0, 30.0)
"""The WHO's: underweight, normal, overweight, obese."""


@dataclass(frozen=True)
class PairedTable:
    """Paired values in a frame with columns ``measure``, ``reference``, ``prediction`` and those named here.

    ``by`` divides every measure (muscle, side, level); each of ``strata`` is a division of its own. ``participant``
    names the column that tells whose rows belong together, or is None. Of ``margins`` the last that fits holds.
    """

    frame: pd.DataFrame
    by: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()
    participant: str | None = None
    margins: tuple[Margin, ...] = ()


def agreement_rows(table: PairedTable) -> list[Row]:
    """Compute a row per measure, group and stratum, with Holm's p over the rows of each ``stratum_by``."""
    rows: list[Row] = []
    for key, group in _groups(table.frame, ["measure", *table.by]):
        for by, stratum, part in parts(group, table.strata):
            names = {"measure": key[0], **dict(zip(table.by, key[1:], strict=True))}
            paired = _paired(part, table.participant)
            row = agreement_row(paired, margin_for(str(key[0]), table.margins))
            rows.append(names | {"stratum_by": by, "stratum": stratum} | row)
    for by in dict.fromkeys(row["stratum_by"] for row in rows):
        family = [row for row in rows if row["stratum_by"] == by]
        for name in ("tost_p", "participant_tost_p"):
            for row, adjusted in zip(family, holm([row.get(name) for row in family]), strict=True):
                row[f"{name}_holm"] = adjusted
    return rows


def parts(frame: pd.DataFrame, strata: Iterable[str]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield the whole frame, then its parts by each stratum column: (stratum_by, stratum, part)."""
    yield ALL, ALL, frame
    for name in strata:
        for (value,), part in _groups(frame, [name]):
            yield name, UNKNOWN if value is None else value, part


def band(values: pd.Series, bounds: tuple[float, ...]) -> pd.Series:
    """Name the band of each number: ``<40``, ``40-<60``, ..., ``>=80``; None where there is no number."""
    names = [f"<{bounds[0]:g}", *(f"{a:g}-<{b:g}" for a, b in pairwise(bounds))]
    names.append(f">={bounds[-1]:g}")
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    found = [names[i] if np.isfinite(x) else None for i, x in zip(np.digitize(numbers, bounds), numbers, strict=True)]
    return pd.Series(found, index=values.index, dtype=object)


def _groups(frame: pd.DataFrame, names: list[str]) -> Iterator[tuple[tuple[str | None, ...], pd.DataFrame]]:
    """Group by columns as text, in the order of first appearance for measures, sorted within; nulls are a group."""
    for key, part in frame.groupby(names, sort=False, dropna=False):
        yield tuple(None if k is None or k != k else str(k) for k in key), part


def _paired(part: pd.DataFrame, participant: str | None) -> Paired:
    who = None if participant is None else pd.factorize(part[participant])[0].astype(np.int64)
    return Paired(part["reference"].to_numpy(np.float64), part["prediction"].to_numpy(np.float64), who)
