"""The shard loop all stages share: one unit of work after the other, each done once, none able to stop the rest.

A stage is a pure function from rows of earlier stages on one session (or one scan) to its own rows. The loop adds
what every stage needs: reuse by receipt, statuses, artifacts, and an atomic shard table, summed up and sealed, at the
end.
"""

from __future__ import annotations

import logging
import resource
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paraspinal.core.errors import CircuitBreakerError
from paraspinal.core.files import sha256_file, sha256_json
from paraspinal.core.ordered_thread_map import in_order
from paraspinal.core.records.environments import record_environment
from paraspinal.core.records.notes import Note, running_job
from paraspinal.core.records.receipts import (
    UNITS,
    Activity,
    Receipt,
    artifacts_of,
    receipt_path,
    recipe_digest,
    unit_row,
    units_path,
)
from paraspinal.core.records.registry import shard_path
from paraspinal.core.records.seals import read_seal, write_seal
from paraspinal.core.records.stage import Stage, Unit
from paraspinal.core.records.tables import Row
from paraspinal.core.records.views import BEFORE, Source, read_rows
from paraspinal.core.records.work import Work
from paraspinal.core.settings import Settings
from paraspinal.core.vocab import Reason, Status

log = logging.getLogger(__name__)

MAX_SAME_FAULTS = 5
"""A shard stops when its first so many visits all met the same software error: it is not in the images then."""


@dataclass(frozen=True)
class Tally:
    """What a shard run did: units of work computed and reused, and items by status."""

    computed: int
    reused: int
    items: Mapping[str, int]


@dataclass(frozen=True)
class _Job:
    """One stage on one shard: what all its units have in common."""

    stage: Stage
    recipe: Activity
    results: Path
    settings: Settings
    shard: int
    environment: str
    earlier: Mapping[str, str]
    """sha256 of the artifacts of earlier stages, by path."""
    shared: dict[str, Any]


def run_shard(
    stage: Stage,
    sources: Sequence[Source],
    results: Path,
    settings: Settings,
    shard: int,
    *,
    before: Sequence[str] = (),
    version: str = "",
    workers: int = 1,
) -> Tally:
    """Bring one shard of one stage up to date and write its table, ``workers`` units side by side if it may be so.

    Reads the shard tables of ``sources`` and the artifacts of the stages ``before``; reuses every unit whose receipt
    still holds, does the others, and writes its own table, units and seal at the end. Killed at any point it resumes
    with the next unit. A job that outlived a killed run is waited for, so that two never work on one shard.
    ``version`` is that of this package, for the receipts. Raises DamagedError where a table or an artifact it reads is
    not as it was written.
    """
    with running_job(results, stage.name, shard):
        environment = record_environment(results, version, stage.device(settings))
        earlier = artifacts_of_stages(results, before, shard)
        recipe = stage.recipe(settings)
        return _run_shard(_Job(stage, recipe, results, settings, shard, environment, earlier, {}), sources, workers)


def tables_digest(results: Path, sources: Sequence[Source], shard: int) -> str:
    """Digest the tables of a shard that a stage reads, by their seals; they need not be opened for it."""
    return sha256_json([sorted(read_seal(results, source.stage, shard).items()) for source in sources])


def artifacts_of_stages(results: Path, stages: Sequence[str], shard: int) -> dict[str, str]:
    """What some stages wrote for a shard: sha256 by path."""
    paths = [path for stage in stages if (path := units_path(results, stage, shard)).exists()]
    units = [unit for path in paths for unit in UNITS.read(path)]
    return {artifact.path: artifact.sha256 for unit in units for artifact in artifacts_of(unit)}


