"""The command line: arguments in, one line and an exit code out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from paraspinal.cli.main import DATA_ERROR_EXIT, main
from paraspinal.cohort.engine import _failure
from paraspinal.core import errors
from paraspinal.core.errors import ParaspinalError, error_line
from paraspinal.core.registry import INVENTORY_PATH
from paraspinal.core.schemas import INVENTORY


def exit_codes() -> list[int]:
    return [c.exit_code for c in vars(errors).values() if isinstance(c, type) and issubclass(c, ParaspinalError)]


def test_every_error_has_an_exit_code_of_its_own() -> None:
    codes = [*exit_codes(), DATA_ERROR_EXIT]
    assert len(set(codes)) == len(codes)
    assert not {0, 2, 130} & set(codes)


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["run", "nowhere"], 4, "does not exist"),
        (["run", ".", "--set", "shard_size"], 3, "KEY=VALUE"),
        (["run", ".", "--set", "shard_size=none"], 3, "shard_size"),
        (["run", ".", "--config", "none.yaml"], 3, "cannot be read"),
        (["status", "--out", "nowhere"], 4, "nothing has been run"),
        (["inventory", "--out", "nowhere"], 4, "no inventory"),
        (["stage", "convert", "--shard", "1"], 3, "run_config"),
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


def test_inventory_is_a_table_people_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = {"stack_id": "a", "subject": "p", "session": "s", "source": "dicom", "n_files": 7, "plane": "axial"}
    stack |= {"sequence": "T2w", "is_fat_suppressed": False, "decided_by": "ingest", "status": "ok"}
    INVENTORY.write(tmp_path / INVENTORY_PATH, [stack])
    assert main(["inventory", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "T2w axial" in said
    assert said.split()[-4:] == ["1", "1", "1", "7"]


@pytest.mark.parametrize("hint", ["", "do this - or that"])
def test_an_error_of_a_job_is_the_error_of_the_run(tmp_path: Path, hint: str) -> None:
    log = tmp_path / "logs" / "convert" / "shard-00001.log"
    log.parent.mkdir(parents=True)
    log.write_text("some line\n" + error_line(7, "the folder is in use", hint) + "\n")
    error = _failure(tmp_path, 0.0, 1)
    assert (error.exit_code, error.message, error.hint) == (7, "the folder is in use", hint)
    log.write_text("Killed\n")
    assert _failure(tmp_path, 0.0, 1).exit_code == 9
