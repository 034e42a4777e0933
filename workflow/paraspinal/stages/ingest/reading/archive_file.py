"""Read the files of an archive as if they lay in a folder of its name."""

from __future__ import annotations

from paraspinal.core.archives.bounds import SEPARATOR, Member
from paraspinal.core.archives.files import members
from paraspinal.core.errors import DataError, MachineError
from paraspinal.core.vocab import Reason
from paraspinal.stages.ingest.reading.assess import is_dicom_name, judged_by_header, judged_by_name, series_key
from paraspinal.stages.ingest.reading.cache import Read
from paraspinal.stages.ingest.reading.dicom_file import read_dicom_bytes
from paraspinal.stages.ingest.reading.record import OTHER, FileRecord, refuse
from paraspinal.stages.ingest.reading.walk import Found

NOT_CACHED = -1
"""Modification time of what must be read again next time."""


def read_archive(file: Found, max_bytes: int) -> list[Read]:
    """Read an archive: a row without record, which says that it was read, then a row for every file in it.

    What cannot be read of it, or that it is empty, is one row more, beside the last file that was read and under the
    empty name that no file has. No fault of the archive raises. Size and time of every row are those of the archive. A
    folder in it is not a file.
    """
    within = rest = file.path + SEPARATOR
    records: dict[bytes, FileRecord] = {}
    mtime_ns = file.mtime_ns
    try:
        for member in members(file.path, max_bytes, lambda name: judged_by_name(within + name, 1) is None):
            path = within + member.name
            records[path] = _record(path, member)
            rest = path[: path.rfind(b"/", len(within)) + 1] or within
        if not records:
            records[rest] = refuse(OTHER, Reason.NOT_AN_IMAGE, "an empty archive")
    except DataError as error:
        records[rest] = refuse(OTHER, error.reason, error.detail)
    except (MachineError, OSError):
        records[rest] = refuse(OTHER, Reason.DICOM_UNREADABLE, "the file cannot be read")
        mtime_ns = NOT_CACHED
    reads: list[Read] = [(file.path, file.size, mtime_ns, None, None)]
    return reads + [(path, file.size, mtime_ns, series_key(path, record), record) for path, record in records.items()]


def _record(path: bytes, member: Member) -> FileRecord:
    if member.reason is not None:
        return refuse(OTHER, member.reason, member.detail)
    record = judged_by_name(path, 1 if member.content is None else len(member.content))
    if record is None:
        record = judged_by_header(read_dicom_bytes(member.content or b"", is_dicom_name(path)))
    return record
