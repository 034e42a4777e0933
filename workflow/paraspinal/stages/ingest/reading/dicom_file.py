"""Read one DICOM file: its header, whether it is complete, and a digest of header and sampled pixels."""

# ruff: noqa: PTH123
# Paths are bytes here, for a file name need not be text.

from __future__ import annotations

import hashlib
import io
import os
import struct
from typing import Any, BinaryIO

from paraspinal.core.vocab import Reason
from paraspinal.stages.ingest.reading import wire
from paraspinal.stages.ingest.reading.enhanced import read_frames
from paraspinal.stages.ingest.reading.record import DICOM, OTHER, FileRecord, Values, refuse

FIRST_READ = 1 << 16
"""Bytes read at once; covers the header of nearly every file."""
MAX_HEADER = 1 << 28
"""No header is larger; a stated length beyond it is damage."""
SAMPLE = 4096
"""Bytes of pixels hashed at the start, the middle and the end."""
CHANGED = "the file changed while it was read"
SEQUENCE_DELIMITER = b"\xfe\xff\xdd\xe0"
MAX_FRAGMENTS = 100_000
"""An encapsulated image with more pieces is not followed to its end."""

TAGS: dict[int, tuple[str, str]] = {
    0x00080008: ("image_type", "texts"),
    0x00080016: ("sop_class", "text"),
    0x00080018: ("sop_uid", "text"),
    0x00080020: ("study_date", "text"),
    0x0008002A: ("acquisition_datetime", "text"),
    0x00080032: ("acquisition_time", "text"),
    0x00080060: ("modality", "text"),
    0x00080064: ("conversion_type", "text"),
    0x00080070: ("manufacturer", "text"),
    0x00080080: ("institution", "text"),
    0x00081030: ("study_description", "text"),
    0x0008103E: ("series_description", "text"),
    0x00081090: ("scanner_model", "text"),
    0x00100010: ("patient_name", "text"),
    0x00100020: ("patient_id", "text"),
    0x00100030: ("birth_date", "text"),
    0x00100040: ("sex", "text"),
    0x00101010: ("age", "text"),
    0x00180015: ("body_part", "text"),
    0x00180020: ("scanning_sequence", "texts"),
    0x00180021: ("sequence_variant", "texts"),
    0x00180022: ("scan_options", "texts"),
    0x00180023: ("acquisition_type", "text"),
    0x00180024: ("sequence_name", "text"),
    0x00180050: ("slice_thickness_mm", "number"),
    0x00180080: ("tr_ms", "number"),
    0x00180081: ("te_ms", "number"),
    0x00180082: ("ti_ms", "number"),
    0x00180087: ("field_t", "number"),
    0x00180088: ("slice_spacing_mm", "number"),
    0x00180091: ("echo_train_length", "number"),
    0x00181030: ("protocol", "text"),
    0x00181314: ("flip_deg", "number"),
    0x00189087: ("b_value", "double"),
    0x0020000D: ("study_uid", "text"),
    0x0020000E: ("series_uid", "text"),
    0x00200011: ("series_number", "number"),
    0x00200012: ("acquisition", "number"),
    0x00200013: ("instance", "number"),
    0x00200032: ("position", "numbers"),
    0x00200037: ("orientation", "numbers"),
    0x00200052: ("frame_of_reference_uid", "text"),
    0x00200100: ("temporal", "number"),
    0x00201002: ("images_in_acquisition", "number"),
    0x00280002: ("samples", "short"),
    0x00280004: ("photometric", "text"),
    0x00280008: ("n_frames", "number"),
    0x00280010: ("rows", "short"),
    0x00280011: ("columns", "short"),
    0x00280030: ("pixel_spacing", "numbers"),
    0x00280100: ("bits", "short"),
    0x00281052: ("intercept", "number"),
    0x00281053: ("slope", "number"),
    0x00280301: ("burned_in", "text"),
    0x0043102F: ("ge_image_type", "short"),
    0x2005100E: ("scale_slope", "float"),  # Philips: stored value over this is what compares between images
}
WANTED = frozenset(TAGS)
LENGTHS = {"position": 3, "orientation": 6, "pixel_spacing": 2}


