"""Enhanced multi-frame files of the phantom: functional groups, dimensions, and what dcm2niix makes of them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from test_vendor_matrix import PARTS, VISIT, axial_grid, sagittal_grid, voxels

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.vocab import DixonPart, Plane
from paraspinal.phantom.dicom import PIXEL_SCALE, Series, write
from paraspinal.phantom.dixon_exports import Export, dixon, files
from paraspinal.phantom.enhanced import (
    CONVERTED_STORAGE,
    ENHANCED_STORAGE,
    PHILIPS_CLASSIC,
    FrameHabits,
    enhanced,
    one_volume_per_file,
)
from paraspinal.phantom.vendors import PHILIPS_SLOPE, SCANNERS, Protocol, Vendor, localizer, plain_series

SCANNER = SCANNERS[Vendor.PHILIPS]


def philips() -> Series:
    (one,) = dixon(Vendor.PHILIPS, 5, axial_grid(), PARTS, 3.0, Export.ENHANCED)
    return one


def frame_types(ds: pydicom.Dataset) -> list[str]:
    return [frame.MRImageFrameTypeSequence[0].FrameType[3] for frame in ds.PerFrameFunctionalGroupsSequence]


@pytest.mark.parametrize("is_by_place", [False, True])
def test_frames_stand_part_by_part_or_place_by_place(is_by_place: bool) -> None:
    ds = enhanced([philips()], VISIT, SCANNER, FrameHabits(is_by_place=is_by_place))
    types = frame_types(ds)
    parts, n_slices = len(PARTS), axial_grid().size[2]
    assert ds.NumberOfFrames == len(types) == parts * n_slices
    assert len(set(types[:n_slices])) == (parts if is_by_place else 1)
    indices = [list(f.FrameContentSequence[0].DimensionIndexValues) for f in ds.PerFrameFunctionalGroupsSequence]
    assert len({tuple(index) for index in indices}) == len(indices)
    assert sorted({index[1] for index in indices}) == list(range(1, n_slices + 1))
    assert sorted({index[2] for index in indices}) == list(range(1, parts + 1))


def test_every_frame_says_where_it_lies_and_holds_its_pixels() -> None:
    ds = enhanced([philips()], VISIT, SCANNER, FrameHabits(is_by_place=True, is_all_per_frame=True))
    pixels = ds.pixel_array.astype(float)
    grid = axial_grid()
    for number, frame in enumerate(ds.PerFrameFunctionalGroupsSequence):
        index = frame.FrameContentSequence[0].DimensionIndexValues
        k, part = index[1] - 1, list(DixonPart)[index[2] - 1]
        position = [float(v) for v in frame.PlanePositionSequence[0].ImagePositionPatient]
        assert np.allclose(position, grid.to_world(np.array([0, 0, k])), atol=1e-4)
        slope = float(frame.PixelValueTransformationSequence[0].RescaleSlope)
        assert slope == PHILIPS_SLOPE
        assert np.abs(pixels[number] * slope - PARTS[part][k] * PIXEL_SCALE).max() <= slope / 2 + 1e-3


def test_what_all_frames_share_stands_once_unless_the_maker_repeats_it() -> None:
    siemens = plain_series(Vendor.SIEMENS, Protocol.T2, Plane.AXIAL, 3, axial_grid(), voxels(1))
    shared = enhanced([siemens], VISIT, SCANNERS[Vendor.SIEMENS])
    groups, frames = shared.SharedFunctionalGroupsSequence[0], shared.PerFrameFunctionalGroupsSequence
    for name in ("PixelMeasuresSequence", "PlaneOrientationSequence", "MRTimingAndRelatedParametersSequence"):
        assert name in groups
        assert not any(name in frame for frame in frames)
    for name in ("PlanePositionSequence", "FrameContentSequence"):
        assert name not in groups
        assert all(name in frame for frame in frames)
    repeated = enhanced([siemens], VISIT, SCANNERS[Vendor.SIEMENS], FrameHabits(is_all_per_frame=True))
    assert len(repeated.SharedFunctionalGroupsSequence[0]) == 0
    assert all("PixelMeasuresSequence" in frame for frame in repeated.PerFrameFunctionalGroupsSequence)


def test_the_type_of_a_mixed_file_says_so() -> None:
    mixed = enhanced([philips()], VISIT, SCANNER)
    assert list(mixed.ImageType) == ["DERIVED", "PRIMARY", "DIXON", "MIXED"]
    (water, *_) = one_volume_per_file([philips()])
    assert list(enhanced([water], VISIT, SCANNER).ImageType) == ["DERIVED", "PRIMARY", "DIXON", "WATER"]


def test_philips_frames_repeat_their_classic_header() -> None:
    ds = enhanced([philips()], VISIT, SCANNER, FrameHabits(has_classic_types=True))
    letters = [f[PHILIPS_CLASSIC].value[0].ImageType[2] for f in ds.PerFrameFunctionalGroupsSequence]
    assert letters[:: axial_grid().size[2]] == ["W", "F", "IP", "OP", "FF"]
    assert {f[PHILIPS_CLASSIC].value[0].ScanningSequence for f in ds.PerFrameFunctionalGroupsSequence} == {"RM"}


def test_converted_files_keep_timing_in_unassigned_items() -> None:
    ds = enhanced([philips()], VISIT, SCANNER, FrameHabits(is_converted=True))
    assert ds.SOPClassUID == CONVERTED_STORAGE != ENHANCED_STORAGE
    shared = ds.SharedFunctionalGroupsSequence[0].UnassignedSharedConvertedAttributesSequence[0]
    assert (float(shared.RepetitionTime), shared.ScanningSequence) == (5.6, "GR")
    times = {
        float(f.UnassignedPerFrameConvertedAttributesSequence[0].EchoTime) for f in ds.PerFrameFunctionalGroupsSequence
    }
    assert times == {1.23, 2.46}
    assert "EchoPulseSequence" not in ds
    assert not any("MREchoSequence" in frame for frame in ds.PerFrameFunctionalGroupsSequence)


def test_stacks_of_a_localizer_share_a_file() -> None:
    flat = [replace(grid, size=(9, 8, 1)) for grid in (axial_grid(), sagittal_grid())]
    planes = dict(zip((Plane.AXIAL, Plane.SAGITTAL), flat, strict=True))
    views = localizer(1, {plane: (grid, voxels(1, grid)) for plane, grid in planes.items()})
    ds = enhanced(views, VISIT, SCANNER)
    assert [f.FrameContentSequence[0].StackID for f in ds.PerFrameFunctionalGroupsSequence] == ["1", "2"]
    wider = replace(views[1], grid=replace(views[1].grid, size=(10, 8, 1)))
    with pytest.raises(ValueError, match="one matrix"):
        enhanced([views[0], wider], VISIT, SCANNER)


@pytest.mark.parametrize("vendor", list(Vendor))
def test_same_visit_writes_the_same_bytes(tmp_path: Path, vendor: Vendor) -> None:
    written = []
    for name in ("a", "b"):
        series = dixon(vendor, 5, axial_grid(), PARTS, 3.0, Export.ENHANCED)
        paths = write(files(vendor, series, VISIT, SCANNERS[vendor], Export.ENHANCED), tmp_path / name)
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]


@pytest.mark.parametrize(
    "habits",
    [
        FrameHabits(),
        FrameHabits(is_converted=True),
        FrameHabits(has_classic_types=True, is_all_per_frame=True),
    ],
    ids=["enhanced", "converted", "philips"],
)
def test_dcm2niix_puts_every_voxel_of_one_volume_where_it_was(tmp_path: Path, habits: FrameHabits) -> None:
    (water, *_) = one_volume_per_file([philips()])
    write([enhanced([water], VISIT, SCANNER, habits)], tmp_path / "dicom")
    binary = Path(sys.executable).parent / "dcm2niix"
    subprocess.run(
        [binary, "-g", "i", "-z", "n", "-o", tmp_path, "-f", "image", tmp_path / "dicom"],
        check=True, capture_output=True,
    )  # fmt: skip
    image = sitk.ReadImage(str(tmp_path / "image.nii"))
    found, grid = Grid.of(image), axial_grid()
    truth = np.rint(PARTS[DixonPart.WATER] * PIXEL_SCALE / PHILIPS_SLOPE) * PHILIPS_SLOPE
    values = sitk.GetArrayFromImage(image)
    index = np.argwhere(np.ones(truth.shape))[:, ::-1]
    places = np.rint(found.to_index(grid.to_world(index))).astype(int)
    assert np.abs(found.to_world(places) - grid.to_world(index)).max() < 1e-3
    assert np.allclose(values[tuple(places[:, ::-1].T)], truth[tuple(index[:, ::-1].T)], atol=0.01)
