"""Synthetic axial slices: reproducible, labelled on the right side, and as varied as they should be."""

from __future__ import annotations

import numpy as np
import pytest

from paraspinal.core.labels import all_labels, label_by_name
from paraspinal.models.atlas_bank import mirror
from paraspinal.models.augmentation import Geometry, sample_field_of_view, sample_geometry
from paraspinal.models.contrast import MIN_FAT_CONTRAST, Paint, sample_contrast
from paraspinal.models.muscle_synthesis import MUSCLE_CLASSES, SAMPLE_SHAPE, SWAP_SIDES, MuscleTask, vary_muscles
from paraspinal.models.painter import Painter
from paraspinal.models.procedural import procedural_scene


def plain_geometry() -> Geometry:
    """Make coordinates without any warp: x to the left, y to the back."""
    rows, columns = (2.0 * (np.arange(n) - (n - 1) / 2) for n in SAMPLE_SHAPE)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    return Geometry(x.astype(np.float32), y.astype(np.float32), is_mirrored=False)


def discs(x_mm: np.ndarray, y_mm: np.ndarray) -> np.ndarray:
    """Place eight round muscles, left ones at positive x."""
    centres = [(12, 0), (-12, 0), (38, 0), (-38, 0), (40, -45), (-40, -45), (70, -25), (-70, -25)]
    return np.stack([np.hypot(x_mm - x, y_mm - y) - 11.0 for x, y in centres]).astype(np.float32)


def test_a_seed_reproduces_a_sample() -> None:
    task = MuscleTask()
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
    scene = procedural_scene(np.random.default_rng(4), plain_geometry())
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
    shapes = discs(geometry.x_mm, geometry.y_mm)
    scene = Painter(np.random.default_rng(0), geometry.x_mm, geometry.y_mm, shapes, height=0.6).paint()
    for index in range(8):
        assert np.array_equal(scene.labels == index + 1, shapes[index] < 0)
    values = np.linspace(0.1, 0.9, len(Paint)).astype(np.float32)
    values[Paint.SUBCUTANEOUS_FAT] = values[Paint.MUSCLE]  # lean and fat alike: only muscle colour is left
    deep = shapes.min(axis=0) < -6
    np.testing.assert_allclose(scene.render(values)[deep], values[Paint.MUSCLE], rtol=1e-5)


def test_border_between_multifidus_and_erector_moves_but_their_sum_stays() -> None:
    geometry = plain_geometry()
    shapes = discs(geometry.x_mm / 2, geometry.y_mm / 2)  # large: neighbours touch
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(20):
        varied = vary_muscles(rng, shapes)
        assert not ((varied[0] < 0) & (varied[2] < 0)).any()
        shares.append(np.count_nonzero(varied[0] < 0) / np.count_nonzero(np.minimum(varied[0], varied[2]) < 0))
    assert np.std(shares) > 0.02


def test_mirroring_atlas_shapes_twice_changes_nothing() -> None:
    geometry = plain_geometry()
    shapes = discs(geometry.x_mm, geometry.y_mm)
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
