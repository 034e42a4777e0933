"""Size and fat per muscle, side and level, and how they change between visits.

Every summary counts each person once: a person's value is the mean over their scans at the first visit that has
the value. Values under a red flag are left out beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from paraspinal.core.levels import STACK
from paraspinal.core.vocab import LevelScheme, Muscle, Side
from paraspinal.stages.report.data import Cohort, sizes
from paraspinal.stages.report.words import SCHEMES, level_order

CELL = ["muscle", "level", "side"]
PAIRED_SCHEMES = (LevelScheme.VERTEBRA_SLAB, LevelScheme.DISC_STACK)
"""Schemes whose levels mean the same at two visits; blocks depend on the field of view."""


@dataclass(frozen=True)
class Spread:
    """A distribution over people: count, quartiles."""

    n: int
    q1: float
    median: float
    q3: float


@dataclass(frozen=True)
class MuscleRow:
    """Size and fat of one muscle, level and side; None where nobody has a value."""

    muscle: Muscle
    level: str
    side: Side
    acsa_mm2: Spread | None
    volume_mm3: Spread | None
    fi: dict[str, Spread]


@dataclass(frozen=True)
class SchemeView:
    """All rows of one level scheme, levels in reading order; ``fi_both`` is fat with left and right averaged."""

    scheme: LevelScheme
    levels: tuple[str, ...]
    methods: tuple[str, ...]
    people: int
    scans: int
    rows: tuple[MuscleRow, ...]
    fi_both: dict[tuple[str, ...], Spread]

    def row(self, muscle: Muscle, level: str, side: Side) -> MuscleRow | None:
        """Find one row."""
        return next((r for r in self.rows if (r.muscle, r.level, r.side) == (muscle, level, side)), None)


@dataclass(frozen=True)
class ChangeRow:
    """Change of one muscle and side from the first to the last visit, over people."""

    muscle: Muscle
    side: Side
    acsa_pct: Spread | None
    fi_pp: dict[str, Spread]


@dataclass(frozen=True)
class Change:
    """Change between visits; ``points`` hold one percent change of size per person."""

    people: int
    days: Spread | None
    methods: tuple[str, ...]
    rows: tuple[ChangeRow, ...]
    points: dict[tuple[Muscle, Side], tuple[float, ...]]


def schemes(cohort: Cohort) -> tuple[SchemeView, ...]:
    """Summarise every level scheme that has a size; schemes in the order of the words."""
    found = cohort.usable
    levels = found["level"] if STACK in found["level"].cat.categories else found["level"].cat.add_categories([STACK])
    found = found.assign(level=levels.fillna(STACK))
    present = set(found.loc[found["acsa_mm2"].notna(), "level_scheme"])
    known = list(cohort.fat_methods)
    return tuple(
        _scheme(scheme, found[found["level_scheme"] == scheme], known) for scheme in SCHEMES if scheme in present
    )


def _scheme(scheme: LevelScheme, rows: pd.DataFrame, fat_methods: list[str]) -> SchemeView:
    size = sizes(rows)
    acsa, volume = (_spreads(size, CELL, column) for column in ("acsa_mm2", "volume_mm3"))
    fi = _spreads(rows, [*CELL, "fi_method"], "fi")
    seen = size[size["acsa_mm2"].notna()]
    levels = [level for level in level_order() if level in set(seen["level"])]
    methods = [m for m in fat_methods if any(key[3] == m for key in fi)]
    cells = [(m, level, side) for m in Muscle for level in levels for side in Side]
    return SchemeView(
        scheme=scheme,
        levels=tuple(levels),
        methods=tuple(methods),
        people=seen["subject"].nunique(),
        scans=len(seen[["subject", "session", "scan_id"]].drop_duplicates()),
        rows=tuple(
            MuscleRow(*cell, acsa.get(cell), volume.get(cell), {m: fi[*cell, m] for m in methods if (*cell, m) in fi})
            for cell in cells
            if cell in acsa
        ),
        fi_both=_spreads(rows, ["muscle", "level", "fi_method"], "fi"),
    )


def person_values(rows: pd.DataFrame, by: list[str], column: str) -> pd.Series:
    """Reduce to one value per person and cell: the mean over scans of the first visit that has a value.

    Returns a series indexed by ``by`` and ``subject``.
    """
    given = rows[rows[column].notna()]
    visits = given.groupby([*by, "subject", "visit_order"], sort=True)[column].mean()
    return visits.groupby([*by, "subject"]).first()


def _spreads(rows: pd.DataFrame, by: list[str], column: str) -> dict[tuple[str, ...], Spread]:
    return summarise(person_values(rows, by, column), by)


def summarise(values: pd.Series, by: list[str]) -> dict[tuple[str, ...], Spread]:
    """Count and quartiles (linear interpolation) of a series per cell of its index."""
    cells = values.groupby(by)
    quartiles = cells.quantile(np.array([0.25, 0.5, 0.75])).unstack()
    counts = cells.size()
    return {
        key: Spread(int(counts[key]), *(float(x) for x in row))
        for key, row in zip(quartiles.index, quartiles.to_numpy(), strict=True)
    }


def sides(cohort: Cohort) -> dict[Muscle, tuple[tuple[float, float], ...]]:
    """Pair left and right cross-section (mm2) per person: the mean over the levels that have both."""
    rows = cohort.usable[cohort.usable["level_scheme"].isin(PAIRED_SCHEMES)]
    values = person_values(sizes(rows), ["muscle", "level_scheme", "level", "side"], "acsa_mm2").unstack("side")
    if not {Side.LEFT, Side.RIGHT} <= set(values):
        return {}
    means = values.dropna().groupby(["muscle", "subject"])[[Side.LEFT, Side.RIGHT]].mean()
    present = set(means.index.get_level_values("muscle"))
    return {m: tuple((float(a), float(b)) for a, b in means.loc[m].to_numpy()) for m in Muscle if m in present}


def change(cohort: Cohort) -> Change:
    """Compare the first with the last measured visit of each person, within the same sequence, level and side.

    A person's change is the mean over the levels and sequences measured at both visits: percent of the first
    value for size, percentage points for fat infiltration (per method).
    """
    rows = cohort.usable[cohort.usable["level_scheme"].isin(PAIRED_SCHEMES)]
    unit = ["muscle", "side", "sequence", "level_scheme", "level"]
    size = _ends(sizes(rows), unit, "acsa_mm2")
    size_pct = (100 * (size["last"] - size["first"]) / size["first"]).groupby(["muscle", "side", "subject"]).mean()
    fat = _ends(rows, [*unit, "fi_method"], "fi")
    fat_pp = (100 * (fat["last"] - fat["first"])).groupby(["muscle", "side", "fi_method", "subject"]).mean()
    size_spreads = summarise(size_pct, ["muscle", "side"])
    fat_spreads = summarise(fat_pp, ["muscle", "side", "fi_method"])
    methods = tuple(m for m in cohort.fat_methods if any(key[2] == m for key in fat_spreads))
    cells = [(m, s) for m in Muscle for s in Side if (m, s) in size_spreads]
    people = size.index.get_level_values("subject").unique()
    return Change(
        people=len(people),
        days=_days(cohort, people),
        methods=methods,
        rows=tuple(
            ChangeRow(*c, size_spreads[c], {m: fat_spreads[*c, m] for m in methods if (*c, m) in fat_spreads})
            for c in cells
        ),
        points={c: tuple(float(x) for x in size_pct.loc[c]) for c in cells},
    )


def _ends(rows: pd.DataFrame, unit: list[str], column: str) -> pd.DataFrame:
    """First and last visit's value of each unit and person; people with one visit drop out."""
    given = rows[rows[column].notna()]
    visits = given.groupby([*unit, "subject", "visit_order"])[column].mean()
    ends = visits.groupby([*unit, "subject"]).agg(["first", "last", "size"])
    return ends.loc[ends["size"] > 1, ["first", "last"]]


def _days(cohort: Cohort, people: pd.Index) -> Spread | None:
    """Days from first to last visit of these people, where the headers say."""
    scans = cohort.scans[cohort.scans["subject"].isin(people)]
    days = scans.groupby("subject")["days_from_first_visit"].agg(lambda d: d.max() - d.min()).dropna()
    days = days[days > 0]
    if not len(days):
        return None
    return Spread(len(days), *(float(x) for x in days.quantile([0.25, 0.5, 0.75])))
