"""What the segment stage asks of the spine network: sagittal scans, and the part of an axial one that holds it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scan_factory import grid_of, rods, scan_row, work_in

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.settings import load_settings, read_config
from paraspinal.core.vocab import LevelNumbering, Side
from paraspinal.models.inference import load_model
from paraspinal.models.spine_inference import SpineNetwork
from paraspinal.phantom.anatomy import Anatomy
from paraspinal.phantom.cohort import axial_grid
from paraspinal.phantom.contrast import CONTRASTS, QUICK, Weighting, add_noise, ideal_signals
from paraspinal.phantom.parameters import AnatomyParameters
from paraspinal.stages.segment.midline import around_midline
from paraspinal.stages.segment.stage import STAGE
from paraspinal.vertebrae.spine import number_spine


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
    scan = grid.image(add_noise(image, np.random.default_rng(0), 0.02).astype(np.float32))
    network = SpineNetwork(load_model(load_settings(read_config(None, {})).segment.spine_model))
    result = number_spine(network.answer(scan), scan)
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
