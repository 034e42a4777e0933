"""What a file is by its name, its size and the kind of object in it, the same in the tree and in an archive."""

from __future__ import annotations

import os

from paraspinal.core.archives import files as archives
from paraspinal.core.vocab import Reason
from paraspinal.stages.ingest.reading.nifti_file import is_nifti_name
from paraspinal.stages.ingest.reading.record import DICOM, NIFTI, OTHER, FileRecord, refuse

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
FOREIGN_ARCHIVES = (".7z", ".rar")
"""Archives that are not read."""
TEXTS = (".txt", ".md", ".json", ".tsv", ".csv", ".html", ".xml", ".log", ".gitkeep", ".bval", ".bvec", ".ini", ".yaml")
NOT_IMAGES = frozenset(
    {"SR", "PR", "KO", "DOC", "REG", "SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "AU", "ECG", "RWV", "PLAN"}
)
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


def is_no_image(record: FileRecord) -> bool:
    """Whether a readable DICOM file is something else than an image: a report, a presentation state, a document."""
    values = record.values
    return values.get("modality") in NOT_IMAGES or str(values.get("sop_class", "")).startswith(
        (
            "1.2.840.10008.5.1.4.1.1.88.",
            "1.2.840.10008.5.1.4.1.1.104.",
            "1.2.840.10008.5.1.4.1.1.66",
            "1.2.840.10008.1.3.10",
        )
    )


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
