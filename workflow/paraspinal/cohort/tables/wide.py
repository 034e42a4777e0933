"""One row per person and visit, one column per measure: the table that statistics programs want.

A column's name says where its value comes from, part by part, so that it can be taken apart again:
``sequence_muscle_side_level_scheme_measure_method``, for example ``dx_mf_l_l4_slab_acsa`` or
``t2_es_r_l1l5_blk_fi_gm``. Names are ASCII, lower case, begin with a letter and have at most 32 characters.

Where a visit has several scans of a sequence, every level is taken from one scan, the same for all muscles: that with
the better light, then with more values, then with the greater part of the level in view.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Sequences
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from paraspinal.core.errors import ConfigError
from paraspinal.core.levels import all_levels
from paraspinal.core.records.people_schemas import COVARIATES, PARTICIPANTS
from paraspinal.core.records.schemas import COHORT_TABLES, METRICS, QUALITY, SCANS
from paraspinal.core.records.tables import Column
from paraspinal.core.vocab import LevelScheme, Light, Muscle, Sequence, Side
from paraspinal.stages.report.data import SCAN_KEY, FatMethodWords, flagged, read_arrow, read_fat_methods, read_table

SEQUENCES = {
    Sequence.T1W: "t1", Sequence.T2W: "t2", Sequence.PDW: "pd", Sequence.STIR: "st", Sequence.FLAIR: "fl",
    Sequence.DIXON: "dx", Sequence.OTHER: "ot", Sequence.UNKNOWN: "un",
}  # fmt: skip
MUSCLES = {
    Muscle.MULTIFIDUS: "mf", Muscle.ERECTOR_SPINAE: "es", Muscle.PSOAS_MAJOR: "pm", Muscle.QUADRATUS_LUMBORUM: "ql",
}  # fmt: skip
SIDES = {Side.LEFT: "l", Side.RIGHT: "r"}
SCHEMES = {
    LevelScheme.VERTEBRA_SLAB: "slab", LevelScheme.VERTEBRA_MID: "mid", LevelScheme.DISC_MID: "disc",
    LevelScheme.DISC_STACK: "dstk", LevelScheme.SLICE_BLOCK: "blk", LevelScheme.PLANE_BLOCK: "pblk",
    LevelScheme.NONE: "none",
}  # fmt: skip
"""The parts of a name, but for the fat method, which brings its own. A test builds every name there can be."""

WIDE = "wide"
"""The name of the table that is made when it is exported."""
DEFAULT_SCHEMES = (
    LevelScheme.VERTEBRA_SLAB, LevelScheme.DISC_STACK, LevelScheme.SLICE_BLOCK, LevelScheme.PLANE_BLOCK,
)  # fmt: skip
DEFAULT_MEASURES = ("acsa_mm2", "volume_mm3", "fcsa_mm2", "rcsa_vb", "asym_signed_pct", "fi")
MAX_NAME = 32
PERSON = (
    "visit", "days_from_first_visit", "sex", "age_years", "site", "manufacturer", "scanner_model", "field_strength_t",
)  # fmt: skip
"""Columns of the scans that are taken over once a visit: the first that is stated, measured scans first."""

Floats = NDArray[np.float64]

_UNIT = re.compile(r"_(mm|mm2|mm3|pct|deg|frac)$")
_CELL = ["sequence", "level_scheme", "level"]
_VISIT = ["subject", "session"]
_LIGHTS = (Light.GREEN.value, Light.AMBER.value, Light.RED.value)


class Cell(NamedTuple):
    """What a column of the wide table holds; ``side`` is empty for asymmetry, ``method`` None for what needs no fat."""

    sequence: str
    muscle: str
    side: str
    level: str
    scheme: str
    measure: str
    method: FatMethodWords | None

    @property
    def name(self) -> str:
        """The name of the column."""
        parts = (
            SEQUENCES[Sequence(self.sequence)],
            MUSCLES[Muscle(self.muscle)],
            SIDES[Side(self.side)] if self.side else "",
            {"stack": "all"}.get(self.level, self.level.replace("_", "").lower()),
            SCHEMES[LevelScheme(self.scheme)],
            _UNIT.sub("", self.measure)[: 9 if needs_method(self.measure) else 12].rstrip("_"),
            self.method.short_name if self.method else "",
        )
        return "_".join(part for part in parts if part)

    def column(self) -> Column:
        """Describe the column after the one of the metrics table it is made of."""
        source = measures()[self.measure]
        method = f", {self.method.name}" if self.method else ""
        side = f" {self.side}" if self.side else ""
        where = f"{self.muscle.replace('_', ' ')}{side} {self.level} {self.scheme}, {self.sequence}{method}"
        text = f"{self.measure}: {where}; {source.description}"
        return Column(self.name, pa.float64(), text, source.unit, source.formula, "not measured, or under a red flag")


def needs_method(measure: str) -> bool:
    """Whether a measure differs between the fat methods of one muscle."""
    return measure == "fi" or measure.startswith(("fi_", "fcsa"))


def measures() -> dict[str, Column]:
    """The columns of the metrics table that can be taken into the wide one."""
    return {c.name: c for c in METRICS.columns if c.type == pa.float64()}


def cohort_table(results: Path, name: str, schemes: Sequences[str] = (), chosen: Sequences[str] = ()) -> pa.Table:
    """Read a cohort table by its name, or make the wide one. Raises ConfigError for a name there is not."""
    known = {table.name: table for table in COHORT_TABLES}
    if name == WIDE:
        return wide(results, schemes, chosen)
    if name not in known:
        raise ConfigError("no such table", hint=f"one of {WIDE}, {', '.join(known)}")
    return read_arrow(known[name], results / "tables")


def wide(results: Path, schemes: Sequences[str] = (), chosen: Sequences[str] = ()) -> pa.Table:
    """Turn the cohort tables into one row per visit with a usable image, whether anything was measured or not.

    ``schemes`` and ``chosen`` name level schemes and columns of the metrics table. Values under a red flag are left
    out. Raises ConfigError for an unknown scheme or measure, InputError if a table is missing.
    """
    schemes, chosen = schemes or DEFAULT_SCHEMES, chosen or DEFAULT_MEASURES
    for what, asked, words in (("scheme", schemes, list(SCHEMES)), ("measure", chosen, list(measures()))):
        if unknown := sorted(set(asked) - set(words)):
            raise ConfigError(f"no such {what}: {', '.join(unknown)}", hint=f"one of {', '.join(words)}")
    tables = results / "tables"
    scans = read_table(SCANS, tables)
    needed = [*METRICS.key, "sequence", "coverage_frac", "level_confidence", "acsa_mm2", *chosen]
    rows = read_table(METRICS, tables, list(dict.fromkeys(needed)), pc.field("level_scheme").isin(list(schemes)))
    rows = rows[rows["acsa_mm2"].notna() & ~flagged(rows, read_table(QUALITY, tables), Light.RED)]
    best = _of_best_scans(rows, scans)
    visits, described = _visits(rows, best, scans)
    visits, known = _with_people(visits, read_table(PARTICIPANTS, tables), read_table(COVARIATES, tables))
    described += known
    arrays = [pa.array(visits[column.name], column.type, from_pandas=True) for column in described]
    fat_methods = read_fat_methods(tables, best["fi_method"].unique())
    for cell, values in _cells(best, visits, chosen, fat_methods):
        described.append(cell.column())
        arrays.append(pa.array(values, pa.float64(), from_pandas=True))
    return pa.Table.from_arrays(arrays, schema=pa.schema([column.field() for column in described]))


def _of_best_scans(rows: pd.DataFrame, scans: pd.DataFrame) -> pd.DataFrame:
    """Keep, for every visit, sequence and level, the rows of the one scan that shows it best."""
    each = [*SCAN_KEY, *_CELL]
    found = rows.groupby(each, dropna=False).agg(
        n=("acsa_mm2", "size"), coverage=("coverage_frac", "max"), trust=("level_confidence", "max")
    )
    ranked = found.reset_index().merge(_lights(scans), how="left", on=SCAN_KEY)
    order = {"rank": True, "n": False, "coverage": False, "trust": False, "scan_id": True}
    ranked = ranked.sort_values(list(order), ascending=list(order.values()), kind="stable")
    return rows.merge(ranked.drop_duplicates([*_VISIT, *_CELL])[each], how="inner", on=each)


def _lights(scans: pd.DataFrame) -> pd.DataFrame:
    rank = {light: place for place, light in enumerate(_LIGHTS)}
    return scans[[*SCAN_KEY]].assign(rank=scans["light"].map(rank))


def _visits(rows: pd.DataFrame, best: pd.DataFrame, scans: pd.DataFrame) -> tuple[pd.DataFrame, list[Column]]:
    """What is known of every visit, sorted by person and visit, and the columns that say it."""
    measured = rows[SCAN_KEY].drop_duplicates().assign(is_measured=True)
    ordered = scans.merge(measured, how="left", on=SCAN_KEY).sort_values(
        ["subject", "visit", "session", "is_measured", "scan_id"], kind="stable"
    )
    visits = ordered.groupby(_VISIT, sort=False)[list(PERSON)].first().reset_index()
    described = [column for column in SCANS.columns if column.name in (*_VISIT, *PERSON)]
    used = best[[*SCAN_KEY, "sequence"]].drop_duplicates()
    worst = used.merge(_lights(scans), on=SCAN_KEY).groupby([*_VISIT, "sequence"])["rank"].max()
    count = rows[[*SCAN_KEY, "sequence"]].drop_duplicates().groupby([*_VISIT, "sequence"]).size()
    keys = pd.MultiIndex.from_frame(visits[_VISIT])
    for sequence, code in SEQUENCES.items():
        if sequence in set(used["sequence"]):
            n, light = (found.xs(sequence, level="sequence").reindex(keys) for found in (count, worst))
            visits[f"{code}_n_scans"] = n.fillna(0).astype("int64").to_numpy()
            visits[f"{code}_light"] = light.map(dict(enumerate(_LIGHTS))).to_numpy()
            what = f"measured {sequence} scans of the visit"
            described.append(Column(f"{code}_n_scans", pa.int64(), what, "scan"))
            what = f"worst light of the {sequence} scans used"
            described.append(Column(f"{code}_light", pa.string(), what, null_meaning="no such scan is used"))
    return visits, described


def _with_people(visits: pd.DataFrame, people: pd.DataFrame, facts: pd.DataFrame) -> tuple[pd.DataFrame, list[Column]]:
    """Add what is known of the person; covariates of the user's own sheet become columns ``c_name``."""
    taken = {name: name for name in ("height_cm", "weight_kg", "bmi_kg_m2", "centre")}
    taken |= {"sex": "person_sex", "age_years": "person_age_years"}
    closed = {c.name: c for c in PARTICIPANTS.columns}
    described = [replace(closed[name], name=new) for name, new in taken.items()]
    joined = people[["subject", *taken]].rename(columns=taken)
    for name, found in facts[~facts["covariate"].isin(closed)].groupby("covariate"):
        is_number = bool(found["number"].notna().all())
        values = found.set_index("subject")["number" if is_number else "value"].rename(f"c_{name}")
        kind = pa.float64() if is_number else pa.string()
        missing = "the participants sheet does not say"
        described.append(Column(f"c_{name}", kind, f"{name}, from the participants sheet", null_meaning=missing))
        joined = joined.join(values, on="subject")
    return visits.merge(joined, how="left", on="subject"), described


