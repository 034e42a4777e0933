"""Areas of discs from a label map, and the part of an axial volume that holds the spine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scan_factory import grid_of, rods, scan_row, work_in, world

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.labels import disc_labels
from paraspinal.core.settings import load_settings, read_config
from paraspinal.core.vocab import LevelNumbering, Side
from paraspinal.models.inference import load_model
from paraspinal.models.spine_inference import SpineSegmenter
from paraspinal.phantom.anatomy import Anatomy
from paraspinal.phantom.cohort import axial_grid
from paraspinal.phantom.contrast import CONTRASTS, QUICK, Weighting, add_noise, ideal_signals
from paraspinal.phantom.parameters import AnatomyParameters
from paraspinal.stages.segment.spine import around_midline, disc_areas_mm2
from paraspinal.stages.segment.stage import STAGE

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
    found = disc_areas_mm2(grid.image(disc(grid, normal)), [(CODE, np.zeros(3), normal), (None, np.zeros(3), normal)])
    assert found == {CODE: pytest.approx(AREA_MM2, rel=0.03)}


def test_a_disc_cut_by_the_sides_of_the_image_has_no_area() -> None:
    normal = np.array([0.0, 0.0, 1.0])
    grid = sagittal(n_slices=7)
    assert disc_areas_mm2(grid.image(disc(grid, normal)), [(CODE, np.zeros(3), normal)]) == {CODE: None}


def test_a_disc_that_is_not_there_or_too_thin_has_no_area() -> None:
    normal = np.array([0.0, 0.0, 1.0])
    grid = sagittal()
    nothing = grid.image(np.zeros(grid.size[::-1], np.uint16))
    assert disc_areas_mm2(nothing, [(CODE, np.zeros(3), normal)]) == {CODE: None}
    thin = grid.image(disc(grid, normal, height_mm=3.0))
    assert disc_areas_mm2(thin, [(CODE, np.zeros(3), normal)]) == {CODE: None}


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1)])
def test_the_cut_lies_around_the_middle_between_the_sides(flips: tuple[int, int, int]) -> None:
    grid = grid_of(extent_mm=(190.0, 130.0, 40.0), flips=flips)
    shifted = Grid(grid.size, grid.spacing_mm, (grid.origin_mm[0] + 7.0, *grid.origin_mm[1:]), grid.direction)
    labels = rods(shifted, {Side.LEFT: 16.0, Side.RIGHT: 16.0})
    image = shifted.image(np.arange(labels.size, dtype=np.float32).reshape(labels.shape))
    cut = around_midline(image, shifted.image(labels))
    x = Grid.of(cut).corners_mm()[:, 0]
    assert (x.min() + x.max()) / 2 == pytest.approx(0.0, abs=1.5)
    assert np.ptp(x) == pytest.approx(72.0, abs=2.0)
    middle = [n // 2 for n in cut.GetSize()]
    point = cut.TransformIndexToPhysicalPoint(middle)
    assert image.GetPixel(image.TransformPhysicalPointToIndex(point)) == cut.GetPixel(middle)


def test_axial_slices_of_4_mm_show_the_vertebrae_from_the_side() -> None:
    """The shipped model on an axial volume from above L1 to below S2: every level numbered, at its place."""
    anatomy = Anatomy(AnatomyParameters())
    grid = axial_grid(anatomy, 1.5, 4.0)
    below, width = 17, round(72 / 1.5)
    grid = replace(
        grid,
        size=(width, grid.size[1], grid.size[2] + below),
        origin_mm=(-(width - 1) * 1.5 / 2, grid.origin_mm[1], grid.origin_mm[2] - below * 4.0),
    )
    image = ideal_signals(anatomy, grid, [CONTRASTS[Weighting.T2W]], QUICK)[0].astype(np.float32)
    result = SpineSegmenter(load_model(load_settings(read_config(None, {})).segment.spine_model)).segment(
        grid.image(add_noise(image, np.random.default_rng(0), 0.02).astype(np.float32))
    )
    assert result.numbering is LevelNumbering.COUNTED_FROM_SACRUM
    found = {level.level: level.centre_mm for level in result.levels}
    for name in ("L1", "L2", "L3", "L4", "L5"):
        assert np.linalg.norm(found[name] - anatomy.level_planes()[name].centre_mm) < 5.0


def test_only_scans_that_seek_their_own_levels_depend_on_the_spine_model(tmp_path: Path) -> None:
    settings = work_in(tmp_path).settings
    recipe = STAGE.recipe(settings)
    for seeks, models in ((False, {"muscles"}), (True, {"muscles", "spine"})):
        row = scan_row(grid_of(), levels_from_same_image=seeks)
        assert set(STAGE.narrow(recipe, [row], settings).models) == models
