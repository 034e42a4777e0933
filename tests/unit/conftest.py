"""What several unit tests share: a simulated cohort, made once."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from paraspinal.core.paths import PROJECT

sys.path.insert(0, str(PROJECT / "benchmarks"))

SIMULATED_SESSIONS = 40


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of forty simulated sessions in two shards; not to be changed."""
    from simulated import simulate

    root = tmp_path_factory.mktemp("simulated") / "results"
    simulate(root, SIMULATED_SESSIONS)
    return root


@pytest.fixture
def results(simulated: Path, tmp_path: Path) -> Path:
    """A copy of them of one's own."""
    return Path(shutil.copytree(simulated, tmp_path / "results"))
