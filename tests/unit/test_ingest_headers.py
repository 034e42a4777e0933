"""The small header reader agrees with pydicom and survives whatever bytes it is given."""

from __future__ import annotations

import os
from pathlib import Path

import pydicom
import pytest
from dicom_factory import instance, save, series
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from paraspinal.core.vocab import Reason
from paraspinal.stages.ingest.reading.dicom_file import TAGS, read_dicom
from paraspinal.stages.ingest.reading.record import FileRecord

SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


def read(path: Path) -> FileRecord:
    """Read a file as ingest does."""
    return read_dicom(os.fsencode(path), path.stat().st_size, path.suffix == ".dcm")


def rich() -> pydicom.FileDataset:
    """An image with nested, private and long elements before its pixels."""
    ds = instance("rich", EchoTime=12.5, PatientAge="050Y", AdditionalPatientHistory="x" * 9000)
    inner = Dataset()
    inner.PatientID = "inner, not the patient"
    inner.ReferencedSOPInstanceUID = "1.2.3"
    outer = Dataset()
    outer.ReferencedImageSequence = Sequence([inner, inner])
    ds.ReferencedStudySequence = Sequence([outer])
    ds["ReferencedStudySequence"].is_undefined_length = True
    outer["ReferencedImageSequence"].is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    block = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", b"\0\1" * 40000)
    return ds


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_values_equal_those_of_pydicom(tmp_path: Path, syntax: str) -> None:
    (path,) = save([rich()], tmp_path, syntax)
    record = read(path)
    reference = pydicom.dcmread(path)
    assert record.reason is None
    for tag, (name, kind) in TAGS.items():
        element = reference.get(tag)
        if element is None or element.is_empty:
            assert name not in record.values, name
        elif kind == "texts":
            listed = [element.value] if isinstance(element.value, str) else list(element.value)
            assert record.values[name] == [str(part).upper() for part in listed]
        elif kind == "numbers":
            assert record.values[name] == pytest.approx([float(x) for x in element.value])
        elif kind == "text":
            assert record.values[name] == str(element.value)
        else:
            assert record.values[name] == pytest.approx(float(element.value))


def test_file_without_preamble_is_read(tmp_path: Path) -> None:
    (path,) = save([instance("bare")], tmp_path, ImplicitVRLittleEndian)
    whole = path.read_bytes()
    start = whole.index(b"\x08\x00\x08\x00")  # the image type follows the file meta information
    path.write_bytes(whole[start:])
    assert read(path).values["patient_id"] == "P1"


def test_records_survive_the_cache(tmp_path: Path) -> None:
    record = read(save([rich()], tmp_path)[0])
    assert FileRecord.loads(record.dumps()) == record


def test_digest_follows_content_not_name_or_time(tmp_path: Path) -> None:
    first, other = save(series(2), tmp_path)
    before = read(first)
    moved = first.rename(tmp_path / "moved.dcm")
    moved.touch()
    assert read(moved).digest == before.digest
    assert read(other).digest != before.digest
    raw = bytearray(moved.read_bytes())
    raw[-1] ^= 1
    moved.write_bytes(bytes(raw))
    assert read(moved).digest != before.digest


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_cut_is_noticed(tmp_path: Path, syntax: str) -> None:
    (path,) = save([instance("cut")], tmp_path, syntax)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        reason = read(path).reason
        assert reason in (Reason.DICOM_TRUNCATED, Reason.DICOM_UNREADABLE, Reason.DICOM_NO_PIXELS, Reason.NOT_AN_IMAGE)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_bytes_make_it_raise(tmp_path: Path, data: st.DataObject) -> None:
    syntax = data.draw(st.sampled_from(SYNTAXES))
    (path,) = save([instance("fuzz")], tmp_path, syntax)
    raw = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(132, len(raw) - 1), min_size=1, max_size=20)):
        raw[place] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(raw))
    assert read(path).source in ("dicom", "other")


def test_values_that_are_no_numbers_are_missing(tmp_path: Path) -> None:
    ds = instance("odd")
    ds["EchoTime"]._value = "twelve"
    raw = save([instance("odd")], tmp_path)[0]
    content = (
        raw.read_bytes().replace(b"DS\x04\x00150.", b"DS\x04\x00abc ").replace(b"DS\x06\x004000.0", b"DS\x06\x00nan   ")
    )
    raw.write_bytes(content)
    values = read(raw).values
    assert "tr_ms" not in values
    assert values["te_ms"] == 100.0