def _cells(
    rows: pd.DataFrame, visits: pd.DataFrame, chosen: Sequences[str], fat_methods: Mapping[str, FatMethodWords]
) -> Iterator[tuple[Cell, Floats]]:
    """Yield every column that has a value, in the order of the vocabularies, with a value per visit (NaN: none)."""
    place = pd.Series(range(len(visits)), pd.MultiIndex.from_frame(visits[_VISIT]))
    at = place.reindex(pd.MultiIndex.from_frame(rows[_VISIT])).to_numpy()
    # Without a fat method a column holds the same value on every row of a muscle; so does asymmetry on both sides.
    parts = ["sequence", "muscle", "side", "level", "level_scheme", "fi_method"]
    groups = rows[parts].astype(object).where(rows[parts].notna(), "").groupby(parts, sort=False)
    columns: dict[Cell, Floats] = {}
    for key, found in groups.indices.items():
        sequence, muscle, side, level, scheme, method = (str(part) for part in cast(tuple[Any, ...], key))
        for measure in chosen:
            values = rows[measure].to_numpy()[found]
            if np.isnan(values).all() or (needs_method(measure) and not method):
                continue
            cell = Cell(
                sequence, muscle, "" if measure.startswith("asym") else side, level, scheme, measure,
                fat_methods[method] if needs_method(measure) else None,
            )  # fmt: skip
            column = columns.setdefault(cell, np.full(len(visits), np.nan))
            column[at[found]] = values
    yield from sorted(columns.items(), key=lambda item: _order(item[0], chosen))


def _order(cell: Cell, chosen: Sequences[str]) -> tuple[Any, ...]:
    levels = [level.name for level in all_levels()]
    return (
        list(SEQUENCES).index(Sequence(cell.sequence)), list(chosen).index(cell.measure),
        list(SCHEMES).index(LevelScheme(cell.scheme)), list(MUSCLES).index(Muscle(cell.muscle)),
        levels.index(cell.level) if cell.level in levels else len(levels), ["", *SIDES].index(cell.side),
        cell.method.title if cell.method else "",
    )  # fmt: skip
