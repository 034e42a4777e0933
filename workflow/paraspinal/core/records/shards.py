"""The shard loop all stages share: one unit of work after the other, each done once, none able to stop the rest.

A stage is a pure function from the previous stage's rows of one session (or one scan) to its own rows. The loop adds
what every stage needs: reuse by receipt, statuses, artifacts, and an atomic shard table at the end.
"""

from __future__ import annotations

import logging
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from paraspinal.core.errors import CircuitBreakerError
from paraspinal.core.files import sha256_file, sha256_json
from paraspinal.core.ordered_thread_map import in_order
from paraspinal.core.records.digest import code_digest
from paraspinal.core.records.notes import Note, running_job
from paraspinal.core.records.receipts import UNITS, Activity, Receipt, receipt_path, recipe_digest, unit_row, units_path
from paraspinal.core.records.registry import Session, shard_path
from paraspinal.core.records.tables import Row, Table
from paraspinal.core.records.work import Work
from paraspinal.core.settings import Settings
from paraspinal.core.vocab import Reason, Status

log = logging.getLogger(__name__)

MAX_SAME_FAULTS = 5
"""A shard stops when its first so many visits all met the same software error: it is not in the images then."""

Unit = tuple[str, list[Row]]
"""Name of a unit of work and the rows of the stage before it is made from."""


def by_role(recipe: Activity, rows: list[Row], _: Settings) -> Activity:
    """Keep of a recipe the models for the roles of these scans."""
    roles = {row.get("role") for row in rows}
    return replace(recipe, models={role: sha256 for role, sha256 in recipe.models.items() if role in roles})


@dataclass(frozen=True)
class Stage:
    """One stage of the road.

    ``process`` maps the rows of one unit of work (columns of ``reads``) to rows (columns of ``writes`` without
    ``activity_id``); a unit is a session, or a single row where ``is_per_row``; several may be
    worked on side by side, in threads, where ``is_concurrent``. ``parameters`` picks exactly the
    settings it depends on, ``models`` names the weights it may use (by the role of scans they are for), ``tools``
    the versions of outside tools that can change results. ``narrow`` takes from all that what the given unit does not
    depend on: as it stands, the models of other roles.
    """

    name: str
    module: str
    reads: Table
    writes: Table
    process: Callable[[list[Row], Work], list[Row]]
    parameters: Callable[[Settings], dict[str, Any]] = lambda settings: {}
    models: Callable[[Settings], dict[str, str]] = lambda settings: {}
    tools: Callable[[], dict[str, str]] = dict
    is_per_row: bool = False
    is_concurrent: bool = False
    narrow: Callable[[Activity, list[Row], Settings], Activity] = by_role

    @property
    def code(self) -> str:
        """Digest of the code behind the stage and of the columns it writes (names and types, not their wording)."""
        columns = [(field.name, str(field.type)) for field in self.writes.schema]
        return sha256_json([code_digest(self.module), columns])[:16]

    def recipe(self, settings: Settings) -> Activity:
        """Describe what this stage does under these settings, before any rows; once a shard, for it hashes weights."""
        return Activity(
            stage=self.name,
            code_digest=self.code,
            parameters=self.parameters(settings),
            tools=self.tools(),
            models=self.models(settings),
            inputs_sha256="",
        )


def applied(recipe: Activity, rows: list[Row]) -> Activity:
    """Describe a recipe applied to a unit; how upstream got its rows does not matter, only what they say."""
    inputs = [{k: v for k, v in row.items() if k != "activity_id"} for row in rows]
    return replace(recipe, inputs_sha256=sha256_json(inputs))


@dataclass(frozen=True)
class Tally:
    """What a shard run did: units of work computed and reused, and items by status."""

    computed: int
    reused: int
    items: Mapping[str, int]


