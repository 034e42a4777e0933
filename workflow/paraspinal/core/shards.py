"""The shard loop all stages share: one session after the other, each done once, none able to stop the rest.

A stage is a pure function from the previous stage's rows of one session to its own rows. The loop adds what every
stage needs: reuse by receipt, statuses, artifacts, and an atomic shard table at the end.
"""

from __future__ import annotations

import logging
import resource
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from paraspinal.core.digest import code_digest
from paraspinal.core.errors import DataError, ParaspinalError
from paraspinal.core.files import sha256_file, sha256_json
from paraspinal.core.images import write_image
from paraspinal.core.receipts import Activity, Receipt, receipt_path
from paraspinal.core.settings import Settings
from paraspinal.core.tables import Row, Table
from paraspinal.core.vocab import Reason, Status

log = logging.getLogger(__name__)


@dataclass
class Work:
    """What a stage may use while it works on one session."""

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
        if name not in self.shared:
            self.shared[name] = make()
        return self.shared[name]


@dataclass(frozen=True)
class Stage:
    """One stage of the road.

    ``process`` maps the rows of one session (columns of ``reads``) to rows (columns of ``writes`` without
    ``activity_id``). ``parameters`` picks exactly the settings it depends on, ``models`` the weights it uses
    (name@version to sha256), ``tools`` the versions of outside tools that can change results.
    """

    name: str
    module: str
    reads: Table
    writes: Table
    process: Callable[[list[Row], Work], list[Row]]
    parameters: Callable[[Settings], dict[str, Any]] = lambda settings: {}
    models: Callable[[Settings], dict[str, str]] = lambda settings: {}
    tools: Callable[[], dict[str, str]] = dict

    def activity(self, rows: list[Row], settings: Settings) -> Activity:
        """Describe what this stage would do to a session; how upstream got its rows does not matter, only what they say."""
        return Activity(
            stage=self.name,
            code_digest=code_digest(self.module),
            parameters=self.parameters(settings),
            tools=self.tools(),
            models=self.models(settings),
            inputs_sha256=sha256_json([{k: v for k, v in row.items() if k != "activity_id"} for row in rows]),
        )


@dataclass(frozen=True)
class Tally:
    """What a shard run did: sessions computed and reused, and items by status."""

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
            if not Status(row["status"]).is_usable:
                done.append(dict(row))
                continue
            done.append(guarded(lambda row=row: [function(row, work)], [row])[0])
        return done

    return process


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
        log.error("fault while processing an item: %s", detail)
        return [failed(row, Reason.UNEXPECTED_ERROR, detail) for row in rows]


def _is_device_trouble(error: Exception) -> bool:
    text = str(error)
    return isinstance(error, RuntimeError) and ("CUDA" in text or "can't allocate memory" in text)


def sessions_of(rows: Iterable[Row]) -> list[tuple[tuple[str, str], list[Row]]]:
    """Group rows by (subject, session), in sorted order."""
    ordered = sorted(rows, key=lambda r: (r["subject"], r["session"]))
    return [(key, list(group)) for key, group in groupby(ordered, key=lambda r: (r["subject"], r["session"]))]


def run_shard(stage: Stage, results: Path, settings: Settings, shard: int, source: Path, target: Path) -> Tally:
    """Bring one shard of one stage up to date and write its table.

    Reads the previous stage's shard table ``source``; reuses every session whose receipt still holds, does the
    others, and writes ``target`` atomically at the end. Killed at any point it resumes with the next session.
    """
    computed = reused = 0
    rows_out: list[Row] = []
    shared: dict[str, Any] = {}
    for (subject, session), rows in sessions_of(stage.reads.read(source)):
        path = receipt_path(results, stage.name, subject, session)
        activity = stage.activity(rows, settings)
        receipt = Receipt.read(path)
        if receipt and receipt.activity.id == activity.id and receipt.still_holds(results):
            reused += 1
        else:
            stale = set(receipt.outputs) if receipt else set()
            receipt = _do_session(stage, Work(results, settings, shard, shared), rows, activity)
            for relative in stale - set(receipt.outputs):
                (results / relative).unlink(missing_ok=True)
            receipt.write(path)
            computed += 1
        rows_out += [{**row, "activity_id": activity.id} for row in receipt.rows]
        log.info("%s shard %d: sub-%s ses-%s done", stage.name, shard, subject, session)
    stage.writes.write(target, rows_out)
    items: dict[str, int] = {}
    for row in rows_out:
        items[row["status"]] = items.get(row["status"], 0) + 1
    return Tally(computed, reused, items)


def _do_session(stage: Stage, work: Work, rows: list[Row], activity: Activity) -> Receipt:
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
