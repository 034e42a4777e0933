"""The simulated cohort of the benchmark is what the stages would leave: aggregation accepts it whole."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from simulated import FI_METHODS, LEVELS, N_SLICES, SCANS, SERIES, SHARD_SIZE, n_rows, simulate

from paraspinal.cohort.tables import aggregate as module
from paraspinal.cohort.tables.aggregate import aggregate
from paraspinal.core.records.registry import Registry
from paraspinal.core.settings import FailureLimitSettings

SESSIONS = 70


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cohort")
    simulate(root, SESSIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROW_GROUP_ROWS", 20_000)
        aggregate(root, FailureLimitSettings())
    return root


def test_every_row_is_there(cohort: Path) -> None:
    found = n_rows(cohort)
    assert found["inventory"] == SESSIONS * len(SERIES)
    assert found["scans"] == SESSIONS * len(SCANS)
    assert found["levels"] == SESSIONS * len(FI_METHODS) * len(LEVELS)
    assert found["metrics"] == SESSIONS * len(FI_METHODS) * len(LEVELS) * 8 * 2
    assert found["slices"] == SESSIONS * len(FI_METHODS) * 8 * N_SLICES
    participants = pd.read_parquet(cohort / "tables" / "participants.parquet")
    assert participants["n_visits"].sum() == SESSIONS
    assert participants["n_visits"].max() == 2


def test_a_row_group_holds_whole_shards_and_no_session_is_split(cohort: Path) -> None:
    shards = Registry.read(cohort).shards
    assert max(shards.values()) == -(-SESSIONS // SHARD_SIZE)
    with pq.ParquetFile(cohort / "tables" / "metrics.parquet") as file:
        assert file.num_row_groups > 1
        sessions = [
            set(file.read_row_group(k, columns=["session"])["session"].to_pylist()) for k in range(file.num_row_groups)
        ]
    assert sum(map(len, sessions)) == SESSIONS
    for group in sessions:
        numbers = {shards[key] for key in shards if key[1] in group}
        assert group == {session for (_, session), shard in shards.items() if shard in numbers}


def test_people_differ(cohort: Path) -> None:
    metrics = pd.read_parquet(cohort / "tables" / "metrics.parquet", columns=["session", "acsa_mm2"])
    assert metrics.groupby("session")["acsa_mm2"].mean().nunique() == SESSIONS
