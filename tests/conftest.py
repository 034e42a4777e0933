"""What all tests share: one thread per process, long files first, and what is made once for all workers."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# Before numpy is imported. The tests, and all they start, run side by side: a pool of threads each would only spin.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# A drawn example may take long where other tests keep the processor busy.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

TESTS = Path(__file__).parent
LONG_FILES = (
    "workflow/test_runs.py",
    "integration/test_demo_truth.py",
    "workflow/test_catalogue.py",
    "workflow/test_canary.py",
    "workflow/test_robustness.py",
    "workflow/test_plan.py",
    "workflow/test_profiles.py",
    "integration/test_real_tree.py",
    "integration/test_real_dixon.py",
)
"""Files of minutes. They start first, so that the workers end together; the first makes what others wait for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files, other runs of the workflow, the rest (`--no-loadscope-reorder` keeps xdist from its own order)."""
    rank = {TESTS / name: place for place, name in enumerate(LONG_FILES)}

    def place(item: pytest.Item) -> int:
        return rank.get(item.path, len(rank) + (item.get_closest_marker("workflow") is None))

    items.sort(key=place)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first worker in need of it fills, while others wait; not to be changed."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one run of the demo: its DICOM and private folder lie in `demo`, its results in `out`; not to be changed."""
    return made_once(tmp_path_factory, "whole-demo", _run_demo)


def _run_demo(root: Path) -> None:
    command = [sys.executable, "-m", "paraspinal", "demo", "--folder", str(root / "demo"), "--out", str(root / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for words in ("report:", "tables:", "make run DICOM="):
        assert words in done.stdout
