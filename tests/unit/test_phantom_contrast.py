"""Rendered images: partial volume, Dixon arithmetic, noise, and the truth table."""

from dataclasses import replace

import numpy as np
import pytest

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.labels import muscle_labels
from paraspinal.core.vocab import DixonPart, LevelScheme
from paraspinal.phantom.anatomy import Anatomy, AnatomyParameters, Tissue
from paraspinal.phantom.contrast import (
    CONTRASTS,
    QUICK,
    THOROUGH,
    Weighting,
    add_noise,
    bias_field,
    ideal_signals,
    label_map,
    lattice,
    render,
    render_dixon,
    sample_points,
    texture,
)
from paraspinal.phantom.truth import level_spans, truth

AXES = tuple(np.eye(3).ravel())
GRID = Grid((110, 80, 3), (2.0, 2.0, 5.0), (-109.0, -70.0, -30.0), AXES)


@pytest.fixture(scope="module")
def person() -> Anatomy:
    return Anatomy(AnatomyParameters(seed=4))


def test_sample_points_are_the_voxel_centres_of_any_grid() -> None:
    turn = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    grid = Grid((5, 4, 3), (1.1, 1.2, 4.0), (3.0, -7.0, 11.0), tuple(turn.ravel()))
    for k in range(3):
        index = np.stack(np.meshgrid(np.arange(5), np.arange(4), [k], indexing="xy"), axis=-1).reshape(4, 5, 3)
        assert np.allclose(sample_points(grid, k), grid.to_world(index), atol=1e-4)


@pytest.mark.parametrize("samples", [THOROUGH, QUICK])
def test_sub_samples_are_centred(samples: tuple[tuple[float, float, float], ...]) -> None:
    assert np.allclose(np.mean(samples, axis=0), 0)
    assert np.abs(samples).max() < 0.5


def test_without_partial_volume_the_signal_is_that_of_the_tissue(person: Anatomy) -> None:
    image = ideal_signals(person, GRID, [CONTRASTS[Weighting.T2W]], lattice(1, 1, 1))[0]
    tissue, label = person.tissue_and_label(sample_points(GRID, 1))
    plain = tissue != Tissue.MUSCLE
    assert np.allclose(image[1][plain], CONTRASTS[Weighting.T2W].lut[tissue[plain]])
    assert np.array_equal(label_map(person, GRID)[1], label)


def test_partial_volume_lies_between_the_tissues_and_keeps_the_mean(person: Anatomy) -> None:
    coarse = ideal_signals(person, GRID, [CONTRASTS[Weighting.T1W]], THOROUGH)[0]
    finest = ideal_signals(person, GRID, [CONTRASTS[Weighting.T1W]], lattice(3, 3, 4))[0]
    assert coarse.min() >= 0
    assert coarse.max() <= 1.0 + 1e-6
    assert coarse.mean() == pytest.approx(float(finest.mean()), rel=0.002)


def test_dixon_ratio_is_the_fat_fraction_field(person: Anatomy) -> None:
    parts = render_dixon(person, GRID, np.random.default_rng(0), noise=0.0, samples=lattice(1, 1, 1))
    water, fat = parts[DixonPart.WATER], parts[DixonPart.FAT]
    for k in range(GRID.size[2]):
        points = sample_points(GRID, k)
        _, label = person.tissue_and_label(points)
        muscle = label >= 5000
        ratio = fat[k][muscle] / (fat[k] + water[k])[muscle]
        assert np.allclose(ratio, person.intramuscular_fat(points)[muscle], atol=1e-5)
    assert np.allclose(parts[DixonPart.IN_PHASE], water + fat)
    assert np.allclose(parts[DixonPart.OPPOSED_PHASE], np.abs(water - fat))


def test_noisy_dixon_ratio_is_right_on_average(person: Anatomy) -> None:
    parts = render_dixon(person, GRID, np.random.default_rng(1), noise=0.006, samples=lattice(1, 1, 1))
    label = label_map(person, GRID)
    fat, water = parts[DixonPart.FAT], parts[DixonPart.WATER]
    field = np.stack([person.intramuscular_fat(sample_points(GRID, k)) for k in range(GRID.size[2])])
    for code in muscle_labels().values():
        own = label == code
        if own.sum() > 100:
            measured = fat[own].sum() / (fat[own] + water[own]).sum()
            # The noise floor lifts the fat signal of lean muscle a little, as in any magnitude image.
            assert -0.002 < measured - float(field[own].mean()) < 0.01


