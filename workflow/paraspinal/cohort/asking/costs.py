"""What a unit of work costs, from what was measured when it was last done."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from paraspinal.cohort.running.plan import SHARD_STAGES, stage
from paraspinal.core.errors import DamagedError
from paraspinal.core.paths import PROJECT
from paraspinal.core.records.receipts import UNITS, units_path
from paraspinal.core.records.registry import Registry
from paraspinal.core.records.stage import session_of

BENCHMARK = PROJECT / "benchmarks" / "demo.json"
"""Seconds per unit on the demo, for a cohort that has measured nothing yet."""
LOOKED_AT = 20
"""Shards that are looked at, spread over the cohort; their mean is close enough to plan by."""


@dataclass(frozen=True)
class Cost:
    """Mean seconds of a unit of work, how many were looked at, and units per session."""

    seconds: float
    n_units: int
    units_per_session: float

    @property
    def is_measured(self) -> bool:
        """Whether it comes from this cohort, and not from the demo."""
        return self.n_units > 0


def costs(results: Path) -> dict[str, Cost]:
    """Cost of a unit of every shard stage."""
    numbers = Registry.read(results).shard_numbers
    some = numbers[:: max(1, len(numbers) // LOOKED_AT)]
    return {name: _cost(results, name, some) for name in SHARD_STAGES}


def seconds_per_session(results: Path) -> dict[str, float]:
    """Seconds every shard stage takes for a session."""
    return {name: found.seconds * found.units_per_session for name, found in costs(results).items()}


def _cost(results: Path, name: str, shards: list[int]) -> Cost:
    seconds, n_units, n_sessions = 0.0, 0, 0
    for path in (units_path(results, name, shard) for shard in shards):
        with suppress(FileNotFoundError, DamagedError):
            found = UNITS.read_arrow(path, ["unit", "wall_seconds"])
            seconds += pc.sum(found["wall_seconds"]).as_py() or 0.0
            n_units += len(found)
            n_sessions += len({session_of(unit) for unit in found["unit"].to_pylist()})
    if n_units:
        return Cost(seconds / n_units, n_units, n_units / n_sessions)
    demo = _demo()
    per_session = demo[name]["units"] / demo["convert"]["units"] if stage(name).is_per_row else 1.0
    return Cost(demo[name]["median_seconds"], 0, per_session)


def _demo() -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(BENCHMARK.read_text(encoding="utf-8"))["stages"]
    return found
