"""Read one NIfTI file of a BIDS dataset or a plain folder: its grid, its person, and what its name says."""

# ruff: noqa: PTH123
# Paths are bytes here, for a file name need not be text.

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from paraspinal.core.errors import DataError
from paraspinal.core.vocab import Reason
from paraspinal.stages.ingest.reading.nifti_header import read_grid
from paraspinal.stages.ingest.reading.record import NIFTI, OTHER, FileRecord, Values, refuse

EXTENSIONS = (".nii", ".nii.gz")
SAMPLE = 4096
"""Bytes of the file hashed at the start, the middle and the end."""
MAX_SIDECAR = 1 << 20
"""A sidecar larger than this is not one."""
LABEL_WORDS = frozenset(
    {"dseg", "seg", "mask", "msk", "masks", "labels", "levels", "probseg", "segmentation", "gt", "groundtruth", "roi"}
)
LABEL_FOLDERS = frozenset({"derivatives", "labels", "masks", "labelstr", "labelsts"})
CONTRAST_WORDS = re.compile(
    r"(?:t1|t1w|t1dual|t2|t2w|t2spir|pd|pdw|stir|tirm|flair|dixon|mdixon|water|fat|fatfraction|ff|pdff|inphase|in|ip"
    r"|outphase|oppphase|opposedphase|opp|out|op|w|f|img|image|mr|mri|ax|axial|tra|sag|sagittal|cor|coronal|fs|fatsat)",
    re.IGNORECASE,
)
SIDECAR_FIELDS: dict[str, tuple[str, float]] = {
    "EchoTime": ("te_ms", 1e3),
    "RepetitionTime": ("tr_ms", 1e3),
    "InversionTime": ("ti_ms", 1e3),
    "FlipAngle": ("flip_deg", 1.0),
    "EchoTrainLength": ("echo_train_length", 1.0),
    "MagneticFieldStrength": ("field_t", 1.0),
    "SliceThickness": ("slice_thickness_mm", 1.0),
    "SeriesNumber": ("series_number", 1.0),
    "AcquisitionNumber": ("acquisition", 1.0),
    "PhilipsRescaleSlope": ("slope", 1.0),
    "PhilipsRescaleIntercept": ("intercept", 1.0),
    "PhilipsScaleSlope": ("scale_slope", 1.0),
}
"""Fields taken from a BIDS sidecar, our name, and the factor from its unit (seconds) to ours (milliseconds)."""
SIDECAR_TEXTS = {
    "Manufacturer": "manufacturer",
    "ManufacturersModelName": "scanner_model",
    "BodyPartExamined": "body_part",
    "ProtocolName": "protocol",
    "SeriesDescription": "series_description",
    "InstitutionName": "institution",
    "AcquisitionTime": "acquisition_time",
}
SIDECAR_LISTS = {
    "ImageType": "image_type",
    "ScanningSequence": "scanning_sequence",
    "SequenceVariant": "sequence_variant",
    "ScanOptions": "scan_options",
}


def is_nifti_name(name: str) -> bool:
    """Whether a file name claims to be NIfTI."""
    return name.lower().endswith(EXTENSIONS)


def read_nifti(path: bytes, relative: str, size: int) -> FileRecord:
    """Read header and sidecar; ``relative`` is the path below the input folder with forward slashes.

    Raises OSError when the file cannot be read.
    """
    digest = _digest(path, size)
    words = set(re.split(r"[^a-z0-9]+", Path(relative).name.lower()))
    folders = {part.lower() for part in Path(relative).parts[:-1]}
    if words & LABEL_WORDS or folders & LABEL_FOLDERS:
        return refuse(OTHER, Reason.NOT_AN_IMAGE, "a label map or a derivative", digest)
    values = {**_name_values(relative), **_sidecar(path), "relative": relative}
    record = FileRecord(NIFTI, None, "", digest, values)
    try:
        grid, n_volumes = read_grid(path)
        values["grid"] = [grid.size, grid.spacing_mm, grid.origin_mm, grid.direction]
    except DataError as error:
        record.reason, record.detail = error.reason, error.detail
        return record
    if n_volumes > 1:
        record.reason, record.detail = Reason.FOURD_UNEXPECTED, "more than one volume"
    return record


def _name_values(relative: str) -> Values:
    """Read person, visit and contrast from a BIDS name, or else from the words of the file name."""
    path = Path(relative)
    stem = re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    entities = dict(re.findall(r"(?:^|_)([a-zA-Z]+)-([a-zA-Z0-9]+)", stem))
    subject = entities.get("sub") or _entity_folder(path, "sub")
    if subject:
        session = entities.get("ses") or _entity_folder(path, "ses") or "1"
        group = f"{path.parent}|{_dixon_stem(stem)}"
        return {"person": f"sub-{subject}", "visit": session, "series": group, "name": stem}
    words = [word for word in re.split(r"[_\-\s.]+", stem) if word and not CONTRAST_WORDS.fullmatch(word)]
    person = f"{path.parent}|{'_'.join(words)}" if words else str(path.parent)
    return {"person": person, "visit": "1", "series": f"{person}|{_dixon_stem(stem)}", "name": stem}


def _entity_folder(path: Path, key: str) -> str:
    for part in path.parts[:-1]:
        if part.startswith(f"{key}-"):
            return part[len(key) + 1 :]
    return ""


def _dixon_stem(stem: str) -> str:
    """Name a file without its Dixon part, so that the parts of one acquisition share a series."""
    words = r"water|fat|inphase|outphase|oppphase|opposedphase|fatfraction|pdff|ff|in|out|opp|ip|op|w|f"
    return re.sub(rf"(?i)(?:(?:^|[_\-])(?:part-|acq-|rec-)?(?:{words}))+(?=$|[_\-])", "", stem)


def _sidecar(path: bytes) -> Values:
    """Read the listed fields of the JSON beside the image; nothing when there is none or it is damaged."""
    beside = Path(re.sub(r"\.nii(\.gz)?$", ".json", os.fsdecode(path), flags=re.IGNORECASE))
    try:
        if beside.stat().st_size > MAX_SIDECAR:
            return {}
        found: Any = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    values: Values = {}
    for key, (name, factor) in SIDECAR_FIELDS.items():
        if isinstance(found.get(key), int | float) and not isinstance(found[key], bool):
            values[name] = found[key] * factor
    values.update({name: found[key] for key, name in SIDECAR_TEXTS.items() if isinstance(found.get(key), str)})
    for key, name in SIDECAR_LISTS.items():
        listed = found.get(key)
        if isinstance(listed, str):
            listed = re.split(r"[\\_]", listed) if name != "scan_options" else listed.split("\\")
        if isinstance(listed, list):
            values[name] = [str(part).upper() for part in listed]
    return values


def _digest(path: bytes, size: int) -> str:
    hasher = hashlib.sha256(str(size).encode())
    with open(path, "rb", buffering=0) as handle:
        for start in (0, max(0, size // 2), max(0, size - SAMPLE)):
            handle.seek(start)
            hasher.update(handle.read(SAMPLE))
    return hasher.hexdigest()[:32]