def units_of(stage: Stage, rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Name the units of work among rows of the stage before, in sorted order, with the rows of each."""
    key = stage.reads.key if stage.is_per_row else ("subject", "session")

    def name(row: Row) -> str:
        return row[key[-1]] if stage.is_per_row else session_unit((row["subject"], row["session"]))

    return [(unit, list(group)) for unit, group in groupby(sorted(rows, key=name), key=name)]


def session_unit(session: Session) -> str:
    """Name a session as a unit of work; names of scans begin so too."""
    subject, name = session
    return f"sub-{subject}_ses-{name}"


def session_of(unit: str) -> str:
    """Name the session a unit belongs to."""
    return "_".join(unit.split("_")[:2])


def run_shard(stage: Stage, before: str, results: Path, settings: Settings, shard: int, workers: int = 1) -> Tally:
    """Bring one shard of one stage up to date and write its table, ``workers`` units side by side if it may be so.

    Reads the shard table of the stage ``before``; reuses every unit whose receipt still holds, does the others, and
    writes its own table atomically at the end. Killed at any point it resumes with the next unit. A job that
    outlived a killed run is waited for, so that two never work on one shard.
    """
    with running_job(results, stage.name, shard):
        return _run_shard(stage, before, results, settings, shard, workers)


def _run_shard(stage: Stage, before: str, results: Path, settings: Settings, shard: int, workers: int) -> Tally:
    computed = 0
    rows_out: list[Row] = []
    summary: list[Row] = []
    shared: dict[str, Any] = {}
    recipe = stage.recipe(settings)
    source = shard_path(results, before, shard)
    read_sha256 = sha256_file(source)
    units = units_of(stage, stage.reads.read(source))
    note = Note(results, stage.name, shard, units)

    def bring(unit: Unit) -> tuple[Receipt, bool]:
        with note.at(unit[0]):
            return _bring(stage, recipe, Work(results, settings, shard, shared), *unit)

    fault = None
    with closing(in_order(bring, units, workers if stage.is_concurrent else 1)) as brought:
        note.running(0, [])
        for number, ((unit, _), (receipt, is_new)) in enumerate(zip(units, brought, strict=True), start=1):
            computed += is_new
            rows_out += [{**row, "activity_id": receipt.activity.id} for row in receipt.rows]
            summary.append(unit_row(unit, receipt, read_sha256, recipe_digest(recipe)))
            log.info("%s shard %d: %s done", stage.name, shard, unit)
            note.running(number, rows_out)
            if fault := _only_fault(rows_out):
                break
    if fault:
        _forget(fault, [receipt_path(results, stage.name, unit) for unit, _ in units])
        raise CircuitBreakerError(
            f"{stage.name}: every image of the first visits failed with {fault}",
            hint="a bug or a broken installation, not the images: none of them is counted as failed",
        )
    UNITS.write(units_path(results, stage.name, shard), summary)
    stage.writes.write(shard_path(results, stage.name, shard), rows_out)
    note.finished(rows_out)
    return Tally(computed, len(units) - computed, Counter(row["status"] for row in rows_out))


def _bring(stage: Stage, recipe: Activity, work: Work, unit: str, rows: list[Row]) -> tuple[Receipt, bool]:
    """Return the receipt of a unit, and whether it had to be done for it."""
    path = receipt_path(work.results, stage.name, unit)
    activity = applied(stage.narrow(recipe, rows, work.settings), rows)
    old = Receipt.read(path)
    if old and old.activity.id == activity.id and old.is_final and old.still_holds(work.results):
        return old, False
    receipt = _do_unit(stage, work, rows, activity)
    for relative in set(old.outputs if old else ()) - set(receipt.outputs):
        (work.results / relative).unlink(missing_ok=True)
    receipt.write(path)
    return receipt, True


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


def _do_unit(stage: Stage, work: Work, rows: list[Row], activity: Activity) -> Receipt:
    started = time.monotonic()
    made = stage.process(rows, work)
    known = set(stage.writes.names) - {"activity_id"}
    plain = stage.writes.arrow([{**{k: r.get(k) for k in known}, "activity_id": ""} for r in made]).to_pylist()
    return Receipt(
        activity=activity,
        rows=[{k: v for k, v in row.items() if k != "activity_id"} for row in plain],
        outputs=work.outputs,
        wall_seconds=time.monotonic() - started,
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )
