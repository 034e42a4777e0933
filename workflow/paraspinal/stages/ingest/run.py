"""The front door: any tree in, an inventory and one table per shard out, nobody named."""

# ruff: noqa: PTH120
# Paths are bytes here, for a file name need not be text.

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from paraspinal.core.errors import ResultsError
from paraspinal.core.identity import Identity
from paraspinal.core.registry import INVENTORY_PATH, Registry, shard_path
from paraspinal.core.schemas import INVENTORY, SESSION_STACKS
from paraspinal.core.settings import Settings
from paraspinal.core.tables import Row
from paraspinal.core.vocab import Plane, Reason, Sequence, Status
from paraspinal.stages.ingest.cache import Cache
from paraspinal.stages.ingest.header_pass import refresh
from paraspinal.stages.ingest.inventory import warn_of_short_stacks
from paraspinal.stages.ingest.nifti_stacks import nifti_stack
from paraspinal.stages.ingest.output import Sources, cohort_id, private_folder, write_if_changed, write_index
from paraspinal.stages.ingest.people import person_row, stack_row
from paraspinal.stages.ingest.record import DICOM, OTHER, FileRecord
from paraspinal.stages.ingest.stacks import Stack, pixel_hash, stacks_of
from paraspinal.stages.ingest.walk import input_root, walk

log = logging.getLogger(__name__)

JUNK_STATUS = {Reason.NOT_AN_IMAGE: Status.EXCLUDED}
"""A file that is no image is set aside; one that should be an image and cannot be read has failed."""


BROKEN = (Reason.DICOM_TRUNCATED, Reason.DICOM_UNREADABLE)


@dataclass(frozen=True)
class IngestSummary:
    """What ingest found and changed."""

    n_files: int
    n_read: int
    n_stacks: int
    n_sessions: int
    n_new_sessions: int
    shards: tuple[int, ...]
    rewritten_shards: tuple[int, ...]
    statuses: Mapping[str, int]
    seconds: float


