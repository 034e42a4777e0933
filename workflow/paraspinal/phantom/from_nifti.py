"""A Dixon pair kept as NIfTI, written out as the DICOM examination it once was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.vocab import DixonPart
from paraspinal.phantom.dicom import Visit, datasets, write
from paraspinal.phantom.dixon_exports import dixon
from paraspinal.phantom.vendors import SCANNERS, Vendor

_ROUNDING = 1e-3
"""Differences below this are rounding, not steps between stored values."""

_PEAK_PERCENTILE = 99.8
_PEAK_SIGNAL = 2.5
"""Relative signal of that percentile after writing; the brightest voxels then still fit into 12 bits."""

_NIFTI_VISIT = Visit("dixon from nifti", "NIFTI-0001", "Volunteer^Dixon", "O", "19800101", "20200101")


def write_dixon_as_dicom(
    water_path: Path,
    fat_path: Path,
    folder: Path,
    vendor: Vendor = Vendor.SIEMENS,
    visit: Visit = _NIFTI_VISIT,
    fat_slope: float | None = None,
) -> list[Path]:
    """Write a water and a fat NIfTI as two Dixon series and return the paths of the files.

    Three traps of such pairs are repaired. The grid is that of the fat image for both (a water image that lost its
    origin, or whose spacing differs in the last digits, is put back). Both are brought to the same units: `fat_slope`
    divides out a rescale slope that only the fat image carries; None finds it from the steps between stored values.
    Raises ValueError if the matrices differ.
    """
    water_image, fat_image = sitk.ReadImage(str(water_path)), sitk.ReadImage(str(fat_path))
    if water_image.GetSize() != fat_image.GetSize():
        raise ValueError("water and fat have different matrices")
    slope = fat_slope if fat_slope is not None else _slope(fat_image) / _slope(water_image)
    grid = _right_handed(fat_image)
    water = _oriented(water_image, fat_image)
    fat = _oriented(fat_image, fat_image) / np.float32(slope)
    unit = np.float32(_PEAK_SIGNAL / np.percentile(np.maximum(water, fat), _PEAK_PERCENTILE))
    images: dict[DixonPart, np.ndarray] = {DixonPart.WATER: water * unit, DixonPart.FAT: fat * unit}
    paths: list[Path] = []
    for series in dixon(vendor, 5, grid, images):
        paths += write(datasets(series, visit, SCANNERS[vendor]), folder / f"{series.number:03d}")
    return paths


def _slope(image: sitk.Image) -> float:
    """Return the step between stored values: the scanner stored integers, a rescale slope has spread them."""
    values = np.unique(sitk.GetArrayFromImage(image)).astype(np.float64)
    steps = np.diff(values)
    steps = steps[steps > _ROUNDING]
    return float(np.median(steps[steps < 1.5 * steps.min()])) if steps.size else 1.0


def _is_left_handed(image: sitk.Image) -> bool:
    return float(np.linalg.det(np.reshape(image.GetDirection(), (3, 3)))) < 0


def _right_handed(image: sitk.Image) -> Grid:
    """Return the grid with slices in the order DICOM can express: along the cross product of rows and columns."""
    grid = Grid.of(image)
    if not _is_left_handed(image):
        return grid
    axes = grid.axes.copy()
    axes[:, 2] *= -1
    last = grid.to_world(np.array([0, 0, grid.size[2] - 1]))
    return Grid(grid.size, grid.spacing_mm, (float(last[0]), float(last[1]), float(last[2])), tuple(axes.ravel()))


def _oriented(image: sitk.Image, like: sitk.Image) -> np.ndarray:
    """Return the voxels (z, y, x) float32, slices reversed where the grid of `like` had to be."""
    array: np.ndarray = sitk.GetArrayFromImage(image).astype(np.float32)
    return np.ascontiguousarray(array[::-1]) if _is_left_handed(like) else array
