"""Synthetic axial slices: reproducible, labelled on the right side, and as varied as they should be."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from muscle_factory import discs, plain_geometry, small_bank, with_pairs

from paraspinal.core.labels import all_labels, label_by_name
from paraspinal.models.synthesis.artefacts import (
    Artefacts,
    add_ghosts,
    coarsen,
    draw_coarseness,
    draw_ghosts,
    draw_swap,
    swap_water_and_fat,
)
from paraspinal.models.synthesis.augmentation import sample_field_of_view, sample_geometry
from paraspinal.models.synthesis.contrast import MIN_FAT_CONTRAST, Paint, ThickScene, Values, sample_contrast
from paraspinal.models.synthesis.ingredients import ALL_INGREDIENTS, Ingredient, Ingredients
from paraspinal.models.synthesis.muscles.atlas_bank import mirror
from paraspinal.models.synthesis.muscles.changes import UPPER_SHIFT_MM, MuscleChanges, change_muscles, draw_changes
from paraspinal.models.synthesis.muscles.layout import MUSCLE_CLASSES, SWAP_SIDES
from paraspinal.models.synthesis.muscles.painter import EDGE_MM, Painter
from paraspinal.models.synthesis.muscles.people import synthetic_person
from paraspinal.models.synthesis.muscles.procedural import draw_procedural, procedural_scene
from paraspinal.models.synthesis.muscles.septa import RIM_MM, Sheet, not_muscle_share, septum
from paraspinal.models.synthesis.muscles.task import SAMPLE_SHAPE, MuscleTask


@pytest.mark.parametrize("use", [frozenset(), ALL_INGREDIENTS])
def test_a_seed_reproduces_a_sample(use: Ingredients) -> None:
    task = MuscleTask(use=use)
    first, again = (task.sample(np.random.default_rng([1, 2])) for _ in range(2))
    for index in range(3):
        assert np.array_equal(first[index], again[index])
    inputs, classes, heatmaps = first
    assert (inputs.shape, classes.shape, heatmaps.shape) == ((2, *SAMPLE_SHAPE), SAMPLE_SHAPE, (0, *SAMPLE_SHAPE))
    assert (inputs.dtype.name, classes.dtype.name) == ("float32", "int64")
    assert np.isfinite(inputs).all()


def test_classes_are_the_registered_muscles_left_before_right() -> None:
    assert MUSCLE_CLASSES[0] == "background"
    assert [label_by_name(n).code for n in MUSCLE_CLASSES[1:]] == [x.code for x in all_labels() if x.muscle]
    for index, name in enumerate(MUSCLE_CLASSES):
        other = MUSCLE_CLASSES[SWAP_SIDES[index]]
        assert other.replace("_left", "_right") == name.replace("_left", "_right")
        assert (other == name) == (index == 0)


def test_procedural_left_is_at_positive_x() -> None:
    scene = procedural_scene(draw_procedural(np.random.default_rng(4)), plain_geometry())
    assert scene.labels.any()
    x = plain_geometry().x_mm
    for index in range(1, 9):
        found = x[scene.labels == index]
        if found.size > 50:
            assert (np.median(found) > 0) == MUSCLE_CLASSES[index].endswith("_left")


def test_mirrored_geometry_turns_the_person_round() -> None:
    flags = [sample_geometry(np.random.default_rng(i), SAMPLE_SHAPE, (0.0, 0.0)) for i in range(40)]
    assert 8 < sum(g.is_mirrored for g in flags) < 32
    for geometry in flags[:10]:
        rises = np.median(np.diff(geometry.x_mm, axis=1)) > 0
        assert rises != geometry.is_mirrored


def test_painted_muscles_are_where_their_shapes_are() -> None:
    geometry = plain_geometry()
    shapes = with_pairs(discs(geometry.x_mm, geometry.y_mm))
    scene = Painter(0, geometry.x_mm, geometry.y_mm, shapes, 0.6, ALL_INGREDIENTS - {Ingredient.SEPTA}).paint()
    for index in range(8):
        assert np.array_equal(scene.labels == index + 1, shapes[index] < 0)
    values = np.linspace(0.1, 0.9, len(Paint)).astype(np.float32)
    values[Paint.SUBCUTANEOUS_FAT] = values[Paint.MUSCLE]  # lean and fat alike: only muscle colour is left
    deep = shapes.min(axis=0) < -6
    np.testing.assert_allclose(scene.render(values)[deep], values[Paint.MUSCLE], rtol=1e-5)


def test_border_between_multifidus_and_erector_moves_but_their_sum_stays() -> None:
    geometry = plain_geometry()
    shapes = with_pairs(discs(geometry.x_mm / 2, geometry.y_mm / 2))
    for side, sign in ((0, 1.0), (1, -1.0)):  # one disc, parted along a line
        shapes[8 + side] = np.hypot(geometry.x_mm - sign * 30.0, geometry.y_mm) - 28.0
        beyond = sign * geometry.x_mm - 24.0
        shapes[side], shapes[2 + side] = np.maximum(shapes[8 + side], beyond), np.maximum(shapes[8 + side], -beyond)
    union = shapes[8:] < 0
    shares = []
    for seed in range(20):
        changes = draw_changes(np.random.default_rng(seed))
        changes = MuscleChanges(np.zeros(8), changes.border_mm, changes.upper_shift_mm)
        varied = change_muscles(shapes, changes, geometry.y_mm, height=0.5)
        assert not ((varied[0] < 0) & (varied[2] < 0)).any()
        assert np.array_equal(np.minimum(varied[:2], varied[2:4]) < 0, union)
        shares.append(np.count_nonzero(varied[0] < 0) / np.count_nonzero(union[0]))
    assert np.std(shares) > 0.02


def test_a_border_shift_of_known_size() -> None:
    geometry = plain_geometry()
    shapes = np.full((10, *SAMPLE_SHAPE), 30.0, dtype=np.float32)
    shapes[0], shapes[2] = np.abs(geometry.x_mm) - 20.0, np.abs(geometry.x_mm - 40.0) - 20.0
    shapes[8] = np.abs(geometry.x_mm - 20.0) - 40.0
    still = np.zeros((2, 3))
    at_l5, above = (
        change_muscles(shapes, MuscleChanges(np.zeros(8), still, UPPER_SHIFT_MM), geometry.y_mm, height)
        for height in (0.0, 0.6)
    )
    assert np.array_equal(at_l5[0] < 0, (shapes[0] < 0) & (geometry.x_mm < 20.0))
    # Multifidus gains |UPPER_SHIFT_MM| of a straight border everywhere above L5.
    assert np.array_equal(above[0] < 0, (shapes[8] < 0) & (geometry.x_mm < 20 - UPPER_SHIFT_MM))


def test_without_an_ingredient_nothing_of_it_is_drawn() -> None:
    use = ALL_INGREDIENTS - {Ingredient.INTERFACE, Ingredient.ATROPHY}
    for seed in range(60):
        changes = draw_changes(np.random.default_rng(seed), use)
        assert not changes.border_mm[:, 1:].any()
        assert changes.upper_shift_mm == 0.0
        assert np.abs(changes.offsets_mm).max() < 6.0
    bare = [MuscleTask(use=frozenset()).draw(np.random.default_rng(seed)) for seed in range(60)]
    assert all(draw.artefacts == Artefacts(None, None, None) for draw in bare)
    assert not any(draw.is_thick or draw.degradation.rim for draw in bare)


def test_a_septum_fills_the_share_of_a_pixel_that_it_covers() -> None:
    distance = np.array([0.0, 0.0, 1.0, 5.0], dtype=np.float32)
    thickness = np.array([0.5, 3.0, 2.0, 2.0], dtype=np.float32)
    sheet = Sheet(distance, thickness, Paint.VISCERAL_FAT, np.ones(4, dtype=bool))
    np.testing.assert_allclose(sheet.opacity(EDGE_MM), [0.25, 1.0, 0.5, 0.0], atol=1e-6)
    # Half of 3 mm less the rim belongs to neither muscle, and is the smaller part of a pixel.
    thick = Sheet(np.array([0.0, 3.0]), np.full(2, 3.0), Paint.FASCIA, np.ones(2, dtype=bool))
    np.testing.assert_allclose(not_muscle_share(thick, 2.0), [(3.0 - 2 * RIM_MM) / 2.0, 0.0])


def test_septa_range_from_none_to_thick() -> None:
    geometry = plain_geometry()
    shapes = discs(geometry.x_mm / 2, geometry.y_mm / 2)
    thickest = [
        float(septum(np.random.default_rng(i), shapes[0], shapes[2], geometry.y_mm).thickness_mm.max())
        for i in range(200)
    ]
    assert 0.15 < np.mean(np.array(thickest) == 0.0) < 0.5
    assert np.quantile(thickest, 0.95) > 2.5


def test_an_oblique_cut_is_the_slice_below_in_front_and_the_one_above_behind() -> None:
    bank = small_bank()
    cuts = [bank.draw(np.random.default_rng(seed), tilt_deg=10.0) for seed in range(20)]
    oblique = [c for c in cuts if c.second > c.first and not c.is_mirrored and np.ptp(c.weight) > 0.3]
    assert oblique
    for cut in oblique:
        assert (np.diff(cut.weight[:, 0]) >= 0).all()
        low, high = bank.distances_mm[cut.first], bank.distances_mm[cut.second]
        blend = bank.shape(cut).distances_mm
        assert (blend <= np.maximum(low, high) + 1e-4).all()
        assert (blend >= np.minimum(low, high) - 1e-4).all()
    plain = [bank.draw(np.random.default_rng(seed)) for seed in range(20)]
    straight = next(c for c in plain if max(c.first, c.second) < 8)
    assert np.ptp(straight.weight) == 0.0
    np.testing.assert_allclose(bank.shape(straight, 1).height_frac, bank.shape(straight).height_frac + 1 / 8)


def test_a_thick_slice_is_a_mean_of_three_and_keeps_the_outline_of_its_middle() -> None:
    class Flat:
        def __init__(self, value: float, label: int) -> None:
            self.value, self.shares = value, np.full((1, 2, 2), label, dtype=np.float32)
            self.depth_mm = np.full((2, 2), value, dtype=np.float32)

        def render(self, values: Values) -> np.ndarray:
            return np.full((2, 2), self.value * values[0], dtype=np.float32)

    thick = ThickScene(Flat(1.0, 3), (Flat(2.0, 5), Flat(6.0, 7)))
    assert (thick.shares == 3).all()
    assert (thick.depth_mm == 1.0).all()
    np.testing.assert_allclose(thick.render(np.array([1.0], dtype=np.float32)), 0.5 * 1 + 0.25 * (2 + 6))


def test_ghosts_wrap_around_and_add_what_they_should() -> None:
    image = np.zeros((96, 96), dtype=np.float32)
    image[48, 48] = 1.0
    draws = [draw_ghosts(np.random.default_rng(i)) for i in range(200)]
    ghosted = [add_ghosts(draw, image) for draw in draws if draw]
    assert 15 < len(ghosted) < 50
    for picture in ghosted:
        places = np.argwhere(picture > 0)
        assert 3 <= len(places) <= 5
        assert all(48 in place for place in places)
        assert np.sort(picture[picture > 0])[-2] <= 0.4 + 1e-6


def test_coarse_images_keep_their_sum() -> None:
    image = np.random.default_rng(0).uniform(0, 1, (64, 64)).astype(np.float32)
    draws = [draw_coarseness(np.random.default_rng(i)) for i in range(100)]
    changed = [coarsen(draw, image) for draw in draws if draw]
    assert 8 < len(changed) < 36
    for picture in changed:
        assert picture.sum() == pytest.approx(image.sum(), rel=1e-2)
        assert picture.std() < image.std()


def test_swapped_parts_show_the_other_image_and_only_there() -> None:
    geometry = plain_geometry()
    scene = procedural_scene(draw_procedural(np.random.default_rng(4)), geometry)
    swapped = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        contrast = sample_contrast(rng, "fat")
        image = contrast.render(scene)
        draw = draw_swap(rng, contrast)
        if draw:
            swapped += 1
            found = swap_water_and_fat(draw, scene, image)
            muscle = (scene.labels > 0) & (found != image)
            assert not muscle.any() or found[muscle].mean() > 2 * image[muscle].mean()
    assert 3 <= swapped <= 20
    t1 = sample_contrast(np.random.default_rng(0), "t1")
    assert all(draw_swap(np.random.default_rng(i), t1) is None for i in range(40))


def test_a_synthetic_person_is_always_the_same_and_has_outlines_on_both_sides() -> None:
    person, again = (synthetic_person(small_bank(), 3) for _ in range(2))
    values = sitk.GetArrayFromImage(person.image)
    assert np.array_equal(values, sitk.GetArrayFromImage(again.image))
    assert person.classes.shape == values.shape == (5, *SAMPLE_SHAPE)
    assert person.image.GetSpacing()[2] == 6.0
    left, right = (np.argwhere(person.mask(f"erector_spinae_{side}"))[:, 2].mean() for side in ("left", "right"))
    assert left > right
    # What surrounds the muscles hangs together: neighbouring slices are alike.
    assert np.corrcoef(values[1].ravel(), values[2].ravel())[0, 1] > 0.6


def test_mirroring_atlas_shapes_twice_changes_nothing() -> None:
    geometry = plain_geometry()
    shapes = with_pairs(discs(geometry.x_mm, geometry.y_mm))
    assert np.array_equal(mirror(mirror(shapes)), shapes)
    np.testing.assert_allclose(mirror(shapes), shapes, atol=1e-4)  # these discs are symmetric


def test_contrasts_keep_muscles_alike_and_fat_visible() -> None:
    families = set()
    for seed in range(300):
        contrast = sample_contrast(np.random.default_rng(seed))
        families.add(contrast.family)
        for values in contrast.values:
            assert values[Paint.OTHER_MUSCLE] == pytest.approx(values[Paint.MUSCLE], rel=0.25)
        if contrast.family == "random":
            fat, muscle = contrast.values[0][[Paint.SUBCUTANEOUS_FAT, Paint.MUSCLE]]
            assert abs(fat - muscle) > MIN_FAT_CONTRAST - 1e-6
    assert len(families) == 9


def test_outside_the_field_of_view_there_is_neither_signal_nor_label() -> None:
    cropped = [i for i in range(20) if not sample_field_of_view(np.random.default_rng(i), SAMPLE_SHAPE).all()]
    assert 2 <= len(cropped) <= 14
    task = MuscleTask()
    for seed in range(12):
        image, labels = task.picture(np.random.default_rng(seed))
        blank_rows = ~image.any(axis=1)
        assert not labels[blank_rows].any()
