"""A stage is computed again for what it uses, and for nothing else: on a finished study, without the engine."""

from __future__ import annotations

import os
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from paraspinal.cohort.asking.rerun_estimate import forecast
from paraspinal.cohort.running.jobs import run_job
from paraspinal.cohort.running.plan import SHARD_STAGES
from paraspinal.cohort.running.runs import settings_of
from paraspinal.cohort.running.staleness import due, set_times_right
from paraspinal.core.records.registry import shard_path
from paraspinal.core.records.schemas import SESSION_STACKS
from paraspinal.core.records.seals import write_seal

pytestmark = pytest.mark.workflow


def other(value: Any) -> Any:
    """Another value of the same kind."""
    return "another" if value is None or isinstance(value, str) else value + 1


@pytest.mark.parametrize("name", ["age_years", "sex", "site", "sequence_evidence", "series_number", "scanner_model"])
def test_what_the_networks_do_not_see_segments_nothing(results: Path, name: str) -> None:
    settings = settings_of(results)
    for shard in (1, 2):
        path = shard_path(results, "ingest", shard)
        SESSION_STACKS.write(path, [{**row, name: other(row[name])} for row in SESSION_STACKS.read(path)])
        write_seal(results, "ingest", shard, [path])
    planned = {found.stage: found for found in forecast(results, settings)}
    assert planned["segment"].compute == 0
    for shard in (1, 2):
        for stage in ("convert", "harmonize", "segment"):
            said = run_job(stage, results, shard)
        assert said.startswith(f"segment shard {shard}: 0 computed, {(4, 2)[shard - 1]} reused")


@pytest.mark.parametrize(("package", "stale"), [("torch", {"segment"}), ("pandas", set())])
def test_an_update_computes_again_what_the_package_computes(
    results: Path, monkeypatch: pytest.MonkeyPatch, package: str, stale: set[str]
) -> None:
    settings, version = settings_of(results), metadata.version
    assert all(found.compute == found.maybe == 0 for found in forecast(results, settings))
    monkeypatch.setattr(metadata, "version", lambda name: "99" if name == package else version(name))
    found = {found.stage: found for found in forecast(results, settings)}
    assert {name for name in SHARD_STAGES if found[name].compute} == stale
    assert {name: found[name].compute for name in stale} == dict.fromkeys(stale, 6)


def test_no_table_is_of_a_time_to_come(results: Path) -> None:
    """The engine takes what is made of one now for the work of a wrong clock, and stops."""
    tables = sorted((results / "shards").rglob("*.parquet"))
    for days, path in enumerate(tables):
        os.utime(path, (time.time() + (10 - days) * 86_400,) * 2)
    set_times_right(results, due(results, settings_of(results)))
    assert max(path.stat().st_mtime for path in tables) <= time.time()