def read_dicom(path: bytes, size: int, is_named_dicom: bool) -> FileRecord:
    """Read a file that may be DICOM.

    ``is_named_dicom`` says that its name claims so, which makes the difference between a stranger and a damaged
    image. Raises OSError when the file cannot be read.
    """
    with open(path, "rb", buffering=0) as handle:
        record = _read(handle, size, is_named_dicom)
    if _has_frames(record.values):
        record.frames = read_frames(os.fsdecode(path))
    return record


def read_dicom_bytes(content: bytes, is_named_dicom: bool) -> FileRecord:
    """Read what may be DICOM as `read_dicom` does, and hash its pixels while they are at hand."""
    record = _read(io.BytesIO(content), len(content), is_named_dicom)
    if _has_frames(record.values):
        record.frames = read_frames(io.BytesIO(content))
    if "pixel_offset" in record.values and "pixel_sha256" not in record.values:
        pixels = memoryview(content)[record.values["pixel_offset"] :]
        record.values["pixel_sha256"] = hashlib.sha256(pixels).hexdigest()
    return record


def _read(handle: BinaryIO, size: int, is_named_dicom: bool) -> FileRecord:
    buffer = handle.read(FIRST_READ)
    stranger = refuse(OTHER, Reason.NOT_AN_IMAGE, "not a DICOM file")
    if not wire.looks_like_dicom(buffer):
        return refuse(DICOM, Reason.DICOM_UNREADABLE, "no DICOM header") if is_named_dicom else stranger
    has_magic = buffer[wire.PREAMBLE : wire.PREAMBLE + 4] == b"DICM"
    try:
        scan, buffer = _scan(handle, buffer)
    except wire.NeedMoreError:
        if not (has_magic or is_named_dicom):
            return stranger
        return refuse(DICOM, Reason.DICOM_TRUNCATED, "the header is cut", _digest(buffer, size))
    except wire.OddHeaderError:
        if not (has_magic or is_named_dicom):
            return stranger
        return refuse(DICOM, Reason.DICOM_UNREADABLE, "the header is damaged", _digest(buffer, size))
    values = _values(scan)
    if not values.get("sop_class") and not values.get("modality"):
        if not (has_magic or is_named_dicom):
            return stranger
        return refuse(OTHER, Reason.NOT_AN_IMAGE, "DICOM without an image", _digest(buffer, size))
    return _record(handle, size, scan, buffer, values)


def _scan(handle: BinaryIO, buffer: bytes) -> tuple[wire.Scan, bytes]:
    """Scan, reading on as long as the header does."""
    chunk = FIRST_READ
    while True:
        is_whole = len(buffer) < FIRST_READ
        try:
            return wire.scan(buffer, WANTED, is_whole), buffer
        except wire.NeedMoreError:
            if is_whole or len(buffer) > MAX_HEADER:
                raise
        chunk *= 4
        more = handle.read(chunk)
        if not more:
            return wire.scan(buffer, WANTED, True), buffer
        buffer += more


def _has_frames(values: Values) -> bool:
    is_enhanced = str(values.get("sop_class", "")).startswith("1.2.840.10008.5.1.4.1.1.4.")
    return "pixel_offset" in values and (values.get("n_frames", 1) > 1 or is_enhanced)


