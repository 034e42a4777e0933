"""The shard loop all stages share: one unit of work after the other, each done once, none able to stop the rest.

A stage is a pure function from the previous stage's rows of one session (or one scan) to its own rows. The loop adds
what every stage needs: reuse by receipt, statuses, artifacts, and an atomic shard table at the end.
"""

from __future__ import annotations

import fcntl
import logging
import resource
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from paraspinal.core.ahead import in_order
from paraspinal.core.digest import code_digest
from paraspinal.core.errors import CircuitBreakerError, DataError, ParaspinalError
from paraspinal.core.files import sha256_file, sha256_json
from paraspinal.core.images import write_image
from paraspinal.core.notes import Note
from paraspinal.core.receipts import UNITS, Activity, Receipt, receipt_path, recipe_digest, unit_row, units_path
from paraspinal.core.registry import Session, shard_path
from paraspinal.core.settings import Settings
from paraspinal.core.tables import Row, Table
from paraspinal.core.vocab import Reason, Status

log = logging.getLogger(__name__)

MAX_SAME_FAULTS = 5
"""A shard stops when its first so many visits all met the same fault of ours: it is not in the images then."""

_MAKING = threading.RLock()

Unit = tuple[str, list[Row]]
"""Name of a unit of work and the rows of the stage before it is made from."""


@dataclass
class Work:
    """What a stage may use while it works on one unit."""

    results: Path
    settings: Settings
    shard: int
    shared: dict[str, Any]
    """Kept for the whole shard, for what is costly to load: a model, a private index."""
    outputs: dict[str, str] = field(default_factory=dict)

    def image_path(self, relative: str) -> Path:
        """Absolute path of an artifact of an earlier stage."""
        return self.results / relative

    def save_image(self, image: sitk.Image, relative: str) -> str:
        """Write an image artifact; returns its sha256."""
        write_image(image, self.results / relative)
        return self.record(relative)

    def record(self, relative: str) -> str:
        """Register an artifact already written at ``relative``; returns its sha256."""
        self.outputs[relative] = sha256_file(self.results / relative)
        return self.outputs[relative]

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what ``make`` returned when it was first called under this name in this shard."""
        with _MAKING:  # units side by side need the same one
            if name not in self.shared:
                self.shared[name] = make()
            return self.shared[name]


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


def failed(row: Row, reason: Reason, detail: str = "") -> Row:
    """Mark a row as failed for a reason in the data."""
    return {**row, "status": Status.FAILED.value, "reason_code": reason.value, "detail": detail or None}


def per_item(function: Callable[[Row, Work], Row]) -> Callable[[list[Row], Work], list[Row]]:
    """Turn a function on one row into one on a session's rows.

    Rows that are not usable pass through untouched; a DataError becomes a failed row; a fault of ours becomes one
    with UNEXPECTED_ERROR, so that one scan never stops the batch. Trouble of the machine (memory, disk, device) and
    of the set-up (a wrong model) is passed on: the job fails and is tried again.
    """

    def process(rows: list[Row], work: Work) -> list[Row]:
        done = []
        for row in rows:
            usable = Status(row["status"]).is_usable
            done += guarded(partial(_one, function, row, work), [row]) if usable else [dict(row)]
        return done

    return process


def _one(function: Callable[[Row, Work], Row], row: Row, work: Work) -> list[Row]:
    return [function(row, work)]


def guarded(function: Callable[[], list[Row]], rows: list[Row]) -> list[Row]:
    """Call ``function``; on a fault in the data or of ours return ``rows`` marked as failed."""
    try:
        return function()
    except DataError as error:
        return [failed(row, error.reason, error.detail) for row in rows]
    except (MemoryError, OSError, ParaspinalError):
        raise
    except Exception as error:
        if _is_device_trouble(error):
            raise
        where = traceback.extract_tb(error.__traceback__)[-1]
        # The message may quote data, so only the kind of fault and its place are kept.
        detail = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
        item = next((rows[0][key] for key in ("scan_id", "stack_id", "session") if rows[0].get(key)), "an item")
        log.error("fault while processing %s: %s", item, detail)
        return [failed(row, Reason.UNEXPECTED_ERROR, detail) for row in rows]


def _is_device_trouble(error: Exception) -> bool:
    text = str(error)
    return isinstance(error, RuntimeError) and ("CUDA" in text or "can't allocate memory" in text)


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
    with _exclusive(results / "receipts" / stage.name / f".{shard}.lock"):
        return _run_shard(stage, before, results, settings, shard, workers)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _run_shard(stage: Stage, before: str, results: Path, settings: Settings, shard: int, workers: int) -> Tally:
    computed = 0
    rows_out: list[Row] = []
    summary: list[Row] = []
    shared: dict[str, Any] = {}
    recipe = stage.recipe(settings)
    source = shard_path(results, before, shard)
    read_sha256 = sha256_file(source)
    units = units_of(stage, stage.reads.read(source))
    note = Note(results, stage.name, shard, len(units))

    def bring(unit: Unit) -> tuple[Receipt, bool]:
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
    if old and old.activity.id == activity.id and old.still_holds(work.results):
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
    """Name the fault of ours that is all that was met in enough visits; None while anything else was."""
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
