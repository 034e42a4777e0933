"""The labels the muscles are taught with: whole muscles, no gap where the border used to be."""

from __future__ import annotations

import numpy as np
import pytest
from muscle_factory import boxes
from scipy import ndimage

from paraspinal.models.synthesis.augmentation import Geometry
from paraspinal.models.synthesis.muscles.atlas_bank import (
    ATLAS_FILE,
    PAIR_GAP_MM,
    AtlasBank,
    closed,
    load_atlas_bank,
)
from paraspinal.models.synthesis.muscles.atlas_person import atlas_muscles, atlas_shape, draw_atlas_person
from paraspinal.models.synthesis.muscles.changes import MuscleChanges, border_distance, change_muscles
from paraspinal.models.synthesis.muscles.layout import ERECTOR, MULTIFIDUS
from paraspinal.models.synthesis.muscles.outlines import OUTLINE_FILE, load_outlines
from paraspinal.models.training.recipes import data_folder

N_SAMPLES = 500
PIXEL_MM = 2.0
MOST_CRACK_MM2 = 40.0
LEAST_PIECE_PIXELS = 2  # one pixel alone is the grid, not a piece
CONNECTED = np.ones((3, 3))

DATA = data_folder()


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Make (x, y) of a square slice at the network's pixels."""
    axis = np.arange(-110.0, 111.0, PIXEL_MM, dtype=np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return x, y


def crack_mm2(muscles: np.ndarray, before: np.ndarray, side: int) -> float:
    """Background inside the outline of a pair, where the border of the two muscles ``before`` their change lay."""
    m, e = MULTIFIDUS[side], ERECTOR[side]
    is_muscle = np.minimum(muscles[m], muscles[e]) < 0
    at_old_border = (np.minimum(before[m], before[e]) < 1.0) & (np.abs(before[m] - before[e]) < 3.0)
    crack = ndimage.binary_closing(is_muscle, iterations=3) & ~is_muscle & at_old_border
    return float(crack.sum() * PIXEL_MM**2)


def pieces(distances: np.ndarray, side: int) -> int:
    """Count the pieces of multifidus."""
    m, e = MULTIFIDUS[side], ERECTOR[side]
    labelled, _ = ndimage.label((distances[m] < 0) & (distances[m] <= distances[e]), CONNECTED)
    return int((np.bincount(labelled.ravel())[1:] >= LEAST_PIECE_PIXELS).sum())


@pytest.fixture(scope="module")
def atlas() -> AtlasBank:
    assert DATA is not None
    return load_atlas_bank(DATA)


@pytest.mark.data
@pytest.mark.skipif(DATA is None or not (DATA / ATLAS_FILE).exists(), reason="the muscle atlas is not here")
def test_five_hundred_samples_have_no_crack_and_no_more_pieces_than_the_atlas(atlas: AtlasBank) -> None:
    """Before the pair was kept as one, 32 % of sides had more than 40 mm2 of crack and 10 % multifidus in pieces."""
    x, y = grid()
    own = [atlas.sample(atlas.slice(i), x, y) for i in range(0, len(atlas.distances_mm), 2)]
    of_atlas = np.mean([pieces(fields, side) > 1 for fields in own for side in (0, 1)])
    geometry = Geometry(x, y, is_mirrored=False)
    outlines = load_outlines(DATA) if DATA and (DATA / OUTLINE_FILE).exists() else None
    rng = np.random.default_rng(3)
    cracks, are_broken = [], []
    for _ in range(N_SAMPLES):
        draw = draw_atlas_person(rng, atlas, outlines)
        shape = atlas_shape(draw, atlas, outlines)
        fields, muscles = atlas.sample(shape, x, y), atlas_muscles(draw, shape, atlas, geometry)
        cracks += [crack_mm2(muscles, fields, side) for side in (0, 1)]
        are_broken += [pieces(muscles, side) > 1 for side in (0, 1)]
    assert max(cracks) <= MOST_CRACK_MM2
    assert np.mean(are_broken) <= of_atlas


@pytest.mark.parametrize("shift_mm", [-40.0, -4.0, 0.0, 4.0, 20.0])
@pytest.mark.parametrize("offset_mm", [-3.0, 0.0, 3.0])
def test_wherever_the_border_moves_nothing_is_left_of_the_old_one(shift_mm: float, offset_mm: float) -> None:
    """Beyond the middle of either muscle as well: the distance to the border grows all the way."""
    x, y = grid()
    border = np.array([[shift_mm, 0.0, 0.0], [0.0, 0.0, 0.0]])
    changed = change_muscles(boxes(x, y), MuscleChanges(np.full(8, offset_mm), border, 0.0), y, 0.0)
    inside = (x > -17) & (x < 55) & (abs(y) < 15)
    multifidus, erector = changed[0] < 0, changed[2] < 0
    assert (multifidus ^ erector)[inside].all()
    assert multifidus[inside].tolist() == (x < 9 - shift_mm)[inside].tolist()


def test_each_muscle_keeps_its_own_offset_at_its_own_outline() -> None:
    x, y = grid()
    offsets = np.zeros(8)
    offsets[2] = 4.0
    changed = change_muscles(boxes(x, y), MuscleChanges(offsets, np.zeros((2, 3)), 0.0), y, 0.0)
    areas = [np.count_nonzero(changed[i] < 0) * PIXEL_MM**2 for i in (0, 2)]
    assert areas[0] == pytest.approx(30 * 38, rel=0.05)
    assert areas[1] == pytest.approx(46 * 30, rel=0.05)


def test_the_distance_to_the_border_is_that_of_the_other_muscle() -> None:
    x, y = grid()
    fields = boxes(x, y)
    inside = (x > -21) & (x < 59) & (abs(y) < 9)
    np.testing.assert_allclose(border_distance(fields[0], fields[2])[inside], (x - 9.0)[inside], atol=1e-4)


def test_a_pair_fills_narrow_gaps_only_and_keeps_its_outline() -> None:
    pixel_mm = 0.5
    for gap_mm, is_filled in ((PAIR_GAP_MM - 2 * pixel_mm, True), (PAIR_GAP_MM + 2 * pixel_mm, False)):
        mask = np.zeros((80, 120), dtype=bool)
        half = round(gap_mm / pixel_mm / 2)
        mask[10:70, 10 : 60 - half] = mask[10:70, 60 + half : 110] = True
        filled = closed(mask, pixel_mm)
        assert filled[40, 60] == is_filled
        assert not filled[:10].any()
        assert not filled[:, :10].any()
        assert filled[mask].all()
