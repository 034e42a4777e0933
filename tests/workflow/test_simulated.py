"""The real Snakefile takes the simulated cohort of the benchmark for its own: nothing to do, then what is new."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paraspinal.cohort.running.plan import SHARD_STAGES
from paraspinal.core.paths import PROJECT

sys.path.insert(0, str(PROJECT / "benchmarks"))
from scale import engine, simulated
from simulated import add_sessions

pytestmark = pytest.mark.workflow

SESSIONS, NEW = 40, 30


def test_it_plans_to_nothing_and_new_sessions_to_their_shards(tmp_path: Path) -> None:
    simulated(tmp_path, SESSIONS)
    results = tmp_path / "results"
    assert engine(results, "--dry-run")["jobs"] == 0
    assert len(list((results / ".snakemake" / "metadata").iterdir())) > 2 * len(SHARD_STAGES)
    add_sessions(results, NEW)
    # The shard of 8 is filled to 32 and the rest goes into another; then aggregate, report and the target itself.
    assert engine(results, "--dry-run")["jobs"] == 2 * len(SHARD_STAGES) + 3
