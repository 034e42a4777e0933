"""The command line: arguments in, one line and an exit code out."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from dicom_factory import save, series, settings_for

from paraspinal.cli.main import DATA_ERROR_EXIT, main
from paraspinal.cohort.running.engine import _failure
from paraspinal.core import errors
from paraspinal.core.errors import ParaspinalError, error_line
from paraspinal.core.paths import PROJECT
from paraspinal.core.records.schemas import INVENTORY
from paraspinal.stages.ingest import ingest


def kinds() -> list[type[ParaspinalError]]:
    return [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, ParaspinalError)]


def test_every_kind_of_error_has_an_exit_code_of_its_own_and_the_manual_says_it() -> None:
    codes = [kind.exit_code for kind in kinds() if kind.__base__ is ParaspinalError] + [DATA_ERROR_EXIT]
    assert len(set(codes)) == len(codes)
    assert not {0, 2, 130} & set(codes)
    manual = (PROJECT / "config" / "README.md").read_text()
    said = {int(code) for code in re.findall(r"^\| (\d{1,2}) \|", manual, re.MULTILINE)}
    assert said == {kind.exit_code for kind in kinds() if kind is not ParaspinalError} | {DATA_ERROR_EXIT}


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["run", "nowhere"], 4, "does not exist"),
        (["run", ".", "--set", "shard_size"], 3, "KEY=VALUE"),
        (["run", ".", "--set", "shard_size=none"], 3, "shard_size"),
        (["run", ".", "--config", "none.yaml"], 3, "cannot be read"),
        (["status", "--out", "nowhere"], 4, "nothing has been run"),
        (["status", "--watch", "--out", "nowhere"], 4, "nothing has been run"),
        (["why", "x", "--out", "nowhere"], 4, "nothing has been run"),
        (["plan", "--out", "nowhere"], 3, "run_config"),
        (["plan", "--model", "x"], 3, "NAME@VERSION"),
        (["inventory", "--out", "nowhere"], 4, "no inventory"),
        (["inventory", "nowhere"], 4, "does not exist"),
        (["inventory", ".", "--export", "list.xlsx"], 3, "format"),
        (["stage", "convert", "--shard", "1"], 3, "run_config"),
        (["export", "x.xlsx"], 3, "format"),
        (["export", "x.csv", "--table", "none"], 3, "no such table"),
        (["export", "x.csv", "--scheme", "none at all"], 3, "no such scheme"),
        (["export", "x.csv", "--out", "nowhere"], 4, "missing"),
        (["segment", "none.nii.gz", "--model", "muscles", "--out", "x.nii.gz"], 4, "does not exist"),
        (["evaluate", "--data", "nowhere"], 4, "labelled"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    word: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    said = capsys.readouterr().err
    assert word in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_cannot_be_processed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "flat.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((8, 64, 64), np.float32)), str(path))
    assert main(["segment", str(path), "--model", "muscles", "--out", str(tmp_path / "x.nii.gz")]) == DATA_ERROR_EXIT
    assert "CONSTANT_IMAGE" in capsys.readouterr().err
    assert not (tmp_path / "x.nii.gz").exists()


def test_an_image_is_outlined_on_its_grid(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.random.default_rng(0).uniform(0, 100, (4, 48, 56)).astype(np.float32))
    image.SetSpacing((3.0, 2.5, 6.0))
    image.SetOrigin((-80.0, 10.0, 3.0))
    sitk.WriteImage(image, str(tmp_path / "i.nii.gz"))
    assert main(["segment", str(tmp_path / "i.nii.gz"), "--model", "muscles", "--out", str(tmp_path / "o.nii.gz")]) == 0
    labels = sitk.ReadImage(str(tmp_path / "o.nii.gz"))
    assert labels.GetPixelID() == sitk.sitkUInt16
    assert labels.GetSize() == image.GetSize()
    assert labels.GetOrigin() == pytest.approx(image.GetOrigin())
    assert labels.GetSpacing() == pytest.approx(image.GetSpacing())


def look(tmp_path: Path, *more: str) -> int:
    """`paraspinal inventory` on two people, one of them with a localizer and a text file."""
    if not (tmp_path / "in").exists():
        save(series(), tmp_path / "in" / "1")
        save(series(PatientID="P2"), tmp_path / "in" / "2")
        save(series(3, PatientID="P2", SeriesNumber=6, SeriesDescription="localizer"), tmp_path / "in" / "3")
        (tmp_path / "in" / "README").write_text("hello")
    options = ["--out", str(tmp_path / "results"), "--set", f"private_dir={tmp_path / 'private'}"]
    return main(["inventory", str(tmp_path / "in"), *options, "--set", "ingest.workers=1", *more])


def test_inventory_is_a_table_people_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert look(tmp_path) == 0
    said = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "16 files: 2 people, 2 visits, 4 stacks" in said
    assert "T2-weighted axial 6 2 2 2 12" in said
    assert "LOCALIZER localizer 1 1 1 3" in said
    assert "NOT_AN_IMAGE not an image file 1 0 0 1" in said
    assert "lumbar 2 2 2 12" in said
    assert "Siemens skyra 3 T 2 2 2 12" in said


def test_inventory_writes_nothing_and_spares_the_run_the_reading(tmp_path: Path) -> None:
    assert look(tmp_path) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"in", "private"}
    assert ingest(settings_for(tmp_path)).n_read == 0


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet"])
def test_inventory_is_exported(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"list{ending}"
    assert look(tmp_path, "--export", str(path)) == 0
    readers = {".csv": pd.read_csv, ".tsv": partial(pd.read_csv, sep="\t"), ".parquet": pd.read_parquet}
    found = readers[ending](path)
    assert list(found.columns) == list(INVENTORY.names)
    assert sorted(found.n_files) == [1, 3, 6, 6]
    size = found.query("reason_code == 'LOCALIZER'")["size"].iloc[0]
    assert list(json.loads(size) if isinstance(size, str) else size) == [16, 12, 3]


def test_inventory_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    look(tmp_path)
    before = capsys.readouterr().out
    ingest(settings_for(tmp_path))
    assert main(["inventory", "--out", str(tmp_path / "results")]) == 0
    assert capsys.readouterr().out == before


@pytest.mark.parametrize("hint", ["", "do this - or that"])
def test_an_error_of_a_job_is_the_error_of_the_run(tmp_path: Path, hint: str) -> None:
    log = tmp_path / "logs" / "convert" / "shard-00001.log"
    log.parent.mkdir(parents=True)
    log.write_text("some line\n" + error_line(7, "the folder is in use", hint) + "\n")
    error = _failure(tmp_path, 0.0, 1)
    assert (error.exit_code, error.message, error.hint) == (7, "the folder is in use", hint)
    log.write_text("Killed\n")
    assert _failure(tmp_path, 0.0, 1).exit_code == 9
