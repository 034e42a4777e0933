"""Scores, intervals and trials of the spine model: counted right, and nothing numbered where nothing should be."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import stats

from paraspinal.core.paths import PROJECT
from paraspinal.core.vocab import LevelNumbering
from paraspinal.models.evaluation.spine import VolumeScore, mean, share
from paraspinal.models.evaluation.spine_trials import AXES, Trial, judge, sample_trial
from paraspinal.models.inference import load_model
from paraspinal.models.spine_inference import look_at_spine
from paraspinal.models.synthesis.spine.non_lumbar import foreign_picture
from paraspinal.models.synthesis.spine.scene import Tissue
from paraspinal.models.synthesis.spine.view import SHAPE
from paraspinal.models.training.recipes import SPINE_VERSION
from paraspinal.vertebrae.numbering import LevelGeometry, SpineLevels
from paraspinal.vertebrae.spine import number_spine

DATA = Path(os.environ.get("PARASPINAL_DATA", PROJECT.parent / "shared" / "data")) / "nifti"
NUMBERED, UNRESOLVED = LevelNumbering.COUNTED_FROM_SACRUM, LevelNumbering.UNRESOLVED


def score(*errors: float, numbering: LevelNumbering = NUMBERED) -> VolumeScore:
    return VolumeScore("VB", {f"L{5 - i}": e for i, e in enumerate(errors)}, 0.9, numbering, False, 1.0)


def test_a_shift_is_a_wrong_number_and_a_missing_body_is_none() -> None:
    assert score(1.0, 4.9).is_right(5.0)
    assert not score(1.0, 5.1).is_right(5.0)
    assert not score(1.0, 5.1).is_misnamed
    assert score(36.0, 34.0).is_misnamed
    missing = score(1.0, np.inf)
    assert not missing.is_right(10.0)
    assert not missing.is_misnamed
    assert score(np.inf, numbering=UNRESOLVED).is_unresolved


def test_a_share_has_the_exact_interval() -> None:
    (row,) = share("d", "m", "s", [True] * 33 + [False])
    assert row.value == pytest.approx(33 / 34)
    assert row.low == pytest.approx(stats.beta.ppf(0.025, 33, 2))
    assert row.high == pytest.approx(stats.beta.ppf(0.975, 34, 1))
    assert share("d", "m", "s", []) == []


def test_the_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    values = np.random.default_rng(1).normal(0.85, 0.05, 200).tolist()
    (row,) = mean("d", "m", "s", values)
    half = 1.96 * np.std(values) / np.sqrt(len(values))
    assert row.low == pytest.approx(row.value - half, abs=1e-3)
    assert row.high == pytest.approx(row.value + half, abs=1e-3)
    assert mean("d", "m", "s", values) == mean("d", "m", "s", values)


def levels(trial: Trial, names: dict[str, str]) -> SpineLevels:
    """Answer with the true centres under these names (true name to given name)."""
    found = tuple(
        LevelGeometry(given, 41, AXES @ np.array([0.0, *trial.centres_mm[true]]), None, None, 900.0, False, 0.9)
        for true, given in names.items()
    )
    return SpineLevels(found, (), NUMBERED, False, 0.99)


def test_trials_are_judged_by_their_names() -> None:
    trial = Trial(
        np.zeros((1, 2, *SHAPE), np.float32),
        {name: np.array([200.0 - 36 * i, 90.0]) for i, name in enumerate(("L5", "L4", "L3"))},
        30.0,
        (0, SHAPE[0] - 1),
    )
    assert judge(trial, levels(trial, {"L5": "L5", "L4": "L4"})).is_right is True
    assert judge(trial, levels(trial, {"L4": "L5", "L3": "L4"})).is_right is False
    nothing = replace(levels(trial, {}), numbering=UNRESOLVED)
    assert judge(trial, nothing).is_right is None


def test_a_trial_is_reproducible_and_its_bodies_stand_in_order() -> None:
    trial, again = sample_trial(3), sample_trial(3)
    assert np.array_equal(trial.inputs, again.inputs)
    rows = [trial.centres_mm[name][0] for name in ("L5", "L4", "L3", "L2", "L1") if name in trial.centres_mm]
    assert len(rows) >= 3
    assert (np.diff(rows) < -20).all()
    damaged = sample_trial(3, is_corrupted=True)
    assert damaged.centres_mm.keys() == trial.centres_mm.keys()
    assert not np.array_equal(damaged.inputs, trial.inputs)


def test_other_body_parts_carry_no_spine() -> None:
    rng = np.random.default_rng(5)
    value, noise = np.linspace(0, 1, len(Tissue), dtype=np.float32), np.zeros((3, SHAPE[0] * SHAPE[1]), np.float32)
    picture = foreign_picture(rng, value, noise)
    assert not picture.classes.any()
    assert not picture.heatmaps.any()
    assert picture.image.std() > 0


@pytest.mark.parametrize("pattern", ["spine_t2_sagittal/*.nii.gz", "dixon_hand/input/*.nii*", "vertebra_crop/*.nii.gz"])
def test_real_images_without_a_lumbosacral_junction_get_no_numbers(pattern: str) -> None:
    paths = sorted(DATA.glob(pattern))
    if not paths:
        pytest.skip(f"no real images {pattern} in PARASPINAL_DATA")
    image = sitk.ReadImage(paths[0])
    result = number_spine(look_at_spine(load_model(f"spine@{SPINE_VERSION}"), image), image)
    assert result.numbering is UNRESOLVED
    assert not any(level.level for level in result.levels)
