"""The header pass: read what is new or changed, in parallel, a bounded number of files at a time."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice

from paraspinal.core.archives.files import is_archive
from paraspinal.core.errors import InputError
from paraspinal.core.vocab import Reason
from paraspinal.stages.ingest.reading.archive_file import NOT_CACHED, read_archive
from paraspinal.stages.ingest.reading.assess import is_dicom_name, judged_by_header, judged_by_name, series_key
from paraspinal.stages.ingest.reading.cache import Cache, Read
from paraspinal.stages.ingest.reading.dicom_file import CHANGED, read_dicom
from paraspinal.stages.ingest.reading.nifti_file import is_nifti_name, read_nifti
from paraspinal.stages.ingest.reading.record import OTHER, FileRecord, refuse
from paraspinal.stages.ingest.reading.walk import Found

CHUNK = 200
"""Files a worker reads before it hands them over."""
MAX_WAITING = 4
"""Chunks per worker that may be under way; bounds memory whatever the size of the tree."""
SMALL = 2 * CHUNK
"""So few files are read faster than other processes start."""
DRIVE_ERRORS = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.ENODEV})
"""What a failing disk or a network drive that went away answers."""
PAUSES_SECONDS = (0.2, 2.0)
"""How long a stumbling drive is given before it is asked again."""
DRIVE_FAULT = "the drive reports an error"
MAX_DRIVE_FAULTS = 20
"""So many files may lie on bad places of a disk; with more, the drive has gone and nothing can be said of its files."""


@dataclass
class PassTally:
    """How far the pass is: files met in the tree, and those of them that had to be read."""

    n_files: int = 0
    n_read: int = 0
    n_drive_faults: int = 0


Report = Callable[[PassTally], None]
"""Told how far the pass is, now and then."""


def refresh(
    found: Iterable[Found], root: bytes, cache: Cache, workers: int, max_archive_bytes: int, report: Report
) -> PassTally:
    """Bring the cache up to date with the files found below ``root``; an archive counts as the files it holds.

    Raises InputError when the drive fails again and again: that says nothing about the images.
    """
    tally = PassTally()

    def fresh() -> Iterator[Found]:
        for file in found:
            tally.n_files += 1
            if not cache.is_known(file.path, file.size, file.mtime_ns):
                yield file
            elif tally.n_files % CHUNK == 0:
                report(tally)

    for batch in _read_all(fresh(), _Reader(root, max_archive_bytes), workers):
        cache.put(batch)
        tally.n_read += sum(record is not None for *_, record in batch)
        tally.n_drive_faults += sum(record is not None and record.detail == DRIVE_FAULT for *_, record in batch)
        if tally.n_drive_faults > MAX_DRIVE_FAULTS:
            raise InputError(
                f"the drive of the input failed on {tally.n_drive_faults} files", hint="check the drive and run again"
            )
        report(tally)
    tally.n_files = cache.forget_unseen()
    return tally


def _read_all(
    files: Iterator[Found], reader: Callable[[list[Found]], list[Read]], workers: int
) -> Iterator[list[Read]]:
    first = list(islice(files, SMALL))
    rest = list(islice(files, 1))
    is_little = not rest and sum(is_archive(file.path) for file in first) < 2
    if workers == 1 or is_little:
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
    """Cut the files into chunks; an archive, which may hold any number, ends one."""
    chunk: list[Found] = []
    for file in files:
        chunk.append(file)
        if len(chunk) == CHUNK or is_archive(file.path):
            yield chunk
            chunk = []
    if chunk:
        yield chunk


@dataclass(frozen=True)
class _Reader:
    """Read a chunk of files; a picklable function with what it needs."""

    root: bytes
    max_archive_bytes: int

    def __call__(self, chunk: list[Found]) -> list[Read]:
        return [read for file in chunk for read in self._read(file)]

    def _read(self, file: Found) -> list[Read]:
        if is_archive(file.path) and file.is_readable and judged_by_name(file.path, file.size) is None:
            return read_archive(file, self.max_archive_bytes)
        return [read_one(file, self.root)]


def read_one(file: Found, root: bytes) -> Read:
    """Read one file, whatever it is, but no archive; no fault of the file raises.

    A drive that stumbles is asked again; a file that changed meanwhile or could not be read is read again next time.
    """
    mtime = file.mtime_ns
    pauses = list(PAUSES_SECONDS)
    while True:
        try:
            record = _record(file, root)
            break
        except OSError as error:
            if error.errno in DRIVE_ERRORS and pauses:
                time.sleep(pauses.pop(0))
                continue
            detail = DRIVE_FAULT if error.errno in DRIVE_ERRORS else "the file cannot be read"
            record, mtime = refuse(OTHER, Reason.DICOM_UNREADABLE, detail), NOT_CACHED
            break
    if record.detail == CHANGED:
        mtime = NOT_CACHED
    return file.path, file.size, mtime, series_key(file.path, record), record


def _record(file: Found, root: bytes) -> FileRecord:
    if not file.is_readable:
        raise OSError(file.error, os.strerror(file.error))
    if (judged := judged_by_name(file.path, file.size)) is not None:
        return judged
    if is_nifti_name(os.fsdecode(file.path)):
        return read_nifti(file.path, os.fsdecode(os.path.relpath(file.path, root)), file.size)
    return judged_by_header(read_dicom(file.path, file.size, is_dicom_name(file.path)))
