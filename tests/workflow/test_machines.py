"""Runs on machines of other people, and a job that the system kills."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from .conftest import Study

pytestmark = pytest.mark.workflow


def test_a_run_is_unmoved_by_foreign_packages_braces_and_a_home_that_is_not_its_own(
    finished: Study, tmp_path: Path
) -> None:
    """Files named like packages stand in the working folder, the results and a module of the cluster."""
    study = finished.clone(tmp_path / "a {study} of 'ours'")
    module = tmp_path / "module"
    module.mkdir()
    for folder in (module, study.root, study.results):
        for name in ("yaml", "numpy", "snakemake"):
            (folder / f"{name}.py").write_text('raise SystemExit("a foreign module was run")')
    shutil.rmtree(study.results / "shards" / "quality")
    path = os.pathsep.join([str(module), study.environment["PYTHONPATH"]])
    options = ["--set", f"private_dir={tmp_path / 'private'}", "--set", "shard_size=2"]
    shutil.copytree(study.root / "private", tmp_path / "private", copy_function=shutil.copy2)
    done = subprocess.run(
        [*study.command, *options],
        env={**study.environment, "PYTHONPATH": path, "HOME": "/proc"},
        cwd=study.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + study.engine_log()
    assert "quality" in study.executed()
    assert (tmp_path / "private" / "cache" / "snakemake").is_dir()
    assert len(list((study.results / "logs" / "earlier").iterdir())) == 1
    assert len(list((study.results / "runs").iterdir())) == 2


def test_a_killed_job_is_named_by_the_run_and_by_status(study: Study) -> None:
    shutil.rmtree(study.results / "receipts" / "segment")
    shutil.rmtree(study.results / "shards" / "segment")
    run = subprocess.Popen(
        [*study.command, *study.options],
        env=study.environment, cwd=study.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while run.poll() is None:
        for number in segment_jobs_at_a_visit(study):
            os.kill(number, signal.SIGKILL)
        time.sleep(0.02)
    said = run.communicate()[1].splitlines()[-1]
    killed = r"segment, shard [12]: killed at sub-.+, probably out of memory"
    assert run.returncode == 9
    assert re.search(killed, said)
    command = [sys.executable, "-m", "paraspinal", "status", "--out", str(study.results)]
    status = subprocess.run(command, env=study.environment, capture_output=True, text=True, check=True).stdout
    assert len(re.findall(killed, status)) == 2


def segment_jobs_at_a_visit(study: Study) -> list[int]:
    """Processes of the jobs that have begun with a visit."""
    found = []
    for shard in (1, 2):
        words = f"\0stage\0segment\0--shard\0{shard:05}\0".encode()
        if not units_at_work(study, shard):
            continue
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                is_ours = (path / "cwd").resolve() == study.results.resolve()
                if is_ours and words in (path / "cmdline").read_bytes():
                    found.append(int(path.name))
    return found


def units_at_work(study: Study, shard: int) -> bool:
    """Whether the job of a shard has begun with a visit, by the file it notes that in."""
    path = study.results / "receipts" / "segment" / f".{shard}.lock"
    return path.exists() and "+sub-" in path.read_text()