def _record(handle: BinaryIO, size: int, scan: wire.Scan, buffer: bytes, values: Values) -> FileRecord:
    values["transfer_syntax"] = scan.transfer_syntax
    pixels = scan.inflated if scan.inflated is not None else None
    total = len(pixels) if pixels is not None else size
    header = (scan.inflated or buffer)[: scan.header_end]
    if scan.pixel_offset is None:
        digest = _digest(header, size)
        return FileRecord(DICOM, Reason.DICOM_NO_PIXELS, "no pixel data", digest, values)
    stored = total - scan.pixel_offset
    sampled = hashlib.sha256(str(stored).encode())
    for start in (scan.pixel_offset, scan.pixel_offset + stored // 2, total - SAMPLE):
        start = max(start, scan.pixel_offset)
        sampled.update(pixels[start : start + SAMPLE] if pixels is not None else _read_at(handle, start, SAMPLE))
    values["pixel_offset"] = scan.pixel_offset
    if pixels is not None:  # an offset into inflated bytes leads nowhere in the file
        values["pixel_sha256"] = hashlib.sha256(pixels[scan.pixel_offset :]).hexdigest()
    values["pixel_digest"] = sampled.hexdigest()[:32]
    digest = hashlib.sha256(header + f"{size} {values['pixel_digest']}".encode()).hexdigest()[:32]
    record = FileRecord(DICOM, None, "", digest, values)
    if fault := _truncation(handle, scan, total, values):
        record.reason, record.detail = Reason.DICOM_TRUNCATED, fault
    elif handle.seek(0, os.SEEK_END) != size:
        record.reason, record.detail = Reason.DICOM_TRUNCATED, CHANGED
    return record


def _read_at(handle: BinaryIO, start: int, size: int) -> bytes:
    handle.seek(start)
    return handle.read(size)


def _truncation(handle: BinaryIO, scan: wire.Scan, total: int, values: Values) -> str:
    """Say what is missing of the pixel data, or nothing."""
    assert scan.pixel_offset is not None
    if scan.pixel_length is None:
        return _fragments_fault(handle, scan.pixel_offset, total)
    sides = [values.get(name) for name in ("rows", "columns", "bits")]
    if None not in sides:
        rows, columns, bits = (int(side) for side in sides)  # type: ignore[arg-type]
        frames = max(1, int(values.get("n_frames", 1)))
        expected = rows * columns * int(values.get("samples", 1)) * frames * bits // 8
        if min(scan.pixel_length, total - scan.pixel_offset) < expected:
            return "fewer pixels than the header states"
    if scan.pixel_offset + scan.pixel_length > total:
        return "the pixel data is cut"
    return ""


def _fragments_fault(handle: BinaryIO, position: int, total: int) -> str:
    """Follow the pieces of encapsulated pixel data to their end mark."""
    for _ in range(MAX_FRAGMENTS):
        mark = _read_at(handle, position, 8)
        if len(mark) < 8:
            return "the compressed pixel data has no end"
        if mark[:4] == SEQUENCE_DELIMITER:
            return ""
        if mark[:4] != b"\xfe\xff\x00\xe0":
            return "the compressed pixel data is damaged"
        position += 8 + int(struct.unpack("<L", mark[4:])[0])
        if position > total:
            return "the compressed pixel data is cut"
    return ""


def _digest(header: bytes, size: int) -> str:
    return hashlib.sha256(header + str(size).encode()).hexdigest()[:32]


def _values(scan: wire.Scan) -> Values:
    order = ">" if scan.is_big_endian else "<"
    values: Values = {}
    for tag, raw in scan.elements.items():
        name, kind = TAGS[tag]
        value = _value(raw, kind, order)
        if value not in (None, "", []) and len(value if name in LENGTHS else ()) == LENGTHS.get(name, 0):
            values[name] = value
    return values


def _value(raw: bytes, kind: str, order: str) -> Any:
    try:
        if kind == "short":
            return struct.unpack_from(order + "H", raw)[0]
        if kind == "float" and len(raw) == 4:
            return finite(struct.unpack(order + "f", raw)[0])
        if kind == "double":
            return finite(struct.unpack_from(order + "d", raw)[0])
        value = wire.text(raw)
        if kind == "text":
            return value
        parts = [part.strip() for part in value.split("\\")]
        if kind == "texts":
            return [part.upper() for part in parts] if value else []
        if kind in ("number", "float"):
            return finite(float(parts[0]))
        return [finite(float(part)) for part in parts]
    except (ValueError, struct.error):
        return None


def finite(number: float) -> float:
    """Pass a number through; raises ValueError for infinity and NaN, which no header may mean."""
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError("not finite")
    return number
