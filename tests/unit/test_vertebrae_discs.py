"""Areas of discs from a label map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scan_factory import world

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.labels import disc_labels
from paraspinal.vertebrae.discs import disc_areas_mm2
from paraspinal.vertebrae.numbering import DiscGeometry
from paraspinal.vertebrae.stack import Plane

CODE = disc_labels()["L4_L5"]
HALF_WIDTH_MM, HALF_DEPTH_MM, HEIGHT_MM = 25.0, 17.0, 9.0
AREA_MM2 = np.pi * HALF_WIDTH_MM * HALF_DEPTH_MM


def sagittal(n_slices: int = 15, pixel_mm: float = 1.0, flip: int = 1) -> Grid:
    """Sagittal slices of 4.4 mm: columns to the back, rows to the feet, slices to the left or to the right."""
    axes = np.array([[0.0, 0.0, 1.0 * flip], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    size = (round(80 / pixel_mm), round(60 / pixel_mm), n_slices)
    spacing = (pixel_mm, pixel_mm, 4.4)
    origin = -axes @ ((np.asarray(size) - 1) / 2 * np.asarray(spacing))
    return Grid(size, spacing, (float(origin[0]), float(origin[1]), float(origin[2])), tuple(axes.ravel()))


def named(normal: np.ndarray) -> DiscGeometry:
    """The disc around the origin, as numbering hands it on."""
    return DiscGeometry("L4_L5", CODE, Plane(np.zeros(3), normal), 1.0)


def disc(grid: Grid, normal: np.ndarray, height_mm: float = HEIGHT_MM) -> np.ndarray:
    """Label map (z, y, x) of an elliptic disc around the origin across ``normal``."""
    points = world(grid)
    back = np.cross(normal, [1.0, 0.0, 0.0])
    back /= np.linalg.norm(back)
    ellipse = np.hypot((points @ np.cross(back, normal)) / HALF_WIDTH_MM, (points @ back) / HALF_DEPTH_MM)
    return np.where((ellipse < 1) & (np.abs(points @ normal) < height_mm / 2), CODE, 0).astype(np.uint16)


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("pixel_mm", [0.6, 1.0, 1.5])
@pytest.mark.parametrize("tilt_deg", [0.0, 12.0, 35.0])
def test_area_of_an_elliptic_disc(tilt_deg: float, pixel_mm: float, flip: int) -> None:
    normal = np.array([0.0, -np.sin(np.radians(tilt_deg)), np.cos(np.radians(tilt_deg))])
    grid = sagittal(pixel_mm=pixel_mm, flip=flip)
    found = disc_areas_mm2(grid.image(disc(grid, normal)), [named(normal), replace(named(normal), label=None)])
    assert found == {CODE: pytest.approx(AREA_MM2, rel=0.03)}


def test_a_disc_cut_by_the_sides_of_the_image_has_no_area() -> None:
    normal = np.array([0.0, 0.0, 1.0])
    grid = sagittal(n_slices=7)
    assert disc_areas_mm2(grid.image(disc(grid, normal)), [named(normal)]) == {CODE: None}


def test_a_disc_that_is_not_there_or_too_thin_has_no_area() -> None:
    normal = np.array([0.0, 0.0, 1.0])
    grid = sagittal()
    nothing = grid.image(np.zeros(grid.size[::-1], np.uint16))
    assert disc_areas_mm2(nothing, [named(normal)]) == {CODE: None}
    thin = grid.image(disc(grid, normal, height_mm=3.0))
    assert disc_areas_mm2(thin, [named(normal)]) == {CODE: None}
