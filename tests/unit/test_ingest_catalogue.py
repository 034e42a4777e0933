"""Every row of the table of bad inputs that is decided at the front door."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_factory import (
    AXIAL,
    CORONAL,
    CT,
    SAGITTAL,
    enhanced,
    instance,
    outcome,
    pixels,
    run,
    save,
    series,
    uid,
)
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

Outcome = list[tuple[str, str | None, int]]


def _cut(path: Path, bytes_off: int) -> None:
    path.write_bytes(path.read_bytes()[:-bytes_off])


def garbage(base: Path) -> Outcome:
    base.mkdir(parents=True)
    (base / "README.txt").write_text("hello")
    (base / ".hidden").write_bytes(b"x")
    (base / "DICOMDIR").write_bytes(b"\0" * 128 + b"no directory")
    (base / "broken.dcm").write_bytes(b"nothing of the kind")
    return [("excluded", "NOT_AN_IMAGE", 1), ("excluded", "NOT_AN_IMAGE", 2), ("failed", "DICOM_UNREADABLE", 1)]


def files_among_slices(base: Path) -> Outcome:
    save(series(), base)
    (base / "README").write_text("hello")
    (base / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    return [("excluded", "NOT_AN_IMAGE", 1), ("excluded", "NOT_AN_IMAGE", 1), ("ok", None, 6)]


def truncated_slice(base: Path) -> Outcome:
    _cut(save(series(), base)[2], 200)
    return [("failed", "DICOM_TRUNCATED", 6)]


def ten_bytes_short(base: Path) -> Outcome:
    _cut(save(series(), base)[5], 10)
    return [("failed", "DICOM_TRUNCATED", 6)]


def empty_middle_slice(base: Path) -> Outcome:
    save(series(), base)[3].write_bytes(b"")
    return [("failed", "DICOM_TRUNCATED", 1), ("failed", "SLICE_MISSING", 5)]


def empty_last_slice(base: Path) -> Outcome:
    save(series(), base)[5].write_bytes(b"")
    return [("failed", "DICOM_TRUNCATED", 1), ("warn", "DICOM_TRUNCATED", 5)]


def header_cut(base: Path) -> Outcome:
    path = save(series(), base)[3]
    path.write_bytes(path.read_bytes()[:400])
    return [("failed", "DICOM_TRUNCATED", 1), ("failed", "SLICE_MISSING", 5)]


def missing_slice(base: Path) -> Outcome:
    save([ds for ds in series(8) if ds.InstanceNumber != 4], base)
    return [("failed", "SLICE_MISSING", 7)]


def missing_slice_renumbered(base: Path) -> Outcome:
    kept = [ds for ds in series(8) if ds.InstanceNumber != 4]
    for number, ds in enumerate(kept, start=1):
        ds.InstanceNumber = number
    save(kept, base)
    return [("failed", "SLICE_MISSING", 7)]


def irregular(base: Path) -> Outcome:
    items = series(8)
    items[3].ImagePositionPatient = [-6.0, -5.0, items[3].ImagePositionPatient[2] + 1.0]
    save(items, base)
    return [("failed", "SLICE_IRREGULAR", 8)]


def tilted_gantry(base: Path) -> Outcome:
    items = series(8)
    for k, ds in enumerate(items):
        ds.ImagePositionPatient = [-6.0, -5.0 + 1.0 * k, ds.ImagePositionPatient[2]]
    save(items, base)
    return [("failed", "SLICE_IRREGULAR", 8)]


def same_file_twice(base: Path) -> Outcome:
    paths = save(series(), base)
    shutil.copy(paths[1], base / "copy of 2.dcm")
    return [("warn", "DUP_IDENTICAL", 7)]


def cut_copy_beside_the_whole(base: Path) -> Outcome:
    paths = save(series(), base)
    shutil.copy(paths[1], base / "copy of 2.dcm")
    _cut(base / "copy of 2.dcm", 50)
    return [("warn", "DUP_IDENTICAL", 7)]


def whole_series_twice(base: Path) -> Outcome:
    save(series(), base / "a")
    save(series(), base / "b")
    return [("warn", "DUP_IDENTICAL", 12)]


def resent_with_new_uids(base: Path) -> Outcome:
    save(series(seed="same"), base / "a")
    again = series(seed="same")
    for ds in again:
        ds.SeriesInstanceUID, ds.SOPInstanceUID = uid("new series"), uid("new", ds.SOPInstanceUID)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    save(again, base / "b")
    return [("excluded", "DUP_IDENTICAL", 6), ("ok", None, 6)]


def conflict(base: Path) -> Outcome:
    extra = series(6, seed="other")[2]
    save([*series(), extra], base)
    return [("failed", "DUP_CONFLICT", 7)]


def repeated_acquisition(base: Path) -> Outcome:
    save([*series(seed=1), *series(seed=2, AcquisitionNumber=2, first=7)], base)
    return [("ok", None, 6), ("ok", None, 6)]


def dynamic(base: Path) -> Outcome:
    save([ds for t in range(6) for ds in series(seed=t, TemporalPositionIdentifier=t + 1)], base)
    return [("excluded", "FOURD_UNEXPECTED", 36)]


def _discs(n: int) -> list[pydicom.Dataset]:
    made = []
    for disc in range(5):
        angle = np.radians(-20 + 10 * disc)
        orientation = (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(np.sin(angle)))
        origin = (-6.0, -5.0, 35.0 * disc)
        made += series(n, 4.0, orientation, origin, first=1 + n * disc, seed=disc)
    return made


def five_oblique_groups(base: Path) -> Outcome:
    save(_discs(4), base)
    return [("ok", None, 4)] * 5


def parallel_groups(base: Path) -> Outcome:
    save([ds for g in range(5) for ds in series(3, origin=(-6.0, -5.0, 35.0 * g), first=1 + 3 * g, seed=g)], base)
    return [("ok", None, 3)] * 5


def three_plane_localizer(base: Path) -> Outcome:
    planes = enumerate((AXIAL, SAGITTAL, CORONAL))
    save([ds for k, plane in planes for ds in series(3, 10.0, plane, first=1 + 3 * k, seed=k)], base)
    return [("excluded", "LOCALIZER", 3)] * 3


def named_localizer(base: Path) -> Outcome:
    save(series(3, SeriesDescription="localizer"), base)
    return [("excluded", "LOCALIZER", 3)]


def two_patients_in_one_series(base: Path) -> Outcome:
    shared = uid("shared")
    a, b = series(3), series(3, first=4, PatientID="P2", origin=(-6, -5, 22))
    for ds in (*a, *b):
        ds.SeriesInstanceUID = shared
    save([*a, *b], base)
    return [("failed", "MIXED_PATIENTS", 6)]


def two_patients_in_one_folder(base: Path) -> Outcome:
    save([*series(), *series(PatientID="P2")], base)
    return [("ok", None, 6), ("ok", None, 6)]


def mixed_matrix(base: Path) -> Outcome:
    odd = series(1, origin=(-6, -5, 100), first=13, pixel_array=pixels("odd", 8, 8))
    save([*series(12), *odd], base)
    return [("excluded", "MIXED_STACKS", 1), ("warn", "MIXED_STACKS", 12)]


def reversed_slice(base: Path) -> Outcome:
    items = series(12)
    items[5].ImageOrientationPatient = [-1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    save(items, base)
    return [("excluded", "MIXED_STACKS", 1), ("warn", "MIXED_STACKS", 5), ("warn", "MIXED_STACKS", 6)]


def two_echoes(base: Path) -> Outcome:
    save([*series(EchoTime=12.0, seed=1), *series(EchoTime=100.0, seed=2, first=7)], base)
    return [("ok", None, 6), ("ok", None, 6)]


def dixon_in_one_series(base: Path) -> Outcome:
    words = ("WATER", "FAT", "IN_PHASE", "OPP_PHASE")
    items = [series(seed=w, ImageType=["DERIVED", "PRIMARY", "DIXON", w], first=1 + 6 * k) for k, w in enumerate(words)]
    save([ds for part in items for ds in part], base)
    return [("ok", None, 6)] * 4


def dixon_enhanced(base: Path) -> Outcome:
    places = [[-6.0, -5.0, 10.0 + 4.0 * k] for k in range(5)]
    volumes = []
    for word in ("WATER", "FAT", "IN_PHASE", "OPPOSED_PHASE"):
        volume = np.stack([pixels((word, k)) for k in range(5)])
        volumes.append((volume, places, {"image_type": ["DERIVED", "PRIMARY", "DIXON", word]}))
    save([enhanced(volumes)], base)
    return [("ok", None, 0), ("ok", None, 0), ("ok", None, 0), ("ok", None, 1)]


def single_slice(base: Path) -> Outcome:
    save(series(1), base)
    return [("excluded", "TOO_FEW_SLICES", 1)]


def no_position(base: Path) -> Outcome:
    save(series(ImagePositionPatient=None), base)
    return [("failed", "NO_GEOMETRY", 6)]


def no_orientation(base: Path) -> Outcome:
    save(series(ImageOrientationPatient=None), base)
    return [("failed", "NO_GEOMETRY", 6)]


def nonsense_orientation(base: Path) -> Outcome:
    save(series(ImageOrientationPatient=[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]), base)
    return [("failed", "NO_GEOMETRY", 6)]


def zero_spacing(base: Path) -> Outcome:
    save(series(PixelSpacing=[0.0, 0.0]), base)
    return [("failed", "BAD_SPACING", 6)]


def ct(base: Path) -> Outcome:
    save(series(Modality="CT", sop_class=CT), base)
    return [("excluded", "NOT_MR", 6)]


def screenshot(base: Path) -> Outcome:
    save([instance("shot", "1.2.840.10008.5.1.4.1.1.7", Modality="MR", ImageType=["DERIVED", "SECONDARY"])], base)
    return [("excluded", "SECONDARY_CAPTURE", 1)]


def report(base: Path) -> Outcome:
    ds = instance("sr", "1.2.840.10008.5.1.4.1.1.88.22", Modality="SR")
    del ds.PixelData
    save([ds], base)
    return [("excluded", "NOT_AN_IMAGE", 1)]


def no_pixels(base: Path) -> Outcome:
    items = series()
    for ds in items:
        del ds.PixelData
    save(items, base)
    return [("failed", "DICOM_NO_PIXELS", 6)]


def reformat(base: Path) -> Outcome:
    save(series(ImageType=["DERIVED", "SECONDARY", "MPR"]), base)
    return [("excluded", "DERIVED_REFORMAT", 6)]


def derived_dixon_is_no_reformat(base: Path) -> Outcome:
    save(series(ImageType=["DERIVED", "PRIMARY", "DIXON", "WATER"]), base)
    return [("ok", None, 6)]


def cervical(base: Path) -> Outcome:
    save(series(BodyPartExamined="CSPINE"), base)
    return [("excluded", "WRONG_BODY_PART", 6)]


def knee_by_protocol(base: Path) -> Outcome:
    save(series(BodyPartExamined=None, ProtocolName="Knee routine"), base)
    return [("excluded", "WRONG_BODY_PART", 6)]


def unstated_region(base: Path) -> Outcome:
    save(series(BodyPartExamined=None), base)
    return [("ok", None, 6)]


def phase_image(base: Path) -> Outcome:
    save(series(ImageType=["ORIGINAL", "PRIMARY", "P", "ND"]), base)
    return [("excluded", "SEQ_UNKNOWN", 6)]


def too_many_files(base: Path) -> Outcome:
    save(series(30), base)
    return [("excluded", "FOURD_UNEXPECTED", 30)]


def implicit(base: Path) -> Outcome:
    save(series(), base, ImplicitVRLittleEndian)
    return [("ok", None, 6)]


def big_endian(base: Path) -> Outcome:
    save(series(), base, ExplicitVRBigEndian)
    return [("ok", None, 6)]


def deflated(base: Path) -> Outcome:
    save(series(), base, DeflatedExplicitVRLittleEndian)
    return [("ok", None, 6)]


def run_length(base: Path) -> Outcome:
    items = series()
    for ds in items:
        ds.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    save(items, base)
    return [("ok", None, 6)]


def run_length_cut(base: Path) -> Outcome:
    items = series()
    for ds in items:
        ds.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    _cut(save(items, base)[2], 30)
    return [("failed", "DICOM_TRUNCATED", 6)]


def announced_but_absent(base: Path) -> Outcome:
    save(series(ImagesInAcquisition=8), base)
    return [("warn", "SLICE_MISSING", 6)]


CASES: list[Callable[[Path], Outcome]] = [
    garbage, files_among_slices, truncated_slice, ten_bytes_short, empty_middle_slice, empty_last_slice, header_cut,
    missing_slice, missing_slice_renumbered, irregular, tilted_gantry, same_file_twice,
    cut_copy_beside_the_whole, whole_series_twice,
    resent_with_new_uids, conflict, repeated_acquisition, dynamic, five_oblique_groups, parallel_groups,
    three_plane_localizer, named_localizer, two_patients_in_one_series, two_patients_in_one_folder, mixed_matrix,
    reversed_slice, two_echoes, dixon_in_one_series, dixon_enhanced, single_slice, no_position, no_orientation,
    nonsense_orientation, zero_spacing, ct, screenshot, report, no_pixels, reformat, derived_dixon_is_no_reformat,
    cervical, knee_by_protocol, unstated_region, phase_image, too_many_files, implicit, big_endian, deflated,
    run_length, run_length_cut, announced_but_absent,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_disposition(case: Callable[[Path], Outcome], tmp_path: Path) -> None:
    expected = case(tmp_path / "in" / "case")
    save(series(PatientID="bystander", first=1), tmp_path / "in" / "bystander")
    limit = {"ingest": {"workers": 1, "max_series_files": 25}} if case is too_many_files else {}
    _, rows = run(tmp_path, **limit)
    assert outcome(rows) == sorted([*expected, ("ok", None, 6)], key=str)
