"""Shard tables -> cohort tables. An explicit list of tables goes in, and nothing may get lost on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from paraspinal.cohort.dictionary import write_dictionary
from paraspinal.cohort.outliers import Limits, outliers, with_outliers
from paraspinal.cohort.plan import shard_tables
from paraspinal.cohort.slices import slices_part
from paraspinal.core.errors import CircuitBreakerError, ResultsError
from paraspinal.core.files import atomic_path
from paraspinal.core.registry import INVENTORY_PATH
from paraspinal.core.schemas import INVENTORY, LEVELS, METRICS, QUALITY, SCANS, SLICES
from paraspinal.core.settings import BreakerSettings
from paraspinal.core.tables import Row, Table
from paraspinal.core.vocab import Light, Status


def aggregate(results: Path, breaker: BreakerSettings, limits: Limits | None = None) -> dict[str, int]:
    """Write ``tables/`` from the shard tables of the registry; returns rows per table.

    With ``limits`` values far from those of the like are flagged. Raises CircuitBreakerError if too much failed,
    ResultsError if a stack or scan went missing between stages.
    """
    inventory = _inventory(results)
    shards = [
        {stage: pq.read_table(results / path) for stage, path in zip(_STAGES, paths, strict=True)}
        for paths in zip(*(shard_tables(stage, results) for stage in _STAGES), strict=True)
    ]
    _check_counts(inventory, shards)
    warned = {row["stack_id"]: row for row in inventory.to_pylist() if row["status"] == Status.WARN.value}
    far_off = outliers((shard["measure"] for shard in shards), limits) if limits else {}
    for shard in shards:
        shard["quality"] = with_outliers(_with_late_warnings(shard["quality"], warned), far_off)
    _check_breaker(inventory, shards, breaker)
    visits = _visits(inventory)
    folder = results / "tables"
    counts = {
        "inventory": _write(INVENTORY, folder, iter([inventory])),
        "scans": _write(SCANS, folder, (_scans(shard["quality"], visits) for shard in shards)),
        "levels": _write(LEVELS, folder, (_levels(shard["levels"]) for shard in shards)),
        "metrics": _write(METRICS, folder, (_metrics(shard["measure"]) for shard in shards)),
        "slices": _write(SLICES, folder, (slices_part(shard["measure"]) for shard in shards)),
        "quality": _write(QUALITY, folder, (_quality(shard["quality"]) for shard in shards)),
    }
    write_dictionary(folder / "dictionary.json")
    return counts


_STAGES = ("convert", "levels", "measure", "quality")


def _write(table: Table, folder: Path, parts: Iterator[pa.Table]) -> int:
    """Write parts one after the other, so that memory is bounded by the largest shard; returns the rows written."""
    rows = 0
    with (
        atomic_path(folder / f"{table.name}.parquet") as temporary,
        pq.ParquetWriter(temporary, table.schema, compression="zstd") as writer,
    ):
        writer.write_table(table.schema.empty_table())
        for part in parts:
            fitted = _fit(part, table).sort_by([(key, "ascending") for key in table.key])
            rows += fitted.num_rows
            writer.write_table(fitted)
    return rows


def _fit(part: pa.Table, table: Table) -> pa.Table:
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


def _inventory(results: Path) -> pa.Table:
    """The inventory with the final word on each stack: ingest's, or convert's where it found something wrong.

    What ingest noted later than it wrote the shards, for it shows only across the cohort, convert knows nothing of.
    """
    rows = INVENTORY.read(results / INVENTORY_PATH)
    later = {
        row["stack_id"]: row
        for path in shard_tables("convert", results)
        for row in pq.read_table(results / path, columns=["stack_id", "status", "reason_code", "detail"]).to_pylist()
    }
    for row in rows:
        found = later.get(row["stack_id"])
        if found and Status(row["status"]).is_usable and found["status"] not in (row["status"], Status.OK.value):
            row |= {k: found[k] for k in ("status", "reason_code", "detail")} | {"decided_by": "convert"}
    return INVENTORY.arrow(rows)


def _with_late_warnings(quality: pa.Table, warned: dict[str, Row]) -> pa.Table:
    """Warn of scans whose stacks ingest warned of once it saw the cohort: a slice less than the protocol has."""
    rows = quality.to_pylist()
    for row in rows:
        found = next((warned[stack] for stack in row["stack_ids"] if stack in warned), None)
        if found and row["status"] == Status.OK.value:
            row |= {name: found[name] for name in ("status", "reason_code", "detail")}
            flag = {"light": Light.AMBER.value, "reason_code": found["reason_code"], "detail": found["detail"]}
            row["flags"] = [*(row["flags"] or []), flag]
            row["light"] = Light.AMBER.value if row["light"] == Light.GREEN.value else row["light"]
    return pa.Table.from_pylist(rows, schema=quality.schema)


def _visits(inventory: pa.Table) -> dict[tuple[str, str], dict[str, int | None]]:
    """Days from the first visit, and the number of the visit, by (subject, session)."""
    sessions = inventory.select(["subject", "session", "days_from_first_visit"]).filter(
        pc.is_valid(inventory["session"])
    )
    frame = sessions.group_by(["subject", "session"]).aggregate([("days_from_first_visit", "min")]).to_pandas()
    days = frame["days_from_first_visit_min"]
    visit = days.groupby(frame["subject"]).rank(method="dense")
    columns = (frame["subject"], frame["session"], days.astype("Int64"), visit.astype("Int64"))
    return {
        (subject, session): {"days_from_first_visit": _int(day), "visit": _int(number)}
        for subject, session, day, number in zip(*columns, strict=True)
    }


def _int(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)


def _scans(quality: pa.Table, visits: dict[tuple[str, str], dict[str, int | None]]) -> pa.Table:
    keys = zip(quality["subject"].to_pylist(), quality["session"].to_pylist(), strict=True)
    found = [visits[key] for key in keys]
    for name in ("days_from_first_visit", "visit"):
        quality = quality.append_column(name, pa.array([visit[name] for visit in found], pa.int64()))
    return quality


def _levels(table: pa.Table) -> pa.Table:
    keep = (
        "subject",
        "session",
        "scan_id",
        "level_source",
        "level_numbering",
        "level_scan_id",
        "lstv_suspected",
        "activity_id",
    )
    slabs = explode(table, "slabs", keep)
    weights = slabs["slice_weights"].to_pylist()
    covered = [[k for k, w in enumerate(row or []) if w > 0] for row in weights]
    for name, values, kind in (
        ("first_slice", [c[0] if c else None for c in covered], pa.int64()),
        ("last_slice", [c[-1] if c else None for c in covered], pa.int64()),
        ("n_slices", [sum(row) if c else None for row, c in zip(weights, covered, strict=True)], pa.float64()),
    ):
        slabs = slabs.append_column(name, pa.array(values, kind))
    slabs = slabs.rename_columns({"confidence": "level_confidence"})
    source = pc.fill_null(slabs["level_source"], "none")
    numbering = pc.fill_null(slabs["level_numbering"], "unresolved")
    return (
        slabs.drop(["level_source", "level_numbering"])
        .append_column("level_source", source)
        .append_column("level_numbering", numbering)
    )


def _metrics(table: pa.Table) -> pa.Table:
    return explode(table, "metrics", ("subject", "session", "scan_id", "activity_id"))


def _quality(table: pa.Table) -> pa.Table:
    """One row per flag, and one green row for each scan without any."""
    keep = ("subject", "session", "scan_id", "activity_id")
    flags = explode(table, "flags", keep)
    unflagged = table.filter(pc.and_(pc.equal(table["light"], Light.GREEN.value), pc.equal(_length(table["flags"]), 0)))
    plain = unflagged.select([*keep, "light"])
    return pa.concat_tables([_fit(flags, QUALITY), _fit(plain, QUALITY)])


def _length(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(pc.list_value_length(lists), 0)


def _check_counts(inventory: pa.Table, shards: list[dict[str, pa.Table]]) -> None:
    """Every usable stack is in exactly one scan, and every stage has the same scans."""
    usable = {
        row["stack_id"]
        for row in inventory.select(["stack_id", "session", "status"]).to_pylist()
        if row["session"] and Status(row["status"]).is_usable
    }
    in_scans = Counter(
        stack for shard in shards for stack in pc.list_flatten(shard["quality"]["stack_ids"]).to_pylist()
    )
    if set(in_scans) != usable or any(n != 1 for n in in_scans.values()):
        raise ResultsError(
            f"{len(usable)} usable stacks, but {len(in_scans)} in scans", hint="this is a bug, report it"
        )
    for shard in shards:
        scans = [sorted(shard[stage]["scan_id"].to_pylist()) for stage in ("levels", "measure", "quality")]
        if scans[0] != scans[1] or scans[1] != scans[2]:
            raise ResultsError("stages disagree on the scans of a shard", hint="this is a bug, report it")


def _check_breaker(inventory: pa.Table, shards: list[dict[str, pa.Table]], breaker: BreakerSettings) -> None:
    """Stop when so much failed, or failed for one reason, that what is left would mislead."""
    groups = {
        "stacks": inventory.filter(pc.is_valid(inventory["session"])).select(["status", "reason_code"]).to_pylist(),
        "scans": [row for shard in shards for row in shard["quality"].select(["status", "reason_code"]).to_pylist()],
    }
    for what, rows in groups.items():
        counted = [row for row in rows if row["status"] != Status.EXCLUDED.value]
        bad = [row for row in counted if Status(row["status"]).is_failure]
        if len(counted) >= breaker.min_items and len(bad) > breaker.max_failed_frac * len(counted):
            reasons = ", ".join(f"{reason} {n}" for reason, n in Counter(r["reason_code"] for r in bad).most_common(3))
            raise CircuitBreakerError(
                f"{len(bad)} of {len(counted)} {what} failed ({reasons})",
                hint="see `paraspinal status`; breaker.max_failed_frac sets the limit",
            )
