"""`paraspinal train`: from words or from a run's configuration to the same plan, sheets private all the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dicom_factory import settings_for

from paraspinal.cli.main import main
from paraspinal.cohort.running.log_redaction import hidden_paths, passed_on
from paraspinal.cohort.running.plan import train_params, trained_tasks
from paraspinal.cohort.running.runs import RUN_CONFIG, begin_run
from paraspinal.models.own_cohort import training as cohort_training
from paraspinal.models.own_cohort.sheet import Role
from paraspinal.models.registry import list_models
from paraspinal.models.training import recipes

CPU = {"threads": 1, "workers": 0, "device": "cpu"}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What would have been trained, and where."""
    found: list[tuple[Any, ...]] = []

    def train_cohort(plan: Any, out: Path, **options: Any) -> Any:
        found.append((plan, out))
        return list_models()[0]

    def train_task(task: str, out: Path, **options: Any) -> None:
        found.append((task, out, options))

    monkeypatch.setattr(cohort_training, "train_cohort", train_cohort)
    monkeypatch.setattr(recipes, "train_task", train_task)
    return found


def test_words_become_a_plan(calls: list[tuple[Any, ...]], tmp_path: Path) -> None:
    words = ["train", "muscles", "--out", str(tmp_path), "--cohort", "a.tsv", "--label-values", "b.tsv"]
    words += ["--name", "ours@2.0.1", "--from", "muscles@0.2.0", "--synthetic-share", "0.25", "--steps", "40"]
    assert main([*words, "--centre-role", "North=external", "--seed", "9"]) == 0
    ((plan, out),) = calls
    assert (plan.name, plan.version, plan.start, plan.synthetic_frac) == ("ours", "2.0.1", "muscles@0.2.0", 0.25)
    assert (plan.sheet, plan.values, plan.centre_roles) == (Path("a.tsv"), Path("b.tsv"), {"North": Role.EXTERNAL})
    assert [(phase.steps, phase.seed) for phase in plan.phases] == [(40, 9)]
    assert out == tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["train", "spine", "--out", "x", "--cohort", "a.tsv", "--name", "ours@1.0.0"],
        ["train", "muscles", "--out", "x", "--cohort", "a.tsv", "--name", "ours"],
        ["train", "muscles", "--out", "x", "--cohort", "a.tsv", "--name", "ours@1.0.0", "--centre-role", "North=test"],
    ],
)
def test_words_that_make_no_plan_are_refused(calls: list[tuple[Any, ...]], words: list[str]) -> None:
    assert main(words) == 3
    assert calls == []


def test_the_recipe_has_the_last_word_on_the_seed(calls: list[tuple[Any, ...]], tmp_path: Path) -> None:
    assert main(["train", "spine", "--out", str(tmp_path)]) == 0
    assert calls == [("spine", tmp_path, {"steps": None, "seed": None, **CPU})]


def test_a_configured_cohort_is_trained_on_and_its_sheets_stay_private(
    calls: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    sheets = {"cohort_sheet": str(tmp_path / "Jane.tsv"), "label_sheet": str(tmp_path / "Jane-values.tsv")}
    settings = settings_for(tmp_path, train={**sheets, "steps": 30, "synthetic_frac": 0.1})
    begin_run(settings)
    assert main(["train", "muscles", "--results", str(settings.out_path)]) == 0
    ((plan, out),) = calls
    assert (plan.sheet, plan.values) == (Path(sheets["cohort_sheet"]), Path(sheets["label_sheet"]))
    assert plan.start in {entry.identifier for entry in list_models() if entry.task == "muscles"}
    assert (plan.name, plan.synthetic_frac) == ("ours", 0.1)
    assert [phase.steps for phase in plan.phases] == [30]
    assert out == settings.out_path / "train" / "muscles"
    assert "Jane" not in (settings.out_path / RUN_CONFIG).read_text()
    assert set(sheets.values()) <= set(hidden_paths(settings))
    assert passed_on(["train={}", "out=x"], settings) == ["out=x"]
    before = train_params(settings)
    assert "Jane" not in str(before)
    (tmp_path / "Jane.tsv").write_text("image\n")
    assert train_params(settings) != before
    assert trained_tasks(settings) == ["muscles"]


def test_without_a_cohort_the_shipped_models_are_made(calls: list[tuple[Any, ...]], tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    begin_run(settings)
    assert trained_tasks(settings) == ["muscles", "spine"]
    assert main(["train", "spine", "--results", str(settings.out_path)]) == 0
    assert calls == [("spine", settings.out_path / "train" / "spine", {"steps": None, **CPU})]
