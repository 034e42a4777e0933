"""When and on what scale a stack was stored: slopes, and the order of acquisitions without their times."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import enhanced, instance, run, save, series
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from test_ingest_nifti import write as write_nifti

from paraspinal.stages.ingest.stacking.acquired import common_values, second_of


@pytest.mark.parametrize(
    ("values", "second"),
    [
        ({"acquisition_time": "101530.250"}, 36930.25),
        ({"acquisition_time": "10:15:30"}, 36930.0),
        ({"acquisition_datetime": "20200301101530.5+0100", "acquisition_time": "235959"}, 36930.5),
        ({"acquisition_time": "noon"}, None),
        ({}, None),
    ],
)
def test_second_of_the_day(values: dict[str, Any], second: float | None) -> None:
    assert second_of(values) == second


def test_what_slices_share() -> None:
    planes = [{"slope": 2.0, "acquisition": 1.0, "acquisition_time": f"10000{k}"} for k in (3, 1, 2)]
    shared = common_values(planes)
    assert (shared["slope"], shared["rescale_varies"], shared["second"]) == (2.0, False, 36001.0)
    planes[1] = {"slope": 2.5, "acquisition": 2.0}
    shared = common_values(planes)
    assert (shared["slope"], shared["rescale_varies"], shared["acquisition"]) == (None, True, None)
    planes[1] = {"acquisition": 1.0}  # one slice states none
    assert common_values(planes)["rescale_varies"] is True


def test_slopes_reach_the_inventory(tmp_path: Path) -> None:
    save(series(5, SeriesNumber=1, RescaleSlope=1.5, RescaleIntercept=-3.0), tmp_path / "in" / "a")
    save(series(5, SeriesNumber=2), tmp_path / "in" / "b")
    varying = series(5, SeriesNumber=3)
    for k, ds in enumerate(varying):
        ds.RescaleSlope, ds.RescaleIntercept = 1.0 + k, 0.0
    save(varying, tmp_path / "in" / "c")
    philips = series(5, SeriesNumber=4, RescaleSlope=1.5, RescaleIntercept=0.0)
    for ds in philips:
        block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x0E, "FL", 0.125)
    save(philips, tmp_path / "in" / "d")
    _, rows = run(tmp_path)
    names = ("rescale_slope", "rescale_intercept", "scale_slope", "rescale_varies")
    assert {row["series_number"]: tuple(row[name] for name in names) for row in rows} == {
        1: (1.5, -3.0, None, False),
        2: (None, None, None, False),
        3: (None, 0.0, None, True),
        4: (1.5, 0.0, 0.125, False),
    }


@pytest.mark.parametrize("vr", ["FL", "UN"])
def test_slopes_of_a_multi_frame_file(tmp_path: Path, vr: str) -> None:
    positions = [[0.0, 0.0, 4.0 * k] for k in range(4)]
    image = np.arange(4 * 192, dtype=np.uint16).reshape(4, 12, 16)
    parts = [
        (image + 5 * n, positions, {"image_type": ["ORIGINAL", "PRIMARY", "DIXON", word]})
        for n, word in enumerate(("WATER", "FAT"))
    ]
    ds = enhanced(parts)
    for number, group in enumerate(ds.PerFrameFunctionalGroupsSequence):
        item = Dataset()
        item.RescaleSlope, item.RescaleIntercept = (1.0 if number < 4 else 1.5), 0.0
        group.PixelValueTransformationSequence = Sequence([item])
        classic = Dataset()
        classic.add_new(0x20050010, "LO", "Philips MR Imaging DD 001")
        classic.add_new(0x2005100E, vr, 0.25 if vr == "FL" else struct.pack("<f", 0.25))
        group.add_new(0x20050014, "LO", "Philips MR Imaging DD 005")
        group.add_new(0x2005140F, "SQ", Sequence([classic]))
    save([ds], tmp_path / "in")
    _, rows = run(tmp_path)
    assert {row["dixon_part"]: (row["rescale_slope"], row["scale_slope"]) for row in rows} == {
        "water": (1.0, 0.25),
        "fat": (1.5, 0.25),
    }


def test_order_of_acquisitions_without_their_times(tmp_path: Path) -> None:
    """Two seconds apart is one acquisition, a minute another; the next visit counts anew; no time gets out."""
    for number, time in {1: "101500.00", 2: "101502.5", 3: "101602", 4: None}.items():
        save(series(5, SeriesNumber=number, AcquisitionTime=time), tmp_path / "in" / str(number))
    save(series(5, SeriesNumber=5, StudyDate="20210301", AcquisitionTime="090000"), tmp_path / "in" / "5")
    _, rows = run(tmp_path)
    assert {row["series_number"]: row["acquisition_moment"] for row in rows} == {1: 1, 2: 1, 3: 2, 4: None, 5: 1}
    assert {row["acquisition_number"] for row in rows} == {1}
    text = json.dumps(rows)
    assert all(part not in text for part in ("1015", "36900", "32400"))


def test_a_stack_takes_the_time_of_its_first_slice(tmp_path: Path) -> None:
    """Slices of a 2-D scan follow each other over minutes; what counts is when it began."""
    first = [instance(k, InstanceNumber=k, SeriesNumber=1, AcquisitionTime=f"1000{10 * k:02d}",
                      ImagePositionPatient=[0.0, 0.0, 4.0 * k], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
             for k in range(1, 6)]  # fmt: skip
    save(first, tmp_path / "in" / "a")
    save(series(5, SeriesNumber=2, AcquisitionTime="100012"), tmp_path / "in" / "b")
    save(series(5, SeriesNumber=3, AcquisitionTime="100050"), tmp_path / "in" / "c")
    _, rows = run(tmp_path)
    assert {row["series_number"]: row["acquisition_moment"] for row in rows} == {1: 1, 2: 1, 3: 2}


def test_sidecar_of_a_nifti_file(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "in" / "sub-01_T1w.nii.gz")
    sidecar = {"AcquisitionTime": "10:15:00.5", "AcquisitionNumber": 3, "PhilipsRescaleSlope": 2.0}
    path.with_name("sub-01_T1w.json").write_text(json.dumps(sidecar))
    _, rows = run(tmp_path)
    (row,) = [row for row in rows if row["source"] == "nifti"]
    assert (row["acquisition_moment"], row["acquisition_number"], row["rescale_slope"]) == (1, 3, 2.0)
