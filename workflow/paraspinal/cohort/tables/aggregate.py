"""Shard tables -> cohort tables. An explicit list of tables goes in, and nothing may get lost on the way.

Shards are read one after the other, so that memory follows the largest shard and the inventory's keys, and not the
cohort. A row group of a cohort table holds whole shards: all rows of a session stand together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from paraspinal.cohort.running.plan import SHARD_STAGES, scan_sources
from paraspinal.cohort.tables.checks import Tallies, check_counts, check_failure_limit
from paraspinal.cohort.tables.dictionary import write_dictionary
from paraspinal.cohort.tables.outliers import OUTLIERS_READ, Limits, outliers, with_outliers
from paraspinal.cohort.tables.people import INVENTORY_READ, participants
from paraspinal.cohort.tables.shard_to_cohort import (
    LEVELS_READ,
    METRICS_READ,
    SCAN_KEY,
    SCANS_READ,
    Visit,
    fit,
    levels_part,
    metrics_part,
    quality_part,
    scans_part,
    with_late_warnings,
)
from paraspinal.cohort.tables.slices import SLICES_READ, slices_part
from paraspinal.core.errors import DamagedError
from paraspinal.core.files import atomic_path
from paraspinal.core.records.people_schemas import COVARIATES, PARTICIPANTS
from paraspinal.core.records.receipts import ACTIVITIES, UNITS, units_path
from paraspinal.core.records.registry import INVENTORY_PATH, SHEET_FACTS_PATH, Registry
from paraspinal.core.records.schemas import CONVERT, INVENTORY, LEVELS, METRICS, QUALITY, SCANS, SLICES
from paraspinal.core.records.seals import COHORT, is_sealed
from paraspinal.core.records.tables import Row, Table
from paraspinal.core.records.views import Source, read_view
from paraspinal.core.settings import FailureLimitSettings
from paraspinal.core.vocab import Status

ROW_GROUP_ROWS = 100_000
"""Shards are gathered to a row group of about so many rows: enough to compress and to skip, little to hold."""
_STATE = ("status", "reason_code", "detail")
_USABLE = pa.array([s.value for s in Status if s.is_usable])


def aggregate(results: Path, failure_limit: FailureLimitSettings, limits: Limits | None = None) -> dict[str, int]:
    """Write ``tables/`` from the shard tables of the registry; returns rows per table.

    With ``limits`` values far from those of comparable scans are flagged. Raises CircuitBreakerError if too much
    failed, ResultsError if a stack or scan went missing between stages, DamagedError if a shard table is not as it was
    written.
    """
    if not is_sealed(results, "ingest", COHORT):
        raise DamagedError("the inventory is not as it was written")
    overruled = _overruled(results)
    tallies = Tallies()
    for part in _inventory(results, overruled):
        tallies.add_stacks(part)
    warned = tallies.warned
    flagged = outliers(_scans(results, OUTLIERS_READ), limits) if limits else {}

    def scans() -> Iterator[pa.Table]:
        return (with_outliers(with_late_warnings(part, warned), flagged) for part in _scans(results, SCANS_READ))

    for part in scans():
        tallies.add_scans(part)
    check_counts(tallies)
    check_failure_limit(tallies, failure_limit)
    visits = _visits(results)
    folder = results / "tables"
    counts = {
        "inventory": _write(INVENTORY, folder, _inventory(results, overruled)),
        "scans": _write(SCANS, folder, (scans_part(part, visits) for part in scans())),
        "levels": _write(LEVELS, folder, map(levels_part, _scans(results, LEVELS_READ))),
        "metrics": _write(METRICS, folder, map(metrics_part, _scans(results, METRICS_READ))),
        "slices": _write(SLICES, folder, map(slices_part, _scans(results, SLICES_READ))),
        "quality": _write(QUALITY, folder, map(quality_part, scans())),
        "participants": _write(PARTICIPANTS, folder, [participants(_people(results), _facts(results))]),
        "covariates": _write(COVARIATES, folder, [_facts(results)]),
        "activities": _write(ACTIVITIES, folder, _activities(results)),
    }
    write_dictionary(folder / "dictionary.json")
    return counts


def _scans(results: Path, columns: tuple[str, ...]) -> Iterator[pa.Table]:
    """What is known of the scans of every shard, one after the other; ``columns`` may name parts of structs.

    ``activity_id`` is that of the last stage that makes one of the columns.
    """
    for shard in Registry.read(results).shard_numbers:
        yield read_view(results, _makers(columns), shard, columns)


def _makers(columns: tuple[str, ...]) -> list[Source]:
    """The stages up to the last that makes one of these columns, so that keys and receipts are those of that one."""
    tops = {column.split(".")[0] for column in columns} - {"activity_id", *SCAN_KEY, *_STATE}
    every = scan_sources()
    last = max((place for place, source in enumerate(every) if tops & set(source.table.names)), default=0)
    return every[: last + 1]


def _activities(results: Path) -> Iterator[pa.Table]:
    """The units of all shards of a stage, stage after stage."""
    for stage in sorted(SHARD_STAGES):
        for shard in Registry.read(results).shard_numbers:
            units = UNITS.read_arrow(units_path(results, stage, shard))
            yield units.add_column(0, "stage", pa.array([stage] * len(units), pa.string()))


def _write(table: Table, folder: Path, parts: Iterable[pa.Table]) -> int:
    """Write parts, several to a row group; returns the rows written.

    Shard tables are sorted by session and scan, so the parts are; within a scan rows stay in the order of measuring.
    """
    rows = 0
    waiting: list[pa.Table] = []
    with (
        atomic_path(folder / f"{table.name}.parquet") as temporary,
        pq.ParquetWriter(
            temporary, table.schema, compression="zstd", use_dictionary=_texts(table), write_page_checksum=True
        ) as writer,
    ):

        def flush() -> None:
            writer.write_table(pa.concat_tables([table.schema.empty_table(), *waiting]))
            waiting.clear()

        for part in parts:
            waiting.append(fit(part, table))
            rows += part.num_rows
            if sum(found.num_rows for found in waiting) >= ROW_GROUP_ROWS:
                flush()
        flush()
    return rows


def _texts(table: Table) -> list[str]:
    """Columns whose values repeat; measures hardly do, and looking for it costs as much as writing them."""
    return [column.name for column in table.columns if column.type != pa.float64()]


def _overruled(results: Path) -> dict[str, Row]:
    """What convert found wrong with stacks, by stack.

    Of what ingest noted later than it wrote the shards, for it shows only across the cohort, convert knows nothing.
    """
    found: dict[str, Row] = {}
    for shard in Registry.read(results).shard_numbers:
        part = read_view(results, [Source("convert", CONVERT)], shard, ("stack_id", *_STATE))
        doubtful = part.filter(pc.not_equal(part["status"], Status.OK.value))
        found |= {row.pop("stack_id"): row for row in doubtful.to_pylist()}
    return found


def _inventory(results: Path, overruled: dict[str, Row]) -> Iterator[pa.Table]:
    """The inventory with the final word on each stack: ingest's, or convert's where it found something wrong."""
    with pq.ParquetFile(results / INVENTORY_PATH) as file:
        for batch in file.iter_batches(batch_size=ROW_GROUP_ROWS):
            part = fit(pa.Table.from_batches([batch]), INVENTORY)
            yield _with_final_word(part, overruled)


def _with_final_word(part: pa.Table, overruled: dict[str, Row]) -> pa.Table:
    columns: dict[str, list[Any]] = {name: part[name].to_pylist() for name in (*_STATE, "decided_by")}
    usable = pc.is_in(part["status"], _USABLE).to_pylist()
    for place, (stack, is_usable) in enumerate(zip(part["stack_id"].to_pylist(), usable, strict=True)):
        found = overruled.get(stack)
        if found and is_usable and found["status"] != columns["status"][place]:
            for name in _STATE:
                columns[name][place] = found[name]
            columns["decided_by"][place] = "convert"
    for name, values in columns.items():
        at = part.column_names.index(name)
        part = part.set_column(at, part.schema.field(at), pa.array(values, pa.string()))
    return part


def _visits(results: Path) -> dict[tuple[str, str], Visit]:
    """Days from the first visit, and the number of the visit, by (subject, session)."""
    sessions = pq.read_table(
        results / INVENTORY_PATH,
        columns=["subject", "session", "days_from_first_visit"],
        filters=pc.is_valid(pc.field("session")),
    )
    frame = sessions.group_by(["subject", "session"]).aggregate([("days_from_first_visit", "min")]).to_pandas()
    days = frame["days_from_first_visit_min"]
    visit = days.groupby(frame["subject"]).rank(method="dense")
    columns = (frame["subject"], frame["session"], days.astype("Int64"), visit.astype("Int64"))
    return {
        (subject, session): {"days_from_first_visit": _int(day), "visit": _int(number)}
        for subject, session, day, number in zip(*columns, strict=True)
    }


def _people(results: Path) -> pa.Table:
    return pq.read_table(results / INVENTORY_PATH, columns=list(INVENTORY_READ))


def _facts(results: Path) -> pa.Table:
    """What the participants sheet says; nothing where there is none."""
    return COVARIATES.read_arrow(results / SHEET_FACTS_PATH)


def _int(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)
