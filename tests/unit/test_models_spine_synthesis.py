"""Synthetic spines: reproducible, exact, and of every contrast."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy import ndimage

from paraspinal.models.input.spine_input import N_CHANNELS, channels, network_inputs
from paraspinal.models.synthesis.ingredients import ALL_SPINE_INGREDIENTS, SpineIngredient
from paraspinal.models.synthesis.spine.anatomy import Region, sample_chain
from paraspinal.models.synthesis.spine.phantom import phantom_picture
from paraspinal.models.synthesis.spine.scene import Slice, Tissue, gaussians, sample_scene
from paraspinal.models.synthesis.spine.task import CONTRAST_WEIGHTS, CONTRASTS, SpineTask, draw_intensities, scan_slices
from paraspinal.models.synthesis.spine.view import HALF_S1_MM, HEATMAP_NAMES, SHAPE, centre_heatmaps, place
from paraspinal.vertebrae.answer import SpineClass


def test_a_seed_reproduces_a_sample_also_across_processes() -> None:
    task = pickle.loads(pickle.dumps(SpineTask()))
    first, again = SpineTask().sample(np.random.default_rng(7)), task.sample(np.random.default_rng(7))
    assert all(np.array_equal(first[i], again[i]) for i in range(3))
    other = SpineTask().sample(np.random.default_rng(8))
    assert not np.array_equal(other[0], first[0])


def test_samples_keep_the_contract() -> None:
    task = SpineTask()
    seen = np.zeros(len(task.class_names), bool)
    for seed in range(12):
        inputs, classes, heatmaps = task.sample(np.random.default_rng(seed))
        assert inputs.shape == (task.n_inputs, *SHAPE)
        assert inputs.dtype == np.float32
        assert np.isfinite(inputs).all()
        assert classes.shape == SHAPE
        assert classes.dtype == np.int64
        assert heatmaps.shape == (len(task.heatmap_names), *SHAPE)
        assert heatmaps.dtype == np.float32
        assert 0 <= heatmaps.min() <= heatmaps.max() <= 1
        # Outside the field of view there is neither image nor anatomy.
        outside = inputs[0] == 0
        assert not classes[outside].any()
        assert not heatmaps[:, outside].any()
        seen[np.unique(classes)] = True
    assert seen.all()


def test_chains_have_four_to_six_lumbar_vertebrae_in_order() -> None:
    counts = set()
    for seed in range(60):
        chain = sample_chain(np.random.default_rng(seed))
        counts.add(len(chain.lumbar))
        assert (np.diff(chain.region) >= 0).all()
        assert (np.diff(chain.unit_s_mm) > 0).all()
        assert chain.region[chain.first_sacral + 1] == Region.LUMBAR
        assert ((chain.boundary_s_mm > chain.unit_s_mm[:-1]) & (chain.boundary_s_mm < chain.unit_s_mm[1:])).all()
    assert counts == {4, 5, 6}


def test_bodies_stand_off_their_neighbours_by_the_disc() -> None:
    chain = sample_chain(np.random.default_rng(3))
    up = np.stack([-np.sin(chain.angle_rad), np.cos(chain.angle_rad)], axis=1)
    upper = chain.origin_mm + chain.height_mm[:, None] / 2 * up
    lower = chain.origin_mm - chain.height_mm[:, None] / 2 * up
    step = np.linalg.norm(lower[1:] - upper[:-1], axis=1)
    # The posterior corners are a disc apart, but for a slip of one vertebra on the next.
    assert (step >= chain.disc_mm[:-1] - 1e-6).all()
    assert (np.median(step - chain.disc_mm[:-1])) < 0.5


def test_a_pixel_knows_its_place_in_the_column() -> None:
    scene = sample_scene(np.random.default_rng(5))
    chain = scene.chain
    units = np.arange(chain.first_sacral, len(chain.region))
    cut = Slice(scene, chain.origin_mm[units].astype(np.float32))
    assert np.array_equal(cut.unit(), units)
    assert np.abs(cut.s - chain.unit_s_mm[units]).max() < 2.5
    a, h = cut.local(units)
    assert np.abs(a).max() < 1e-3
    assert np.abs(h).max() < 1e-3


def test_heatmaps_are_gaussians_around_exact_centres() -> None:
    points = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 12.0]], np.float32)
    heat = gaussians(points, np.zeros(3, np.float32), np.array([[0.0, 0.0]]))
    assert heat == pytest.approx([1.0, np.exp(-0.5), np.exp(-2.0)])
    aside = gaussians(points[:1], np.array([13.0], np.float32), np.array([[0.0, 0.0]]))
    assert aside == pytest.approx([np.exp(-0.5)])


def test_the_last_lumbar_body_is_marked_only_where_s1_is_seen() -> None:
    rows, cols = np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij")
    points = np.stack([cols.ravel() * 2.0, -rows.ravel() * 2.0], axis=1).astype(np.float32)
    lumbar, s1 = np.array([[100.0, -200.0], [100.0, -165.0]]), np.array([110.0, -235.0])
    away = np.zeros(len(points), np.float32)
    whole = np.ones(SHAPE, bool)
    above = rows * 2.0 < 212
    assert centre_heatmaps(points, whole, away, lumbar, s1)[1].max() == pytest.approx(1.0)
    assert centre_heatmaps(points, above, away, lumbar, s1)[1].max() == 0
    assert len(HEATMAP_NAMES) == 3


def test_the_procedural_body_gives_the_same_classes() -> None:
    value, noise = np.linspace(0, 1, len(Tissue), dtype=np.float32), np.zeros((3, SHAPE[0] * SHAPE[1]), np.float32)
    found = np.zeros(len(SpineClass), bool)
    for seed in (1, 2, 4, 5):
        picture = phantom_picture(np.random.default_rng(seed), value, noise)
        found[np.unique(picture.classes)] = True
        marrow = picture.classes == SpineClass.VERTEBRAL_BODY
        assert picture.image.shape == (3, *marrow.shape)
        peak = picture.heatmaps[0] > 0.95
        assert marrow[peak].all(), "centres of lumbar bodies lie in bodies"
    assert found.all()


def test_channels_do_not_depend_on_scale_and_ignore_padding() -> None:
    picture = np.zeros((64, 48), np.float32)
    picture[8:56, 4:44] = np.random.default_rng(0).uniform(10, 200, (48, 40))
    one, scaled = channels(picture), channels(picture * 37)
    assert one == pytest.approx(scaled, abs=1e-4)
    assert not one[:, picture == 0].any()
    inside = picture[picture > 0]
    assert one[0].max() == pytest.approx(min(2.0, inside.max() / np.percentile(inside, 97)), rel=1e-2)
    assert not channels(np.zeros((32, 32), np.float32)).any()


def test_every_contrast_knows_the_same_tissues() -> None:
    assert sum(CONTRAST_WEIGHTS.values()) == pytest.approx(1.0)
    assert set(CONTRAST_WEIGHTS) == {*CONTRASTS, "random"}
    tissues = {frozenset(family) for family in CONTRASTS.values()}
    assert len(tissues) == 1
    assert all(0 <= low < high for family in CONTRASTS.values() for low, high in family.values())


def test_a_slice_is_seen_between_its_neighbours() -> None:
    stack = np.random.default_rng(2).uniform(1, 9, (7, 16, 24)).astype(np.float32)
    inputs = network_inputs(stack, [0, 4, 6], step=2)
    assert inputs.shape == (3, N_CHANNELS, 16, 24)
    for row, index in enumerate((0, 4, 6)):
        assert np.array_equal(inputs[row, :2], channels(stack[index]))
        for channel, other in ((2, index - 2), (3, index + 2)):
            expected = channels(stack[other])[1] if 0 <= other < 7 else np.zeros((16, 24))
            assert np.array_equal(inputs[row, channel], expected), "zeros beyond the stack"


def test_slices_of_a_scan_share_its_defects_and_have_noise_of_their_own() -> None:
    depth, view = np.zeros(SHAPE, np.float32), np.ones(SHAPE, bool)
    stack = scan_slices(np.random.default_rng(4), np.full((3, *SHAPE), 0.5, np.float32), depth, view)
    assert not np.array_equal(stack[0], stack[1])
    field = ndimage.gaussian_filter(stack, (0, 6, 6))
    assert field[0] == pytest.approx(field[1], rel=0.05)
    assert np.ptp(field[0]) > 0.2 * field[0].mean(), "the shading of the coil is there"


def without(ingredient: SpineIngredient) -> frozenset[SpineIngredient]:
    return ALL_SPINE_INGREDIENTS - {ingredient}


@pytest.mark.parametrize("ingredient", SpineIngredient)
def test_each_ingredient_shows_in_some_sample_and_can_be_left_out(ingredient: SpineIngredient) -> None:
    task = SpineTask(use=without(ingredient))
    for seed in range(40):
        inputs, classes, heatmaps = task.sample(np.random.default_rng(seed))
        assert (inputs.shape, classes.shape, heatmaps.shape) == ((4, *SHAPE), SHAPE, (3, *SHAPE))
        if not np.array_equal(inputs, SpineTask().sample(np.random.default_rng(seed))[0]):
            return
    pytest.fail("none of 40 samples has it")


def test_without_other_numbers_every_chain_has_five_lumbar_vertebrae() -> None:
    use = without(SpineIngredient.NUMBERS)
    assert {len(sample_chain(np.random.default_rng(seed), use).lumbar) for seed in range(60)} == {5}


def test_without_degeneration_no_body_is_crushed_and_none_has_osteophytes() -> None:
    use = without(SpineIngredient.DEGENERATION)
    for seed in range(20):
        chain = sample_chain(np.random.default_rng(seed), use)
        wedge_deg = np.degrees(chain.wedge_rad[chain.lumbar])
        assert wedge_deg.min() > -14, "a crushed body is lower in front"
        assert not sample_scene(np.random.default_rng(seed), use).lip.any()


def test_without_scoliosis_the_column_is_straight_and_without_surroundings_nothing_lies_before_it() -> None:
    straight = sample_scene(np.random.default_rng(3), without(SpineIngredient.SCOLIOSIS))
    assert not Slice(straight, straight.chain.line_mm.astype(np.float32)).sway.any()
    assert len(sample_scene(np.random.default_rng(3), without(SpineIngredient.SURROUNDINGS)).blobs) == 0
    assert len(sample_scene(np.random.default_rng(3)).blobs) > 10


def test_without_cut_images_s1_is_always_in_view() -> None:
    s1 = np.array([5.0, -120.0])
    floors = {True: [], False: []}
    for use in (ALL_SPINE_INGREDIENTS, without(SpineIngredient.CUT)):
        for seed in range(60):
            points, view = place(np.random.default_rng(seed), s1, use)
            lowest = points[view.ravel(), 1].min()
            floors[SpineIngredient.CUT in use].append(lowest)
    assert max(floors[True]) > s1[1] + HALF_S1_MM + 20, "S1 is far out of view"
    assert max(floors[False]) < s1[1] - HALF_S1_MM


def test_without_shading_a_flat_image_stays_flat() -> None:
    depth, view = np.zeros(SHAPE, np.float32), np.ones(SHAPE, bool)
    for seed in range(5):
        flat = np.full((3, *SHAPE), 0.5, np.float32)
        stack = scan_slices(np.random.default_rng(seed), flat, depth, view, without(SpineIngredient.SHADING))
        smooth = ndimage.gaussian_filter(stack, (0, 8, 8))
        assert np.ptp(smooth) < 0.1 * smooth.mean()


def test_one_family_of_contrasts_can_be_asked_for() -> None:
    for seed in range(20):
        value = draw_intensities(np.random.default_rng(seed), "t2")
        low, high = CONTRASTS["t2"][Tissue.CSF]
        assert low <= value[Tissue.CSF] <= high
