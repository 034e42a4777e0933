"""What a file is by its name, its size and the kind of object in it, the same in the tree and in an archive."""

from __future__ import annotations

import os

from paraspinal.core import archives
from paraspinal.core.vocab import Reason
from paraspinal.stages.ingest.nifti_file import is_nifti_name
from paraspinal.stages.ingest.record import DICOM, NIFTI, OTHER, FileRecord, refuse
from paraspinal.stages.ingest.stacks import is_no_image

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
FOREIGN_ARCHIVES = (".7z", ".rar")
"""Archives that are not read."""
TEXTS = (".txt", ".md", ".json", ".tsv", ".csv", ".html", ".xml", ".log", ".gitkeep", ".bval", ".bvec", ".ini", ".yaml")
TEXT_NAMES = ("readme", "license", "changes", "bidsignore")


def lower_name(path: bytes) -> str:
    """Return the last part of a path in lower case."""
    return os.fsdecode(archives.name_of(path)).lower()


def is_dicom_name(path: bytes) -> bool:
    """Whether the name claims that the file is DICOM."""
    return lower_name(path).endswith(DICOM_SUFFIXES)


def judged_by_name(path: bytes, size: int) -> FileRecord | None:
    """Return the record of a file that need not be opened, None for one that has to be."""
    name = lower_name(path)
    is_member = archives.split(path)[1] is not None
    if name.startswith("."):
        return refuse(OTHER, Reason.NOT_AN_IMAGE, "a hidden file")
    if is_member and (archives.is_archive(archives.name_of(path)) or name.endswith(FOREIGN_ARCHIVES)):
        return refuse(OTHER, Reason.NOT_AN_IMAGE, "an archive within an archive; unpack it to use what is inside")
    if name.endswith(FOREIGN_ARCHIVES):
        return refuse(OTHER, Reason.NOT_AN_IMAGE, "an archive; unpack it to use what is inside")
    if size == 0:
        if name.endswith(TEXTS) or name in TEXT_NAMES:
            return refuse(OTHER, Reason.NOT_AN_IMAGE, "an empty text file")
        return refuse(OTHER, Reason.DICOM_TRUNCATED, "an empty file")
    if is_member and is_nifti_name(name):
        return refuse(OTHER, Reason.NOT_AN_IMAGE, "NIfTI in an archive; unpack it to use it")
    return None


def judged_by_header(record: FileRecord) -> FileRecord:
    """Return the record of a DICOM file, or why a readable one is no image."""
    if is_no_image(record):
        return refuse(OTHER, Reason.NOT_AN_IMAGE, "a report or another object without an image", record.digest)
    return record


def series_key(path: bytes, record: FileRecord) -> str:
    """Group records so that one series comes back at once; everything without an image by folder."""
    folder = archives.folder_of(path).hex()
    if record.source == NIFTI and record.values:
        return f"n|{path.hex()}"
    if record.source == DICOM and record.values:
        uid = record.values.get("series_uid") or record.values.get("study_uid")
        return f"d|{uid}" if uid else f"d|{folder}"
    return f"o|{folder}"
