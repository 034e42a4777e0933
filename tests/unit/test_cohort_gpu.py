"""A GPU asked for and absent: refused before anything is computed, but only where that can be known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from dicom_factory import settings_for
from rich.console import Console

from paraspinal.cohort.running.engine import run_workflow
from paraspinal.cohort.running.gpu import check_gpu
from paraspinal.core.errors import ModelError
from paraspinal.core.paths import PROJECT

PROFILES = PROJECT / "workflow" / "profiles"


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)


def test_a_run_is_refused_before_its_first_file(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "file").write_text("x")
    settings = settings_for(tmp_path, input=str(tmp_path / "input"), segment={"device": "cuda"})
    with pytest.raises(ModelError, match="no usable GPU"):
        run_workflow(settings, None, None, [], Console())
    assert not settings.out_path.exists()
    assert not settings.private_path.exists()


@pytest.mark.parametrize(
    ("profile", "more", "is_refused"),
    [
        (None, (), True),
        ("local", (), True),
        ("local", ("--executor", "local"), True),
        (None, ("--keep-going", "-p"), True),
        ("slurm", (), False),
        ("cluster-generic", (), False),
        ("kubernetes", (), False),
        (None, ("--executor", "slurm"), False),
        (None, ("-e", "slurm"), False),
        (None, ("--sdm=apptainer",), False),
        ("local", ("--software-deployment-method", "conda"), False),
        (None, ("--profile", "ours"), False),
    ],
)
def test_where_jobs_run_elsewhere_nothing_can_be_known(
    tmp_path: Path, profile: str | None, more: tuple[str, ...], is_refused: bool
) -> None:
    settings = settings_for(tmp_path, segment={"device": "cuda"})
    folder = PROFILES / profile if profile else None
    if is_refused:
        with pytest.raises(ModelError, match="no usable GPU"):
            check_gpu(settings, folder, more)
    else:
        check_gpu(settings, folder, more)


def test_a_cpu_run_does_not_pay_for_torch() -> None:
    code = (
        "import sys; from paraspinal.cohort.running.gpu import check_gpu; "
        "from paraspinal.core.settings import load_settings, read_config; "
        "check_gpu(load_settings(read_config(None, {})), None, ()); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
