"""Values far from those of comparable scans: the same muscle, side, level, sequence and sex, over the whole cohort.

This needs every shard at once, so it is a step of the aggregation and not of the quality stage: a shard's flags do not
change when another shard gains a scan, and nothing is computed again but this.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from paraspinal.cohort.tables.shard_to_cohort import add_flags, with_columns
from paraspinal.core.records.tables import Row
from paraspinal.core.settings import QualitySettings
from paraspinal.core.vocab import LevelScheme, Light, Reason

MAD_TO_SD = 1.4826
"""A normal distribution has this many times its median absolute deviation as standard deviation."""
SCHEMES = (LevelScheme.VERTEBRA_SLAB, LevelScheme.DISC_STACK)
"""Levels that are the same part of every body; a stack is as long as it was planned."""
LIKE = ("muscle", "side", "level", "level_scheme", "sequence", "sex")
_METRICS_READ = ("muscle", "side", "level", "level_scheme", "sequence", "fi_method", "acsa_mm2", "fi")
OUTLIERS_READ = ("scan_id", "sex", *(f"metrics.list.element.{name}" for name in _METRICS_READ))
"""Columns of the measure tables that are looked at, by their names in Parquet: reading all of them takes four times as
long."""
SIZE = "acsa_mm2"
"""The size that is judged; fat infiltration is judged by the name of its method."""


@dataclass(frozen=True)
class Limits:
    """How far from the median is far, and how many scans are a group."""

    max_robust_z: float
    min_peers: int

    @classmethod
    def of(cls, settings: QualitySettings) -> Limits:
        """Take the limits out of the settings."""
        return cls(settings.max_robust_z, settings.min_peers)


def outliers(measured: Iterable[pa.Table], limits: Limits) -> dict[str, list[Row]]:
    """Flags (structs of the column ``flags``) by scan, from the measure tables of all shards.

    The robust z of x is (x - median) / (1.4826 * MAD) (Iglewicz & Hoaglin 1993); size and every method of fat
    infiltration are judged apart. Groups below ``min_peers`` scans, or without any spread, judge nobody. A sex that
    is not stated is a group of its own.
    """
    parts = [_values(table) for table in measured]
    values = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if values.empty:
        return {}
    groups = values.groupby([*LIKE, "what"], dropna=False, observed=True)["value"]
    values["n"], values["median"] = groups.transform("size"), groups.transform("median")
    off = (values["value"] - values["median"]).abs()
    spread = off.groupby([values[name] for name in (*LIKE, "what")], dropna=False, observed=True).transform("median")
    values["z"] = (values["value"] - values["median"]) / (MAD_TO_SD * spread).where(spread > 0, np.nan)
    far = values[(values["n"] >= limits.min_peers) & (values["z"].abs() > limits.max_robust_z)]
    found: dict[str, list[Row]] = {}
    for row in far.sort_values(["scan_id", "level", "muscle", "side", "what"]).to_dict("records"):
        found.setdefault(row["scan_id"], []).append(_flag(row, limits))
    return found


def _flag(row: Mapping[Hashable, Any], limits: Limits) -> Row:
    """One value as a flag, with its z, the median of the group and its size."""
    what = str(row["what"])
    digits, unit = (".0f", " mm2") if what == SIZE else (".2f", "")
    detail = (
        f"{what} {row['value']:{digits}}{unit}, robust z {row['z']:+.1f} from {row['median']:{digits}}{unit} "
        f"among {row['n']} alike, limit {limits.max_robust_z:g}"
    )
    where = {name: row[name] for name in ("muscle", "side", "level")}
    return {**where, "light": Light.AMBER.value, "reason_code": Reason.OUTLIER.value, "detail": detail}


def _values(measure: pa.Table) -> pd.DataFrame:
    """One row per value to judge: scan, what makes it alike, ``what`` it is, and the value."""
    scans = measure["metrics"].combine_chunks()
    metrics, parent = pc.list_flatten(scans), pc.list_parent_indices(scans)
    columns = {name: pc.struct_field(metrics, name) for name in _METRICS_READ}
    columns |= {name: measure[name].combine_chunks().take(parent) for name in ("scan_id", "sex")}
    table = pa.table(columns)
    rows = table.filter(pc.is_in(table["level_scheme"], pa.array([s.value for s in SCHEMES]))).to_pandas()
    keep = ["scan_id", *LIKE]
    sizes = rows.drop_duplicates(keep)[[*keep, "acsa_mm2"]].rename(columns={"acsa_mm2": "value"})
    fats = rows[[*keep, "fi_method", "fi"]].rename(columns={"fi": "value", "fi_method": "what"})
    found: pd.DataFrame = pd.concat([sizes.assign(what=SIZE), fats], ignore_index=True).dropna(subset=["value"])
    return found


def with_outliers(quality: pa.Table, flagged: Mapping[str, list[Row]]) -> pa.Table:
    """Add flags to the scans of a shard; a green scan that gets one turns amber."""
    rows = quality.select(["scan_id", "light", "flags"]).to_pylist()
    for row in rows:
        if more := flagged.get(row["scan_id"]):
            add_flags(row, more)
    return with_columns(quality, ("light", "flags"), rows)
