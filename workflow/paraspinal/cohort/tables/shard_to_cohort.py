"""From one shard's tables to its part of the cohort tables; pure functions on Arrow tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from paraspinal.core.errors import ResultsError
from paraspinal.core.records.schemas import QUALITY, SCANS
from paraspinal.core.records.tables import Row, Table
from paraspinal.core.vocab import LevelNumbering, LevelSource, Light, Status

Visit = dict[str, int | None]
"""Days from the person's first visit, and the number of the visit."""

SCAN_KEY = ("subject", "session", "scan_id")
_LEVELS_KEPT = (
    *SCAN_KEY,
    "level_source",
    "level_numbering",
    "level_scan_id",
    "level_model_sha256",
    "lstv_suspected",
    "activity_id",
)
LEVELS_READ = (*_LEVELS_KEPT, "slabs")
SCANS_READ = (*(n for n in SCANS.names if n not in ("days_from_first_visit", "visit")), "flags")
METRICS_READ = (*SCAN_KEY, "activity_id", "metrics")
"""Columns of the shard tables that the parts are made of; images' geometry need not be read for them."""


def fit(part: pa.Table, table: Table) -> pa.Table:
    """Bring a part to a declared schema; a column it lacks is null and must be allowed to be."""
    arrays = [
        part[field.name].cast(field.type) if field.name in part.column_names else pa.nulls(part.num_rows, field.type)
        for field in table.schema
    ]
    for field, array in zip(table.schema, arrays, strict=True):
        if not field.nullable and array.null_count:
            raise ResultsError(f"{table.name}.{field.name} has nulls it may not have", hint="this is a bug, report it")
    return pa.Table.from_arrays(arrays, schema=table.schema)


def explode(table: pa.Table, column: str, keep: tuple[str, ...]) -> pa.Table:
    """One row per element of a list-of-structs column, with the columns of ``keep`` repeated."""
    lists = table[column].combine_chunks()
    parent = pc.list_parent_indices(lists)
    values = pc.list_flatten(lists)
    columns: dict[str, Any] = {name: table[name].combine_chunks().take(parent) for name in keep}
    columns |= {field.name: pc.struct_field(values, field.name) for field in values.type}
    return pa.table(columns)


def scans_part(quality: pa.Table, visits: Mapping[tuple[str, str], Visit]) -> pa.Table:
    """Add to the scans of a shard which visit they are of."""
    found = [visits[key] for key in zip(quality["subject"].to_pylist(), quality["session"].to_pylist(), strict=True)]
    for name in ("days_from_first_visit", "visit"):
        quality = quality.append_column(name, pa.array([visit[name] for visit in found], pa.int64()))
    return quality


def levels_part(levels: pa.Table) -> pa.Table:
    """One row per scan, level and scheme, with the slices it covers."""
    slabs = explode(levels, "slabs", _LEVELS_KEPT)
    for name, array in _covered(slabs["slice_weights"].combine_chunks()).items():
        slabs = slabs.append_column(name, array)
    slabs = slabs.rename_columns({"confidence": "level_confidence"})
    for name, unknown in (("level_source", LevelSource.NONE), ("level_numbering", LevelNumbering.UNRESOLVED)):
        slabs = slabs.set_column(
            slabs.column_names.index(name), name, pc.fill_null(slabs[name].combine_chunks(), unknown.value)
        )
    return slabs


def _covered(weights: pa.ListArray) -> dict[str, pa.Array]:
    """First and last slice with weight and sum of the weights, for every list of weights; null where none has any."""
    values = pc.fill_null(pc.list_flatten(weights), 0.0).to_numpy(zero_copy_only=False)
    slab = pc.list_parent_indices(weights).to_numpy()
    found = np.flatnonzero(values > 0)
    slabs, first = np.unique(slab[found], return_index=True)
    _, last = np.unique(slab[found][::-1], return_index=True)
    place = place_in_list(weights)[found]
    row = np.zeros(len(weights), np.int64)
    row[slabs] = np.arange(len(slabs))
    is_none = np.ones(len(weights), bool)
    is_none[slabs] = False
    sums = np.bincount(slab, values, len(weights))
    columns = {"first_slice": place[first], "last_slice": place[::-1][last]}
    picked = {}
    for name, column in columns.items():
        values = column[row] if len(column) else row
        picked[name] = pa.array(values, pa.int64(), mask=is_none)
    return picked | {"n_slices": pa.array(sums, pa.float64(), mask=is_none)}


def place_in_list(lists: pa.ListArray) -> np.ndarray:
    """Count the elements of every list from 0, all lists one after the other."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    starts = np.cumsum(lengths) - lengths
    place: np.ndarray = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    return place


def metrics_part(measure: pa.Table) -> pa.Table:
    """One row per scan, muscle, side, level, scheme and fat method."""
    return explode(measure, "metrics", (*SCAN_KEY, "activity_id"))


def quality_part(quality: pa.Table) -> pa.Table:
    """One row per flag, and one green row for each scan without any."""
    keep = (*SCAN_KEY, "activity_id")
    flags = explode(quality, "flags", keep)
    n_flags = pc.fill_null(pc.list_value_length(quality["flags"]), 0)
    unflagged = quality.filter(pc.and_(pc.equal(quality["light"], Light.GREEN.value), pc.equal(n_flags, 0)))
    both = pa.concat_tables([fit(flags, QUALITY), fit(unflagged.select([*keep, "light"]), QUALITY)])
    return both.sort_by([(key, "ascending") for key in QUALITY.key])


def with_late_warnings(quality: pa.Table, warned: Mapping[str, Row]) -> pa.Table:
    """Warn of scans whose stacks ingest warned of once it saw the cohort: a slice less than the protocol has.

    ``warned`` holds status, reason code and detail of every stack with a warning.
    """
    changed = ("status", "reason_code", "detail", "light", "flags")
    rows = quality.select([*changed, "stack_ids"]).to_pylist()
    for row in rows:
        found = next((warned[stack] for stack in row["stack_ids"] if stack in warned), None)
        if found and row["status"] == Status.OK.value:
            row |= {name: found[name] for name in ("status", "reason_code", "detail")}
            flag = {"light": Light.AMBER.value, "reason_code": found["reason_code"], "detail": found["detail"]}
            add_flags(row, [flag])
    return with_columns(quality, changed, rows)


def add_flags(row: Row, flags: Sequence[Row]) -> None:
    """Add amber flags to a row of quality; a green scan turns amber."""
    row["flags"] = [*(row["flags"] or []), *flags]
    row["light"] = Light.AMBER.value if row["light"] == Light.GREEN.value else row["light"]


def with_columns(table: pa.Table, names: Sequence[str], rows: Sequence[Row]) -> pa.Table:
    """Replace the named columns by what ``rows`` hold, one per row of the table."""
    for name in names:
        place = table.column_names.index(name)
        field = table.schema.field(place)
        table = table.set_column(place, field, pa.array([row[name] for row in rows], field.type))
    return table
