from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from paraspinal.core.imaging.geometry import Grid, plane_of, plane_tilt_deg, same_grid, tilt_deg
from paraspinal.core.vocab import Plane


def oblique(seed: int = 0) -> Grid:
    rng = np.random.default_rng(seed)
    axes = Rotation.random(random_state=seed).as_matrix()
    return Grid((7, 5, 3), (0.7, 0.8, 4.4), tuple(rng.normal(0, 50, 3)), tuple(axes.ravel()))


@pytest.mark.parametrize("seed", range(5))
def test_grid_agrees_with_simpleitk(seed: int) -> None:
    grid = oblique(seed)
    image = grid.image(np.zeros((3, 5, 7), np.float32))
    for index in [(0, 0, 0), (6, 4, 2), (3, 1, 1)]:
        expected = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(grid.to_world(np.array(index)), expected, atol=1e-9)
        np.testing.assert_allclose(grid.to_index(np.array(expected)), index, atol=1e-9)
    again = Grid.of(image)
    assert again.size == grid.size
    np.testing.assert_allclose(again.affine, grid.affine, atol=1e-9)


def test_voxel_volume_is_the_determinant() -> None:
    assert oblique().voxel_volume_mm3 == pytest.approx(0.7 * 0.8 * 4.4, rel=1e-12)


def test_an_array_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        oblique().image(np.zeros((7, 5, 3)))


@pytest.mark.parametrize(("shift_mm", "same"), [(0.0, True), (5e-4, True), (2e-3, False)])
def test_same_grid_tolerance(shift_mm: float, same: bool) -> None:
    a = oblique()
    b = Grid(a.size, a.spacing_mm, (a.origin_mm[0] + shift_mm, *a.origin_mm[1:]), a.direction)
    assert same_grid(a, b) is same


def test_spacing_that_drifts_is_another_grid() -> None:
    a = Grid((400, 400, 29), (1.02, 1.02, 4.0), (0, 0, 0), tuple(np.eye(3).ravel()))
    b = Grid((400, 400, 29), (1.0201, 1.02, 4.0), (0, 0, 0), tuple(np.eye(3).ravel()))
    assert not same_grid(a, b)
    assert same_grid(a, b, tolerance_mm=0.05)


@pytest.mark.parametrize(
    ("normal", "plane"),
    [
        ((0, 0, 1), Plane.AXIAL),
        ((0, 0, -1), Plane.AXIAL),
        ((1, 0, 0), Plane.SAGITTAL),
        ((0, -1, 0), Plane.CORONAL),
        ((0, np.sin(np.radians(25)), np.cos(np.radians(25))), Plane.AXIAL),
        ((0, np.sin(np.radians(40)), np.cos(np.radians(40))), Plane.OBLIQUE),
    ],
)
def test_plane_names(normal: tuple[float, float, float], plane: Plane) -> None:
    assert plane_of(np.array(normal)) is plane


@pytest.mark.parametrize("angle", [0.0, 10.0, 30.0])
def test_tilt(angle: float) -> None:
    normal = np.array([0, np.sin(np.radians(angle)), -np.cos(np.radians(angle))])
    assert tilt_deg(normal) == pytest.approx(angle, abs=1e-9)


@pytest.mark.parametrize("angle", [0.0, 7.0, 30.0, 44.9])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_plane_tilt_is_the_angle_to_the_nearest_axis(angle: float, axis: int) -> None:
    normal = np.roll([np.cos(np.radians(angle)), np.sin(np.radians(angle)), 0.0], axis)
    assert plane_tilt_deg(normal) == pytest.approx(angle, abs=1e-6)
    assert plane_tilt_deg(-3.0 * normal) == pytest.approx(angle, abs=1e-6)


def test_no_plane_leans_more_than_the_diagonal() -> None:
    assert plane_tilt_deg(np.array([1.0, 1.0, -1.0])) == pytest.approx(54.7356, abs=1e-3)


def test_left_is_plus_x() -> None:
    """LPS: the first axis grows towards the patient's left."""
    image = sitk.Image(3, 3, 3, sitk.sitkUInt8)
    assert Grid.of(image).to_world(np.array([2, 0, 0]))[0] > 0
