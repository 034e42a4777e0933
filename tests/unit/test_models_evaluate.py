"""Measuring the shipped model: the Dice itself, and the real person where the private data are present."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from paraspinal.core.errors import InputError, ModelError
from paraspinal.core.paths import PROJECT
from paraspinal.models.card import Accuracy
from paraspinal.models.evaluation.muscles import (
    DIXON_FOLDER,
    MEAN_OF_FOUR,
    MUSCLES_MODEL,
    PAIRS,
    REFERENCE_CODES,
    bars,
    compare,
    evaluate,
    evaluate_muscles,
    slice_counts,
)
from paraspinal.models.inference import load_model
from paraspinal.models.synthesis.muscles.task import MuscleTask
from paraspinal.models.training.recipes import DATA_VARIABLE, RECIPES, build_task

DATA = Path(os.environ.get(DATA_VARIABLE, PROJECT.parent / "shared" / "data"))


def test_dice_volume_error_and_their_intervals_from_counts_per_slice() -> None:
    found, reference = np.zeros((4, 2, 10), dtype=bool), np.zeros((4, 2, 10), dtype=bool)
    found[:, 0, :6], reference[:, 0, 2:] = True, True  # in every slice 4 shared, 6 found, 8 wanted
    counts = dict.fromkeys(REFERENCE_CODES, slice_counts(found, reference))
    rows = {(r.measure, r.structure): r for r in compare("x", counts, slice_counts(found, reference))}
    for structure in (*REFERENCE_CODES, MEAN_OF_FOUR):
        row = rows["dsc", structure]
        # All slices alike: resampling them changes nothing.
        assert (row.value, row.low, row.high) == pytest.approx((8 / 14, 8 / 14, 8 / 14))
    for pair in PAIRS:
        assert rows["volume error", pair].value == pytest.approx(100 * (6 / 8 - 1))
    reference[0] = False
    row = next(r for r in compare("x", counts, slice_counts(found, reference)) if "as one" in r.structure)
    assert row.value == pytest.approx(2 * 12 / (24 + 24))
    assert row.low is not None
    assert row.high is not None
    assert row.low < row.value < row.high


def test_bars_take_the_worst_of_both_images() -> None:
    def rows(image: str, single: float, volume: float) -> list[Accuracy]:
        return [
            *(Accuracy(image, "dsc", name, single, "1") for name in REFERENCE_CODES),
            Accuracy(image, "dsc", MEAN_OF_FOUR, single, "1"),
            *(Accuracy(image, "volume error", name, volume, "%") for name in PAIRS),
        ]

    apart = Accuracy("both", "difference of dsc", MEAN_OF_FOUR, 0.05, "1")
    found = {b["bar"]: b for b in bars((*rows("water", 0.95, 2.0), *rows("fat", 0.90, -6.0), apart))}
    assert {name: b["worst"] for name, b in found.items()} == {
        "mean_dsc": 0.90,
        "dsc": 0.90,
        "volume_error_pct": 6.0,
        "water_fat_difference": 0.05,
    }
    assert {name: b["is_met"] for name, b in found.items()} == {
        "mean_dsc": True,
        "dsc": True,
        "volume_error_pct": False,
        "water_fat_difference": False,
    }


def test_without_the_labelled_person_there_is_nothing_to_measure(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="labelled Dixon person"):
        evaluate(tmp_path)


def test_without_the_atlas_the_task_is_procedural(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    task = build_task("muscles")
    assert isinstance(task, MuscleTask)
    assert task.atlas is None
    assert {build_task(name).name for name in RECIPES} == {"muscles", "spine"}
    with pytest.raises(ModelError, match="no training task"):
        build_task("livers")


@pytest.mark.data
@pytest.mark.skipif(not (DATA / DIXON_FOLDER).is_dir(), reason="needs the private real images (PARASPINAL_DATA)")
def test_shipped_model_does_what_its_card_says_on_the_real_person() -> None:
    model = load_model(MUSCLES_MODEL)
    said = {(a.data, a.measure, a.structure): a.value for a in model.card.accuracy}
    for found in evaluate_muscles(model, DATA):
        tolerance = 1.0 if found.unit == "%" else 0.01
        assert found.value == pytest.approx(said[found.data, found.measure, found.structure], abs=tolerance)
        assert found.measure != "dsc" or found.value > 0.8
