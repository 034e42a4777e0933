"""What is done and what is not, from the registry, shard tables and progress notes alone."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from paraspinal.cohort.plan import SHARD_STAGES
from paraspinal.core.registry import INGEST_PROGRESS, Registry, shard_path
from paraspinal.core.shards import progress_path


@dataclass(frozen=True)
class StageStatus:
    """How far a stage is: sessions done of all, and items of its finished shards by status and by reason."""

    stage: str
    done: int
    total: int
    items: Counter[str]
    reasons: Counter[str]


def header_pass(results: Path) -> str:
    """Say how far a running header pass is, in a few words; empty when there is none."""
    try:
        found = json.loads((results / INGEST_PROGRESS).read_text())
        rate = found["read"] / max(1.0, found["seconds"])
        return f"{found['files']:,} files found, {found['read']:,} read, {rate:,.0f} a second"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def status(results: Path) -> list[StageStatus]:
    """Read the state of every shard stage; an empty results folder gives zero totals."""
    shards = Counter(Registry.read(results).shards.values())
    return [_stage(results, stage, shards) for stage in SHARD_STAGES]


def _stage(results: Path, stage: str, shards: Counter[int]) -> StageStatus:
    done = 0
    items: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for shard, sessions in shards.items():
        table = shard_path(results, stage, shard)
        if table.exists():
            found = pq.read_table(table, columns=["status", "reason_code"])
            items.update(found["status"].to_pylist())
            reasons.update(code for code in found["reason_code"].to_pylist() if code)
            done += sessions
        else:
            done += int(sessions * _share_done(progress_path(results, stage, shard)))
    return StageStatus(stage, done, sum(shards.values()), items, reasons)


def _share_done(path: Path) -> float:
    try:
        found = json.loads(path.read_text())
        return float(found["done"]) / max(1.0, float(found["total"]))
    except (OSError, ValueError, KeyError):
        return 0.0
