"""The way to canonical slices and back, against analytic images on every kind of grid."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk

from paraspinal.core.errors import DataError
from paraspinal.core.imaging.slice_grid import (
    AXIAL_FRAME,
    SAGITTAL_FRAME,
    AxisMap,
    axis_map,
    resampling_matrix,
    slice_grid,
)

ORIENTATIONS = [
    tuple(float(sign) if row == column else 0.0 for row in range(3) for column, sign in zip(order, signs, strict=True))
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


def rotation(angle_x_deg: float, angle_z_deg: float) -> np.ndarray:
    """Rotate about x, then about z."""
    a, b = np.deg2rad([angle_x_deg, angle_z_deg])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x)


def coordinate_image(axis: int, direction: tuple[float, ...]) -> sitk.Image:
    """Make an image whose value is its own world coordinate along ``axis`` plus 1000."""
    image = sitk.Image([30, 26, 9], sitk.sitkFloat32)
    image.SetSpacing((3.0, 2.5, 4.4))
    image.SetOrigin((-31.0, 12.0, 55.0))
    image.SetDirection(direction)
    for index in np.ndindex(*image.GetSize()):
        point = image.TransformIndexToPhysicalPoint([int(i) for i in index])
        image[tuple(int(i) for i in index)] = point[axis] + 1000.0
    return image


@pytest.mark.parametrize("direction", ORIENTATIONS)
@pytest.mark.parametrize("frame", [AXIAL_FRAME, SAGITTAL_FRAME])
def test_axis_map_is_lossless_and_points_the_right_way(
    direction: tuple[float, ...], frame: tuple[tuple[int, ...], ...]
) -> None:
    axes = axis_map(direction, frame)
    native = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert np.array_equal(axes.backward(axes.forward(native)), native)
    cosines = np.array(direction).reshape(3, 3)
    for canonical, wanted in enumerate(frame):
        image_axis = 2 - axes.order[canonical]
        sign = -1 if axes.flipped[canonical] else 1
        assert np.array_equal(sign * cosines[:, image_axis], wanted)


def test_oblique_image_takes_the_nearest_axes() -> None:
    direction = tuple((rotation(20, -15) @ np.diag([-1.0, 1.0, 1.0])).ravel())
    assert axis_map(direction, AXIAL_FRAME) == AxisMap((0, 1, 2), (False, False, True))


@pytest.mark.parametrize("direction", [ORIENTATIONS[0], ORIENTATIONS[5], ORIENTATIONS[22], ORIENTATIONS[41]])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_hold_the_value_of_the_place_they_claim(direction: tuple[float, ...], axis: int) -> None:
    image = coordinate_image(axis, direction)
    grid = slice_grid(image)
    slices = grid.to_slices(image)
    (top, left), (height, width) = grid.padding, grid.inner
    for index, row, column in [(1, top + 4, left + 5), (3, top + height - 6, left + width // 2)]:
        point = grid.point_mm(image, index, row, column)
        assert slices[index, row, column] == pytest.approx(point[axis] + 1000.0, abs=1e-3)
    assert slices[:, :top].max() == 0.0


def test_points_of_an_oblique_image_agree_with_simpleitk() -> None:
    image = sitk.Image([40, 30, 6], sitk.sitkFloat32)
    image.SetSpacing((2.0, 2.0, 5.0))  # pixels already at the network's size: positions are whole indices
    image.SetOrigin((7.0, -3.0, 11.0))
    image.SetDirection(tuple((rotation(12, 6) @ np.diag([1.0, -1.0, -1.0])).ravel()))
    grid = slice_grid(image)
    top, left = grid.padding
    for i, j, k in [(0, 0, 0), (39, 0, 5), (13, 22, 2)]:
        point = grid.point_mm(image, 5 - k, top + 29 - j, left + i)
        assert point == pytest.approx(image.TransformIndexToPhysicalPoint((i, j, k)), abs=1e-9)


def test_resampling_keeps_constants_and_straight_lines() -> None:
    for n_from, mm_from, mm_to in [(400, 1.02, 2.0), (90, 2.0, 0.7), (64, 0.5, 2.0), (33, 2.0, 2.0)]:
        n_to = int(np.ceil(n_from * mm_from / mm_to))
        matrix = resampling_matrix(n_from, mm_from, n_to, mm_to)
        assert matrix.sum(axis=1) == pytest.approx(np.ones(n_to), abs=1e-5)
        source = (np.arange(n_from) - (n_from - 1) / 2) * mm_from
        target = (np.arange(n_to) - (n_to - 1) / 2) * mm_to
        inner = np.abs(target) < source[-1] - max(mm_from, mm_to)
        # Where the kernel is not a multiple of the pixel its centre wanders by a small part of a pixel.
        assert (matrix @ source)[inner] == pytest.approx(target[inner], abs=0.03 * mm_from)


def test_equal_pixels_are_copied() -> None:
    assert np.array_equal(resampling_matrix(7, 2.0, 7, 2.0), np.eye(7, dtype=np.float32))


def test_probabilities_return_to_the_native_pixels() -> None:
    image = sitk.Image([80, 64, 3], sitk.sitkFloat32)
    image.SetSpacing((1.0, 1.0, 4.0))
    grid = slice_grid(image)
    canvas = np.zeros((2, *grid.canvas), dtype=np.float32)
    top, left = grid.padding
    rows = (np.arange(grid.inner[0]) - (grid.inner[0] - 1) / 2) * 2.0
    canvas[0, top : top + grid.inner[0], left : left + grid.inner[1]] = rows[:, None]
    canvas[1] = 0.25
    planes = grid.to_native_planes(canvas)
    native_rows = np.arange(64) - 31.5
    assert planes.shape == (2, 64, 80)
    assert planes[0, 1:-1, 40] == pytest.approx(native_rows[1:-1], abs=1e-4)
    assert planes[1] == pytest.approx(0.25, abs=1e-6)


def test_only_scalar_volumes_are_accepted() -> None:
    with pytest.raises(DataError, match="FOURD_UNEXPECTED"):
        slice_grid(sitk.Image([8, 8, 8], sitk.sitkVectorFloat32, 2))
    with pytest.raises(DataError, match="FOURD_UNEXPECTED"):
        slice_grid(sitk.Image([8, 8], sitk.sitkFloat32))
