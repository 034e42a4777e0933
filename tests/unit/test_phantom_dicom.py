"""DICOM written by the phantom: exact geometry through two readers, vendors' habits, faults."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from paraspinal.core.imaging.geometry import Grid, same_grid
from paraspinal.core.paths import PROJECT
from paraspinal.core.vocab import DixonPart, Plane
from paraspinal.phantom.contrast import Weighting
from paraspinal.phantom.dicom import (
    PIXEL_SCALE,
    Visit,
    as_ct,
    as_secondary_capture,
    datasets,
    duplicate_file,
    empty_file,
    truncate_file,
    without_slice,
    write,
)
from paraspinal.phantom.dixon_exports import dixon
from paraspinal.phantom.from_nifti import write_dixon_as_dicom
from paraspinal.phantom.vendors import HABITS, SCANNERS, Vendor, localizer, spin_echo

VISIT = Visit("test", "P1", "Test^Person", "F", "19700630", "20230615")


def turned_grid() -> Grid:
    """An oblique grid with odd numbers: every mix-up of axes shows."""
    angle = np.deg2rad(7.0)
    axes = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return Grid((12, 10, 6), (1.1, 1.3, 4.4), (-61.25, -83.5, 47.125), tuple(axes.ravel()))


def sagittal_grid() -> Grid:
    axes = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    return Grid((14, 16, 5), (1.0, 1.2, 4.0), (8.0, -100.0, 90.0), tuple(axes.ravel()))


def ramp(grid: Grid) -> np.ndarray:
    """A different value in every voxel, below the 12-bit limit."""
    count = int(np.prod(grid.size))
    return (np.arange(count, dtype=np.float32) / count * 2).reshape(grid.size[::-1])


def read_with_gdcm(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


@pytest.mark.parametrize("vendor", list(Vendor))
@pytest.mark.parametrize("grid", [turned_grid(), sagittal_grid()], ids=["oblique", "sagittal"])
def test_gdcm_reads_back_grid_and_voxels(tmp_path: Path, vendor: Vendor, grid: Grid) -> None:
    array = ramp(grid)
    series = spin_echo(vendor, Weighting.T2W, Plane.AXIAL, 3, grid, array)
    write(datasets(series, VISIT, SCANNERS[vendor]), tmp_path)
    image = read_with_gdcm(tmp_path)
    assert same_grid(Grid.of(image), grid, tolerance_mm=1e-6)
    step = HABITS[vendor].slope or 1.0
    assert np.abs(sitk.GetArrayFromImage(image) - array * PIXEL_SCALE).max() <= step / 2 + 1e-3


@pytest.mark.parametrize("grid", [turned_grid(), sagittal_grid()], ids=["oblique", "sagittal"])
def test_dcm2niix_puts_every_voxel_where_it_was(tmp_path: Path, grid: Grid) -> None:
    array = ramp(grid)
    series = spin_echo(Vendor.GE, Weighting.T1W, Plane.AXIAL, 3, grid, array)
    write(datasets(series, VISIT, SCANNERS[Vendor.GE]), tmp_path / "dicom")
    binary = Path(sys.executable).parent / "dcm2niix"
    subprocess.run(
        [binary, "-g", "i", "-z", "n", "-o", tmp_path, "-f", "image", tmp_path / "dicom"],
        check=True, capture_output=True,
    )  # fmt: skip
    image = sitk.ReadImage(str(tmp_path / "image.nii"))
    found = Grid.of(image)
    # Rows come out flipped; the voxel with a given value must still be at its place.
    values = sitk.GetArrayFromImage(image)
    expected = np.rint(array * PIXEL_SCALE)
    for k, j, i in ((0, 0, 0), (4, 7, 9), (2, 3, 11)):
        places = np.argwhere(values == expected[k, j, i])[:, ::-1]
        distances = np.linalg.norm(found.to_world(places) - grid.to_world(np.array([i, j, k])), axis=1)
        assert distances.min() < 1e-3


def dixon_images(grid: Grid) -> dict[DixonPart, np.ndarray]:
    parts = (DixonPart.WATER, DixonPart.FAT, DixonPart.IN_PHASE, DixonPart.OPPOSED_PHASE)
    return {part: ramp(grid) * (k + 1) / 4 for k, part in enumerate(parts)}


@pytest.mark.parametrize("vendor", list(Vendor))
def test_dixon_sets_are_split_as_the_vendor_does(vendor: Vendor) -> None:
    grid = turned_grid()
    series = dixon(vendor, 5, grid, dixon_images(grid))
    assert len(series) == (1 if vendor is Vendor.PHILIPS else 4)
    items = [ds for s in series for ds in datasets(s, VISIT, SCANNERS[vendor])]
    assert len(items) == 4 * grid.size[2]
    told = {(tuple(ds.ImageType), ds.SeriesDescription) for ds in items}
    assert len(told) == 4
    assert len({ds.SOPInstanceUID for ds in items}) == len(items)
    assert {ds.FrameOfReferenceUID for ds in items} == {VISIT.uid("frame of reference")}
    assert len({ds.StudyInstanceUID for ds in items}) == 1
    assert len({ds.SeriesInstanceUID for ds in items}) == len(series)
    slopes = {float(ds.get("RescaleSlope", 1)) for ds in items}
    assert len(slopes) == 1  # the ratio of the parts survives


def test_a_part_can_be_left_out() -> None:
    grid = turned_grid()
    whole = dixon(Vendor.PHILIPS, 5, grid, dixon_images(grid))[0]
    kept = datasets(whole.without(DixonPart.FAT), VISIT, SCANNERS[Vendor.PHILIPS])
    assert len(kept) == 3 * grid.size[2]
    assert not any("F" in ds.ImageType for ds in kept)


def test_headers_say_who_when_and_how() -> None:
    grid = turned_grid()
    series = spin_echo(Vendor.SIEMENS, Weighting.STIR, Plane.SAGITTAL, 7, grid, ramp(grid))
    ds = datasets(series, VISIT, SCANNERS[Vendor.SIEMENS])[0]
    assert ds.PatientAge == "052Y"  # two weeks before the 53rd birthday
    assert (ds.Manufacturer, ds.ManufacturerModelName, float(ds.MagneticFieldStrength)) == ("SIEMENS", "Skyra", 3.0)
    assert float(ds.InversionTime) == 190.0
    assert list(ds.ScanningSequence) == ["SE", "IR"]
    assert [float(v) for v in ds.PixelSpacing] == [1.3, 1.1]  # rows first
    assert float(ds.SpacingBetweenSlices) == 4.4


def test_same_visit_writes_the_same_bytes(tmp_path: Path) -> None:
    grid = turned_grid()
    series = spin_echo(Vendor.CANON, Weighting.T1W, Plane.AXIAL, 2, grid, ramp(grid))
    first, second = (write(datasets(series, VISIT, SCANNERS[Vendor.CANON]), tmp_path / name) for name in ("a", "b"))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_reversed_series_starts_with_the_last_slice() -> None:
    grid = turned_grid()
    series = spin_echo(Vendor.GE, Weighting.T1W, Plane.AXIAL, 2, grid, ramp(grid))
    first = datasets(series, VISIT, SCANNERS[Vendor.GE])[0]
    assert first.InstanceNumber == 1
    assert np.allclose([float(v) for v in first.ImagePositionPatient], grid.to_world(np.array([0, 0, 5])))


def test_localizer_has_three_orientations_in_one_series() -> None:
    grid, other = turned_grid(), sagittal_grid()
    planes = {Plane.AXIAL: (grid, ramp(grid)), Plane.SAGITTAL: (other, ramp(other))}
    items = [ds for s in localizer(1, planes) for ds in datasets(s, VISIT, SCANNERS[Vendor.SIEMENS])]
    assert len({ds.SeriesInstanceUID for ds in items}) == 1
    assert len({tuple(ds.ImageOrientationPatient) for ds in items}) == 2
    assert all("LOCALIZER" in ds.ImageType for ds in items)


def test_faults_do_what_they_say(tmp_path: Path) -> None:
    grid = turned_grid()
    items = datasets(spin_echo(Vendor.SIEMENS, Weighting.T2W, Plane.AXIAL, 3, grid, ramp(grid)), VISIT,
                     SCANNERS[Vendor.SIEMENS])  # fmt: skip
    lost = without_slice(items, 2)
    assert [ds.InstanceNumber for ds in lost] == [1, 2, 4, 5, 6]
    paths = write(items, tmp_path)
    size = paths[0].stat().st_size
    truncate_file(paths[0], 0.5)
    empty_file(paths[1])
    copy = duplicate_file(paths[2])
    assert paths[0].stat().st_size == size // 2
    assert paths[1].stat().st_size == 0
    assert copy.read_bytes() == paths[2].read_bytes()
    assert copy != paths[2]
    screenshot = as_secondary_capture(items[3])
    assert "ImagePositionPatient" not in screenshot
    ct = as_ct(items[4])
    assert write([screenshot, ct], tmp_path / "other")
    read_back = [pydicom.dcmread(p) for p in sorted((tmp_path / "other").iterdir())]
    assert [ds.Modality for ds in read_back] == ["OT", "CT"]


def dixon_pair(folder: Path, slope: float) -> tuple[Path, Path]:
    """Write a water and a fat NIfTI with the faults of real pairs; integer voxels, fat times `slope`."""
    rng = np.random.default_rng(0)
    water = rng.integers(0, 800, (6, 20, 24)).astype(np.uint16)
    fat = sitk.GetImageFromArray(rng.integers(0, 800, (6, 20, 24)).astype(np.float64) * slope)
    fat.SetSpacing((1.0185185, 1.0185185, 4.0))
    fat.SetOrigin((-20.5, -14.25, 192.75))
    lost = sitk.GetImageFromArray(water)
    lost.SetSpacing((1.0185, 1.0185, 4.0))
    paths = (folder / "water.nii.gz", folder / "fat.nii.gz")
    sitk.WriteImage(lost, str(paths[0]))
    sitk.WriteImage(fat, str(paths[1]))
    return paths


@pytest.mark.parametrize("slope", [1.0, 1.5492])
def test_nifti_pair_becomes_two_series_on_one_grid(tmp_path: Path, slope: float) -> None:
    water_path, fat_path = dixon_pair(tmp_path, slope)
    paths = write_dixon_as_dicom(water_path, fat_path, tmp_path / "dicom")
    assert len(paths) == 12
    water, fat = (read_with_gdcm(folder) for folder in sorted((tmp_path / "dicom").iterdir()))
    assert same_grid(Grid.of(water), Grid.of(fat))
    assert same_grid(Grid.of(fat), Grid.of(sitk.ReadImage(str(fat_path))), tolerance_mm=1e-5)
    w, f = (sitk.GetArrayFromImage(image).astype(float) for image in (water, fat))
    w0 = sitk.GetArrayFromImage(sitk.ReadImage(str(water_path))).astype(float)
    f0 = sitk.GetArrayFromImage(sitk.ReadImage(str(fat_path))) / slope
    assert f.sum() / (f + w).sum() == pytest.approx(f0.sum() / (f0 + w0).sum(), abs=1e-3)


def test_nifti_pair_of_different_matrices_is_refused(tmp_path: Path) -> None:
    water_path, fat_path = dixon_pair(tmp_path, 1.0)
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((6, 20, 23), np.uint16)), str(water_path))
    with pytest.raises(ValueError, match="matrices"):
        write_dixon_as_dicom(water_path, fat_path, tmp_path / "dicom")


@pytest.mark.data
def test_real_pair_is_repaired(tmp_path: Path) -> None:
    data = Path(os.environ.get("PARASPINAL_DATA", PROJECT.parent / "shared" / "data")) / "nifti" / "dixon_lumbar"
    if not data.is_dir():
        pytest.skip("the private real images are absent (PARASPINAL_DATA)")
    fat_path = data / "sub-TUM01_fat.nii.gz"
    write_dixon_as_dicom(data / "sub-TUM01_water.nii.gz", fat_path, tmp_path)
    water, fat = (read_with_gdcm(folder) for folder in sorted(tmp_path.iterdir()))
    assert same_grid(Grid.of(water), Grid.of(fat))
    assert same_grid(Grid.of(fat), Grid.of(sitk.ReadImage(str(fat_path))))
    w, f = (sitk.GetArrayFromImage(image).astype(float) for image in (water, fat))
    muscle = sitk.GetArrayFromImage(sitk.ReadImage(str(data / "sub-TUM01_dseg.nii.gz"))) > 0
    # Stored, the pair gives 0.12 to 0.16: the slope on the fat image alone inflates it.
    assert f[muscle].sum() / (f + w)[muscle].sum() == pytest.approx(0.10, abs=0.015)
    bright = (f > np.percentile(f, 97)) & ~muscle
    assert np.median(f[bright] / (f + w)[bright]) > 0.9