@dataclass
class _Gathered:
    """Rows and sources of all stacks, by stack id.

    ``days`` holds study days by session, ``broken`` counts by folder the files that should be images and tell
    nothing; neither leaves this process.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    sources: dict[str, Sources] = field(default_factory=dict)
    days: dict[str, int] = field(default_factory=dict)
    broken: Counter[bytes] = field(default_factory=Counter)
    pixels: dict[tuple[str, str, str], list[tuple[str, Stack]]] = field(default_factory=dict)


def ingest(settings: Settings) -> IngestSummary:
    """Read the input, account for every file, and write inventory, shard tables and private index.

    Raises InputError when there is no input, IdentityError when the key is unsafe, ResultsError when the results
    belong to another cohort.
    """
    started = time.monotonic()
    root = input_root(settings.input)
    identity = Identity.load(settings.private_path)
    results = settings.out_path
    registry = Registry.read(results)
    private = private_folder(settings.private_path, cohort_id(results))
    ours = [os.fsencode(path) for path in (results, settings.private_path)]
    cache = Cache(private / "headers.sqlite")
    try:
        tally = refresh(walk(root, skip=ours), root, cache, settings.ingest.workers)
        gathered = _gather(cache, identity, settings.ingest.max_series_files)
    finally:
        cache.close()
    _drop_resent(gathered)
    _warn_beside_broken(gathered)
    sessions = {(row["subject"], row["session"]) for row in gathered.rows.values() if row["session"]}
    if registry.shards and sessions and not sessions & set(registry.shards):
        raise ResultsError("the results folder belongs to another cohort", hint="choose another out, or empty it")
    dealt = registry.deal(sessions, settings.shard_size)
    rewritten = _write(settings, private, gathered, dealt)
    dealt.write(results)
    statuses = Counter(row["status"] for row in gathered.rows.values())
    summary = IngestSummary(
        n_files=tally.n_files,
        n_read=tally.n_read,
        n_stacks=len(gathered.rows),
        n_sessions=len(sessions),
        n_new_sessions=len(sessions - set(registry.shards)),
        shards=tuple(dealt.shard_numbers),
        rewritten_shards=rewritten,
        statuses=dict(statuses),
        seconds=time.monotonic() - started,
    )
    log.info("ingest: %d files, %d read, %d stacks", summary.n_files, summary.n_read, summary.n_stacks)
    return summary


def _gather(cache: Cache, identity: Identity, max_files: int) -> _Gathered:
    gathered = _Gathered()
    for key, files in cache.series():
        if key.startswith("o|"):
            gathered.broken.update(os.path.dirname(p) for p, record in files if record.reason in BROKEN)
            for row in _junk_rows(files, identity):
                gathered.rows[row["stack_id"]] = row
            continue
        stacks = [nifti_stack(*files[0])] if key.startswith("n|") else stacks_of(files, max_files)
        for stack in stacks:
            _add(gathered, stack, identity)
    return gathered


def _add(gathered: _Gathered, stack: Stack, identity: Identity) -> None:
    person = person_row(stack, identity)
    row = stack_row(stack, person, identity)
    stack_id = row["stack_id"]
    if stack_id in gathered.rows:
        raise AssertionError("two stacks share an id")  # a fault of ours: the key does not tell stacks apart
    gathered.rows[stack_id] = row
    frames = [-1 if piece.frame is None else piece.frame for piece in stack.slices]
    gathered.sources[stack_id] = Sources(stack.source, [piece.path for piece in stack.slices], frames)
    if person.day is not None:
        gathered.days[person.session] = person.day
    if stack.status.is_usable:
        digests = "".join(piece.pixel_digest for piece in stack.slices)
        grid = str(stack.grid)
        gathered.pixels.setdefault((person.session, digests, grid), []).append((stack_id, stack))


def _junk_rows(files: list[tuple[bytes, FileRecord]], identity: Identity) -> Iterator[Row]:
    """Describe files of one folder that show nobody, one row per kind."""
    kinds: dict[tuple[Reason, str], list[bytes]] = {}
    for path, record in files:
        kinds.setdefault((record.reason or Reason.NOT_AN_IMAGE, record.detail), []).append(path)
    for (reason, detail), paths in sorted(kinds.items()):
        folder = os.path.dirname(paths[0]).decode("utf-8", "surrogateescape")
        yield {
            "stack_id": identity.pseudonym("junk", f"{folder}|{reason.value}|{detail}"),
            "subject": None,
            "session": None,
            "source": OTHER,
            "n_files": len(paths),
            "plane": Plane.UNKNOWN.value,
            "sequence": Sequence.UNKNOWN.value,
            "is_fat_suppressed": False,
            "status": JUNK_STATUS.get(reason, Status.FAILED).value,
            "reason_code": reason.value,
            "detail": detail or None,
        }


def _drop_resent(gathered: _Gathered) -> None:
    """Set aside series that were sent twice under other UIDs: same visit, same places, same pixels."""
    for twins in gathered.pixels.values():
        if len(twins) < 2:
            continue
        kept: list[Stack] = []
        for stack_id, stack in sorted(twins, key=lambda item: item[0]):
            if any(_same_pixels(stack, other) for other in kept):
                row = gathered.rows[stack_id]
                row["status"], row["reason_code"] = Status.EXCLUDED.value, Reason.DUP_IDENTICAL.value
                row["detail"] = "the same images are there under another series"
            else:
                kept.append(stack)


def _warn_beside_broken(gathered: _Gathered) -> None:
    """Warn of broken files beside the slices of a series that has its folder to itself: one may have been a slice."""
    series: dict[bytes, set[str | None]] = {}
    beside: dict[str, set[bytes]] = {}
    for stack_id, found in gathered.sources.items():
        beside[stack_id] = {os.path.dirname(path) for path in found.paths} & set(gathered.broken)
        for folder in beside[stack_id]:
            series.setdefault(folder, set()).add(gathered.rows[stack_id]["series_id"])
    for stack_id, folders in beside.items():
        row = gathered.rows[stack_id]
        count = sum(gathered.broken[folder] for folder in folders if len(series[folder]) == 1)
        if count and row["source"] == DICOM and row["status"] == Status.OK.value:
            row["status"], row["reason_code"] = Status.WARN.value, Reason.DICOM_TRUNCATED.value
            row["detail"] = f"{count} unreadable files beside its slices"


def _same_pixels(a: Stack, b: Stack) -> bool:
    return all(pixel_hash(x) == pixel_hash(y) for x, y in zip(a.slices, b.slices, strict=True))


def _write(settings: Settings, private: Path, gathered: _Gathered, registry: Registry) -> tuple[int, ...]:
    results = settings.out_path
    first_days: dict[str, int] = {}
    for row in gathered.rows.values():
        if (day := gathered.days.get(row.get("session") or "")) is not None:
            first_days[row["subject"]] = min(day, first_days.get(row["subject"], day))
    by_shard: dict[int, list[Row]] = {shard: [] for shard in registry.shard_numbers}
    inventory = []
    for row in gathered.rows.values():
        subject, session = row.get("subject"), row.get("session")
        shard = registry.shards.get((subject, session)) if subject and session else None
        day = gathered.days.get(session) if session else None
        days = day - first_days[subject] if day is not None and subject else None
        inventory.append({**row, "shard": shard, "days_from_first_visit": days, "decided_by": "ingest"})
        if shard is not None:
            by_shard[shard].append(row)
    rewritten = []
    for shard, rows in by_shard.items():
        write_index(private, shard, {row["stack_id"]: gathered.sources[row["stack_id"]] for row in rows})
        if write_if_changed(shard_path(results, "ingest", shard), SESSION_STACKS, rows):
            rewritten.append(shard)
    warn_of_short_stacks(inventory)
    write_if_changed(results / INVENTORY_PATH, INVENTORY, inventory)
    return tuple(rewritten)
