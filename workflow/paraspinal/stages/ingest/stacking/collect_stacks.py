"""Collect the stacks of an input: read what is new, group it into stacks, and compare series."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from paraspinal.core.archives.files import folder_of
from paraspinal.core.identity import Identity
from paraspinal.core.levels_sheet import load_levels_sheet, unmet
from paraspinal.core.records.tables import Row
from paraspinal.core.settings import Settings
from paraspinal.core.vocab import Plane, Reason, Sequence, Status
from paraspinal.stages.ingest.identity.people_sheet import PeopleSheet
from paraspinal.stages.ingest.identity.subject_identity import SubjectResolver, Visit
from paraspinal.stages.ingest.overrides import Overrides
from paraspinal.stages.ingest.reading.cache import Cache
from paraspinal.stages.ingest.reading.header_pass import PassTally, Report, refresh
from paraspinal.stages.ingest.reading.record import DICOM, OTHER, FileRecord
from paraspinal.stages.ingest.reading.walk import input_root, walk
from paraspinal.stages.ingest.rows import stack_row
from paraspinal.stages.ingest.sheets import Sheets, load_sheets
from paraspinal.stages.ingest.stacking.nifti_stacks import nifti_stack
from paraspinal.stages.ingest.stacking.stack_store import StackStore
from paraspinal.stages.ingest.stacking.stacks import Stack, pixel_hash, stacks_of

log = logging.getLogger(__name__)

JUNK_STATUS = {Reason.NOT_AN_IMAGE: Status.EXCLUDED}
"""A file that is no image is set aside; one that should be an image and cannot be read has failed."""
BROKEN = (Reason.DICOM_TRUNCATED, Reason.DICOM_UNREADABLE)


@contextmanager
def collect_stacks(settings: Settings, report: Report) -> Iterator[tuple[StackStore, PassTally]]:
    """Read the input and account for every file; nothing is written outside the private folder.

    Raises InputError when there is no input, ConfigError when a sheet is wrong, IdentityError when the key is unsafe.
    """
    root = input_root(settings.input)
    sheets = load_sheets(settings)
    identity = Identity.load(settings.private_path)
    folder = settings.private_path / "headers"
    folder.mkdir(mode=0o700, exist_ok=True)
    name = hashlib.sha256(os.path.realpath(root)).hexdigest()[:16]
    cache = Cache(folder / f"{name}.sqlite")
    store = StackStore(folder / f"{name}.stacks.sqlite")
    try:
        own_folders = [os.fsencode(path) for path in (settings.out_path, settings.private_path)]
        limits = settings.ingest
        max_archive_bytes = int(limits.max_archive_gib * 2**30)
        tally = refresh(walk(root, skip=own_folders), root, cache, limits.workers, max_archive_bytes, report)
        _fill(store, cache, identity, sheets, root, limits.max_series_files, settings.levels.levels_sheet)
        yield store, tally
    finally:
        store.close()
        cache.close()


def _fill(
    store: StackStore,
    cache: Cache,
    identity: Identity,
    sheets: Sheets,
    root: bytes,
    max_files: int,
    levels_sheet: str,
) -> None:
    people, overrides = PeopleSheet(sheets.people, root), Overrides(sheets.overrides)
    resolver = SubjectResolver(cache.claims(), people)
    broken: Counter[bytes] = Counter()
    for key, files in cache.series():
        if key.startswith("o|"):
            broken.update(folder_of(path) for path, record in files if record.reason in BROKEN)
            for row in _junk_rows(files, identity):
                store.add(row)
            continue
        for visit, part in resolver.visits(files):
            for stack in [nifti_stack(*part[0])] if key.startswith("n|") else stacks_of(part, max_files):
                _add(store, stack, visit, identity, overrides)
    named = load_levels_sheet(levels_sheet)
    by_hand = unmet(named, (row[name] for row in store.rows() for name in ("stack_id", "series_id"))) if named else 0
    for sheet, n_unmet in (("people", people.n_unmet), ("override", overrides.n_unmet), ("levels", by_hand)):
        if n_unmet:
            log.warning("rows of the %s sheet that match nothing in the input: %d", sheet, n_unmet)
    _drop_resent(store)
    _warn_beside_broken(store, broken)


def _add(store: StackStore, stack: Stack, visit: Visit, identity: Identity, overrides: Overrides) -> None:
    row = stack_row(stack, visit, identity)
    if overrides.apply(stack, row):
        row = stack_row(stack, visit, identity)
    if visit.conflict:
        row |= {"status": Status.FAILED.value, "reason_code": Reason.MIXED_PATIENTS.value, "detail": visit.conflict}
    duplicate_key = None
    if Status(row["status"]).is_usable:
        digests = "".join(piece.pixel_digest for piece in stack.slices)
        duplicate_key = hashlib.sha256(f"{row['session']}|{digests}|{stack.grid}".encode()).hexdigest()
    store.add(row, stack, visit.day if row["session"] else None, duplicate_key, stack.values.get("second"))


def _junk_rows(files: list[tuple[bytes, FileRecord]], identity: Identity) -> Iterator[Row]:
    """Describe files of one folder that show nobody, one row per kind."""
    kinds: dict[tuple[Reason, str], list[bytes]] = {}
    for path, record in files:
        kinds.setdefault((record.reason or Reason.NOT_AN_IMAGE, record.detail), []).append(path)
    for (reason, detail), paths in sorted(kinds.items()):
        folder = os.fsdecode(folder_of(paths[0]))
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


def _drop_resent(store: StackStore) -> None:
    """Set aside series that were sent twice under other UIDs: same visit, same places, same pixels."""
    for candidates in store.duplicate_candidates():
        kept: set[tuple[str, ...]] = set()
        for stack_id in candidates:
            pixels = tuple(pixel_hash(piece) for piece in store.slices(stack_id))
            if pixels in kept:
                detail = "the same images are there under another series"
                store.decide(stack_id, Status.EXCLUDED, Reason.DUP_IDENTICAL, detail)
            kept.add(pixels)


def _warn_beside_broken(store: StackStore, broken: Counter[bytes]) -> None:
    """Warn of broken files beside the slices of a series that has its folder to itself: one may have been a slice."""
    beside: Counter[str] = Counter()
    for folder, count in sorted(broken.items()):
        neighbours = store.in_folder(folder)
        if len({series for _, series, _, _ in neighbours}) == 1:
            for stack_id, _, source, status in neighbours:
                if source == DICOM and status == Status.OK.value:
                    beside[stack_id] += count
    for stack_id, count in beside.items():
        store.decide(stack_id, Status.WARN, Reason.DICOM_TRUNCATED, f"{count} unreadable files beside its slices")
