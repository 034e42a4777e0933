"""The header pass: read what is new or changed, in parallel, a bounded number of files at a time."""

# ruff: noqa: PTH119, PTH120
# Paths are bytes here, for a file name need not be text.

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice

from paraspinal.core.vocab import Reason
from paraspinal.stages.ingest.cache import Cache, Read
from paraspinal.stages.ingest.dicom_file import read_dicom
from paraspinal.stages.ingest.nifti_file import is_nifti_name, read_nifti
from paraspinal.stages.ingest.record import DICOM, NIFTI, OTHER, FileRecord, refuse
from paraspinal.stages.ingest.stacks import is_no_image
from paraspinal.stages.ingest.walk import Found

CHUNK = 200
"""Files a worker reads before it hands them over."""
MAX_WAITING = 4
"""Chunks per worker that may be under way; bounds memory whatever the size of the tree."""
SMALL = 2 * CHUNK
"""So few files are read faster than other processes start."""
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".7z", ".rar")
TEXTS = (".txt", ".md", ".json", ".tsv", ".csv", ".html", ".xml", ".log", ".gitkeep", ".bval", ".bvec", ".ini", ".yaml")
NOT_CACHED = -1
"""Modification time of a record that must be read again next time."""


@dataclass
class PassTally:
    """How far the pass is: files met in the tree, and those of them that had to be read."""

    n_files: int = 0
    n_read: int = 0


Report = Callable[[PassTally], None]
"""Told how far the pass is, now and then."""


def refresh(found: Iterable[Found], root: bytes, cache: Cache, workers: int, report: Report) -> PassTally:
    """Bring the cache up to date with the files found below ``root``; an archive counts as the files it holds."""
    tally = PassTally()

    def fresh() -> Iterator[Found]:
        for file in found:
            tally.n_files += 1
            if not cache.is_known(file.path, file.size, file.mtime_ns):
                yield file
            elif tally.n_files % CHUNK == 0:
                report(tally)

    for batch in _read_all(fresh(), _Reader(root), workers):
        cache.put(batch)
        tally.n_read += sum(record is not None for *_, record in batch)
        report(tally)
    tally.n_files = cache.forget_unseen()
    return tally


def _read_all(
    files: Iterator[Found], reader: Callable[[list[Found]], list[Read]], workers: int
) -> Iterator[list[Read]]:
    first = list(islice(files, SMALL))
    rest = list(islice(files, 1))
    if workers == 1 or not rest:
        for chunk in _chunks(_chain(first, rest, files)):
            yield reader(chunk)
        return
    # Fresh processes instead of forks: this one has threads of Arrow, which a fork may catch in the middle.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting: set[Future[list[Read]]] = set()
        for chunk in _chunks(_chain(first, rest, files)):
            waiting.add(pool.submit(reader, chunk))
            if len(waiting) >= MAX_WAITING * workers:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in waiting)


def _chain(*parts: Iterable[Found]) -> Iterator[Found]:
    for part in parts:
        yield from part


def _chunks(files: Iterator[Found]) -> Iterator[list[Found]]:
    while chunk := list(islice(files, CHUNK)):
        yield chunk


@dataclass(frozen=True)
class _Reader:
    """Read a chunk of files; a picklable function with the root it needs."""

    root: bytes

    def __call__(self, chunk: list[Found]) -> list[Read]:
        return [read_one(file, self.root) for file in chunk]


def read_one(file: Found, root: bytes) -> Read:
    """Read one file, whatever it is; no fault of the file raises."""
    try:
        record = _record(file, root)
        mtime = file.mtime_ns if record.detail != "the file changed while it was read" else NOT_CACHED
    except OSError:
        record = refuse(OTHER, Reason.DICOM_UNREADABLE, "the file cannot be read")
        mtime = NOT_CACHED
    return file.path, file.size, mtime, _series_key(file.path, record), record


def _record(file: Found, root: bytes) -> FileRecord:
    name = os.fsdecode(os.path.basename(file.path))
    lower = name.lower()
    if not file.is_readable:
        raise PermissionError
    if name.startswith("."):
        return refuse(OTHER, Reason.NOT_AN_IMAGE, "a hidden file")
    if lower.endswith(ARCHIVES) and not is_nifti_name(lower):
        return refuse(OTHER, Reason.NOT_AN_IMAGE, "an archive; unpack it to use what is inside")
    if file.size == 0:
        if lower.endswith(TEXTS) or lower in ("readme", "license", "changes", "bidsignore"):
            return refuse(OTHER, Reason.NOT_AN_IMAGE, "an empty text file")
        return refuse(OTHER, Reason.DICOM_TRUNCATED, "an empty file")
    if is_nifti_name(lower):
        relative = os.fsdecode(os.path.relpath(file.path, root))
        return read_nifti(file.path, relative, file.size)
    record = read_dicom(file.path, file.size, lower.endswith(DICOM_SUFFIXES))
    if is_no_image(record):
        return refuse(OTHER, Reason.NOT_AN_IMAGE, "a report or another object without an image", record.digest)
    return record


def _series_key(path: bytes, record: FileRecord) -> str:
    """Group records so that one series comes back at once; everything without an image by folder."""
    folder = os.fsencode(os.path.dirname(path)).hex()
    if record.source == NIFTI and record.values:
        return f"n|{path.hex()}"
    if record.source == DICOM and record.values:
        uid = record.values.get("series_uid") or record.values.get("study_uid")
        return f"d|{uid}" if uid else f"d|{folder}"
    return f"o|{folder}"