def test_subcutaneous_fat_is_almost_only_fat() -> None:
    lut_fat, lut_water = CONTRASTS[Weighting.FAT].lut, CONTRASTS[Weighting.WATER].lut
    ring = Tissue.SUBCUTANEOUS_FAT
    assert lut_fat[ring] / (lut_fat[ring] + lut_water[ring]) == pytest.approx(0.95)


def test_rician_noise_has_its_known_mean_in_air_and_in_signal() -> None:
    rng = np.random.default_rng(2)
    air = add_noise(np.zeros((40, 40, 40), np.float32), rng, 0.05)
    assert air.mean() == pytest.approx(0.05 * np.sqrt(np.pi / 2), rel=0.01)
    bright = add_noise(np.ones((40, 40, 40), np.float32), rng, 0.05)
    assert bright.mean() == pytest.approx(1 + 0.05**2 / 2, abs=0.001)
    assert bright.std() == pytest.approx(0.05, rel=0.02)


def test_gains_have_mean_one_and_the_wanted_strength() -> None:
    rng = np.random.default_rng(3)
    bias = bias_field(GRID, rng, 0.3)
    assert bias.mean() == pytest.approx(1.0, abs=1e-5)
    assert bias.min() > 0
    assert np.abs(np.diff(bias, axis=2)).max() < 0.05  # smooth
    assert texture(GRID, rng, 0.04).std() == pytest.approx(0.04, rel=0.01)


def test_render_is_reproducible_from_the_seed(person: Anatomy) -> None:
    small = replace(GRID, size=(110, 80, 1))
    images = [
        render(person, small, CONTRASTS[Weighting.STIR], np.random.default_rng(seed), samples=QUICK)
        for seed in (5, 5, 6)
    ]
    assert images[0].dtype == np.float32
    assert images[0].shape == (1, 80, 110)
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_level_spans_follow_the_planes(person: Anatomy) -> None:
    spans = level_spans(person)
    planes = person.level_planes()
    for span in spans:
        if span.scheme is LevelScheme.VERTEBRA_SLAB:
            ends = planes[span.level]
            low, high = ends.inferior_point_mm, ends.superior_point_mm
            assert (span.low_mm, span.high_mm) == (low[2], high[2])
            axis = (high - low) / np.linalg.norm(high - low)
            assert np.linalg.norm(np.cross(axis, ends.centre_mm - low)) < 0.5, "both lie on the axis of the body"
    assert [s.level for s in spans if s.scheme is LevelScheme.DISC_MID] == ["L1_L2", "L2_L3", "L3_L4", "L4_L5", "L5_S1"]


def test_truth_agrees_with_a_fine_label_map(person: Anatomy) -> None:
    table = truth(person, step_mm=1.5)
    assert len(table) == 8 * (2 * 5 + 5)
    slab = table[(table.level == "L3") & (table.level_scheme == "vertebra_slab")]
    low, high = float(slab.z_low_mm.iloc[0]), float(slab.z_high_mm.iloc[0])
    n = 20
    step = (high - low) / n
    grid = Grid((210, 160, n), (1.0, 1.0, step), (-104.5, -72.3, low + step / 2), AXES)
    labels = label_map(person, grid)
    for row in slab.to_dict("records"):
        code = next(c for (m, s), c in muscle_labels().items() if (m.value, s.value) == (row["muscle"], row["side"]))
        assert row["volume_mm3"] == pytest.approx(np.count_nonzero(labels == code) * step, rel=0.02)
        assert row["volume_mm3"] == pytest.approx(row["acsa_mm2"] * (high - low))
    middle = table[table.level_scheme == "disc_mid"]
    assert middle.volume_mm3.isna().all()
    assert (middle.acsa_mm2 == middle.csa_mid_mm2).all()
    assert table.fat_fraction_frac.between(0, 1).all()