def _run_shard(job: _Job, sources: Sequence[Source], workers: int) -> Tally:
    stage, results, shard = job.stage, job.results, job.shard
    read_sha256 = tables_digest(results, sources, shard)
    units = stage.units(read_rows(results, sources, shard, (*stage.reads, BEFORE)))
    note = Note(results, stage.name, shard, units)
    computed = 0
    rows: list[Row] = []
    receipts: dict[str, Receipt] = {}

    def bring(unit: Unit) -> tuple[Receipt, bool]:
        with note.at(unit[0]):
            return compute_or_reuse(job, unit)

    fault = None
    with closing(in_order(bring, units, workers if stage.is_concurrent else 1)) as done:
        note.running(0, [])
        for number, ((unit, _), (receipt, is_new)) in enumerate(zip(units, done, strict=True), start=1):
            computed += is_new
            rows += [{**row, "activity_id": receipt.activity.id} for row in receipt.rows]
            receipts[unit] = receipt
            log.info("%s shard %d: %s done", stage.name, shard, unit)
            note.running(number, rows)
            if fault := _only_fault(rows):
                break
    if fault:
        _forget(fault, [receipt_path(results, stage.name, unit) for unit, _ in units])
        raise CircuitBreakerError(
            f"{stage.name}: every image of the first visits failed with {fault}",
            hint="a bug or a broken installation, not the images: none of them is counted as failed",
        )
    table, summary = shard_path(results, stage.name, shard), units_path(results, stage.name, shard)
    stage.makes.write(table, rows)
    same = (read_sha256, recipe_digest(job.recipe), sha256_file(table))
    UNITS.write(summary, [unit_row(unit, receipt, *same) for unit, receipt in receipts.items()])
    write_seal(results, stage.name, shard, (table, summary))
    note.finished(rows)
    return Tally(computed, len(units) - computed, Counter(row["status"] for row in rows))


def compute_or_reuse(job: _Job, unit: Unit) -> tuple[Receipt, bool]:
    """Return the receipt of a unit, and whether it had to be computed for it."""
    name, rows = unit
    path = receipt_path(job.results, job.stage.name, name)
    activity = job.stage.applied(job.recipe, rows, job.settings)
    old = Receipt.read(path)
    if old and old.activity.id == activity.id and old.is_final and old.still_holds(job.results):
        return old, False
    receipt = _compute(job, rows, activity)
    for gone in {artifact.path for artifact in (old.outputs if old else ())} - {a.path for a in receipt.outputs}:
        (job.results / gone).unlink(missing_ok=True)
    receipt.write(path)
    return receipt, True


def _compute(job: _Job, rows: list[Row], activity: Activity) -> Receipt:
    """Do a unit of work; what the stage returns is brought to the columns it declares."""
    started = time.monotonic()
    stage, work = job.stage, Work(job.results, job.settings, job.shard, job.shared, job.earlier)
    made = stage.process([{name: row[name] for name in stage.reads} for row in rows], work)
    names = [name for name in stage.makes.names if name != "activity_id"]
    plain = stage.makes.arrow([{**{name: row.get(name) for name in names}, "activity_id": ""} for row in made])
    return Receipt(
        activity=activity,
        rows=plain.drop_columns(["activity_id"]).to_pylist(),
        outputs=work.outputs,
        before=sorted({before for row in rows for before in row[BEFORE]}),
        environment=job.environment,
        wall_seconds=time.monotonic() - started,
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def _forget(fault: str, paths: Iterable[Path]) -> None:
    """Take back receipts that hold nothing but this fault."""
    for path in paths:
        receipt = Receipt.read(path)
        if receipt and {row["detail"] for row in receipt.rows if row["status"] != Status.EXCLUDED.value} == {fault}:
            path.unlink(missing_ok=True)


def _only_fault(rows: list[Row]) -> str | None:
    """Name the software error that is all that was met in enough visits; None while anything else was."""
    tried = [row for row in rows if row["status"] != Status.EXCLUDED.value]
    if len({(row["subject"], row["session"]) for row in tried}) < MAX_SAME_FAULTS:
        return None
    faults = {(row["reason_code"], row["detail"]) for row in tried}
    reason, detail = faults.pop()
    return detail if not faults and reason == Reason.UNEXPECTED_ERROR.value else None
