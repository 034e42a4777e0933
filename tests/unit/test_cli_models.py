"""`paraspinal models`, and the workflow with a model of one's own: confirmed by name, known by hash."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_factory import run, save, series, settings_for
from foreign_factory import bundle_folder, lumpy_image, nnunet_folder
from stage_runs import rows_after, run_stage

from paraspinal.cli.main import main
from paraspinal.core.imaging.images import read_image, write_image
from paraspinal.core.records.tables import Row
from paraspinal.models.registry import find, list_models
from paraspinal.stages import convert, harmonize, segment

MAP = "model_label\tlabel\nES_R\terector_spinae_right\nMF_R\tmultifidus_right\nMF_L\tmultifidus_left\nES_L\t\n"


def add(tmp_path: Path, *options: str, name: str = "theirs@1.0.0") -> int:
    source = tmp_path / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    if not source.exists():
        nnunet_folder(tmp_path)
    return main(["models", "add", str(source), "--name", name, "--folder", str(tmp_path / "m"), *options])


def test_a_map_needs_no_question(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "map.tsv").write_text(MAP)
    assert add(tmp_path, "--map", str(tmp_path / "map.tsv"), "--licence", "CC0-1.0") == 0
    said = capsys.readouterr().out
    entry = find("theirs@1.0.0", tmp_path / "m")
    assert entry.sha256 in said
    assert "becomes background: ES_L" in said
    assert "muscles_model: theirs@1.0.0" in said
    assert entry.licence == "CC0-1.0"
    assert main(["models", "list", "--folder", str(tmp_path / "m")]) == 0
    listed = capsys.readouterr().out
    assert "theirs@1.0.0" in listed
    assert "nnunet" in listed
    assert all(entry.identifier in listed for entry in list_models())  # shipped models stay at hand
    assert main(["models", "show", "theirs@1.0.0", "--folder", str(tmp_path / "m")]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["training"]["labels_of_the_source"]["ES_L"] is None
    assert [label["code"] for label in card["labels"]] == [None, 5112, 5102, 5101, None]


def test_yes_is_for_exact_names_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert add(tmp_path, "--yes") == 5
    assert "ES_R" in capsys.readouterr().err
    folder = bundle_folder(tmp_path)
    command = ["models", "add", str(folder), "--name", "bundle@1.0.0", "--folder", str(tmp_path / "m"), "--yes"]
    assert main(command) == 5  # the spleen is not in the registry
    assert "spleen" in capsys.readouterr().err
    labels = {"background": 0, "multifidus_left": 1, "multifidus_right": 2}
    exact = nnunet_folder(tmp_path / "exact", labels=labels)
    command = ["models", "add", str(exact), "--name", "exact@1.0.0", "--folder", str(tmp_path / "m"), "--yes"]
    assert main(command) == 0
    assert [e.identifier for e in list_models(tmp_path / "m")] == ["exact@1.0.0"]


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("", 5), ("n", 5)])
def test_a_person_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert add(tmp_path) == code
    assert bool(list_models(tmp_path / "m")) == (code == 0)


def test_without_anybody_to_ask_nothing_is_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    assert add(tmp_path) == 5
    assert "--map" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["theirs", "theirs@1", "The irs@1.0.0", "../x@1.0.0", list_models()[0].identifier])
def test_names_are_well_formed_and_free(tmp_path: Path, name: str) -> None:
    (tmp_path / "map.tsv").write_text(MAP)
    assert add(tmp_path, "--map", str(tmp_path / "map.tsv"), name=name) == 5
    assert list_models(tmp_path / "m") == ()


def test_shipped_models_are_not_added_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "map.tsv").write_text(MAP)
    source = nnunet_folder(tmp_path)
    command = ["models", "add", str(source), "--name", "theirs@1.0.0", "--map", str(tmp_path / "map.tsv")]
    assert main(command) == 5
    assert "shipped" in capsys.readouterr().err


def test_a_single_image_is_outlined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "map.tsv").write_text(MAP)
    add(tmp_path, "--map", str(tmp_path / "map.tsv"))
    write_image(lumpy_image(), tmp_path / "image.nii.gz")
    out = tmp_path / "labels.nii.gz"
    folder = ["--folder", str(tmp_path / "m")]
    assert main(["segment", str(tmp_path / "image.nii.gz"), "--model", "theirs", "--out", str(out), *folder]) == 0
    assert read_image(out).GetSize() == lumpy_image().GetSize()


def segmented(base: Path, model: str) -> list[Row]:
    over = {"segment": {"models_folder": str(base / "m"), "muscles_model": model}}
    settings = settings_for(base, **over)
    run_stage(segment.STAGE, settings)
    return rows_after("segment", settings)


def test_the_road_runs_with_it_and_knows_when_it_changes(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(1, 4000, (9, 6, 7)).repeat(8, axis=1).repeat(8, axis=2)
    items = []
    for number, picture in enumerate(pictures):
        items += series(1, origin=(-20.0, -20.0, 5.0 * number), first=number + 1, seed=1, pixel_array=picture)
    save(items, tmp_path / "in")
    run(tmp_path)
    settings = settings_for(tmp_path)
    run_stage(convert.STAGE, settings)
    run_stage(harmonize.STAGE, settings)
    (tmp_path / "map.tsv").write_text(MAP)
    add(tmp_path, "--map", str(tmp_path / "map.tsv"))
    add(tmp_path, "--map", str(tmp_path / "map.tsv"), "--orientation", "LPS", name="theirs@1.1.0")
    (first,) = segmented(tmp_path, "theirs@1.0.0")
    assert (first["status"], first["reason_code"]) == ("warn", "SEG_PARTIAL")
    assert (first["model"], first["model_sha256"]) == ("theirs@1.0.0", find("theirs@1.0.0", tmp_path / "m").sha256)
    assert {entry["label"] for entry in first["label_disagreement"]} <= {5101, 5102, 5112}
    (again,), (other,) = segmented(tmp_path, "theirs@1.0.0"), segmented(tmp_path, "theirs@1.1.0")
    assert again == first
    assert other["activity_id"] != first["activity_id"]
    assert other["model_sha256"] != first["model_sha256"]
