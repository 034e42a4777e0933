"""Measuring the shipped model: the Dice itself, and the real person where the private data are present."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from paraspinal.core.errors import InputError, ModelError
from paraspinal.core.paths import PROJECT
from paraspinal.models.evaluate import DIXON_FOLDER, dice, evaluate, evaluate_muscles
from paraspinal.models.inference import load_model
from paraspinal.models.muscle_synthesis import MuscleTask
from paraspinal.models.recipes import DATA_VARIABLE, RECIPES, build_task

DATA = Path(os.environ.get(DATA_VARIABLE, PROJECT.parent / "shared" / "data"))


def test_dice_of_known_masks() -> None:
    a, b = np.zeros(10, dtype=bool), np.zeros(10, dtype=bool)
    a[:4], b[2:8] = True, True
    assert dice(a, b) == pytest.approx(2 * 2 / (4 + 6))
    assert dice(a, a) == 1.0
    assert np.isnan(dice(~a & a, ~b & b))


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
    model = load_model("muscles@0.1.0")
    said = {(a.data, a.structure): a.value for a in model.card.accuracy}
    for found in evaluate_muscles(model, DATA):
        assert found.value == pytest.approx(said[found.data, found.structure], abs=0.01)
        assert found.value > 0.65
