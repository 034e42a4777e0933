"""What cannot run says so in one line, with its own exit code, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from paraspinal.models.training.muscles_card import NAME, VERSION

pytestmark = pytest.mark.workflow


def paraspinal(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paraspinal", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, word: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert word in done.stderr
    assert "hint" in done.stderr


def test_missing_folder(tmp_path: Path) -> None:
    done = paraspinal("run", str(tmp_path / "Doe_Jane"), "--out", str(tmp_path / "out"), cwd=tmp_path)
    assert_one_line(done, 4, "does not exist")
    assert "Jane" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "dicom" / "nested").mkdir(parents=True)
    done = paraspinal("run", "dicom", "--out", "out", cwd=tmp_path)
    assert_one_line(done, 4, "no files")
    assert not (tmp_path / "out").exists()


def test_no_folder(tmp_path: Path) -> None:
    assert_one_line(paraspinal("run", cwd=tmp_path), 4, "no input")


def test_misspelt_key(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("shard_sise: 3\n")
    (tmp_path / "dicom").mkdir()
    done = paraspinal("run", "dicom", "--config", "my.yaml", "--out", "out", cwd=tmp_path)
    assert_one_line(done, 3, "shard_sise")
    assert not (tmp_path / "out").exists()


def test_misspelt_key_with_the_engines_own_command(tmp_path: Path) -> None:
    from paraspinal.core.paths import SNAKEFILE

    command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--cores", "1"]
    command += ["--config", "shard_sise=3", f"out={tmp_path / 'out'}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "shard_sise" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("harm", ["missing", "altered", "unknown"])
def test_models_that_cannot_be_trusted(tmp_path: Path, harm: str) -> None:
    import shutil

    from paraspinal.core.paths import RESOURCES

    shutil.copytree(RESOURCES, tmp_path / "resources")
    weights = next((tmp_path / "resources" / "models" / "muscles").rglob("*.safetensors"))
    model = f"{NAME}@{VERSION}"
    if harm == "missing":
        weights.unlink()
    elif harm == "altered":
        weights.write_bytes(weights.read_bytes() + b"\0")
    else:
        model = "muscles@9.9.9"
    (tmp_path / "dicom").mkdir()
    (tmp_path / "dicom" / "a.dcm").write_bytes(b"x")
    options = ["--set", f"segment.models_folder={tmp_path / 'resources'}", "--set", f"segment.muscles_model={model}"]
    done = paraspinal("run", "dicom", "--out", "out", *options, cwd=tmp_path)
    assert_one_line(done, 5, "muscles@")
    assert not (tmp_path / "out").exists()


def test_a_results_folder_in_use_is_refused(tmp_path: Path) -> None:
    from paraspinal.cohort.running.runs import run_lock

    (tmp_path / "dicom").mkdir()
    (tmp_path / "dicom" / "a.dcm").write_bytes(b"x")
    (tmp_path / "out").mkdir()
    with run_lock(tmp_path / "out"):
        done = paraspinal("run", "dicom", "--out", "out", cwd=tmp_path)
    assert_one_line(done, 7, "in use by process")
