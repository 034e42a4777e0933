"""What a run would compute under other settings, with other models or new input, and why; computes and writes nothing.

The forecast follows the stages as the run would. A unit of work is computed when the recipe of its stage, or the rows
it reads, differ from those of its receipt, or when a file it wrote is gone or damaged. What a stage will write is not
known before it has run: where the rows a unit reads are made again they may come out the same, and then it is reused.
Such units are counted apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from paraspinal.cohort.asking.evidence import FOLLOWS, LEFT, UNFINISHED, Evidence
from paraspinal.cohort.running.plan import SHARD_STAGES, stage
from paraspinal.core.records.receipts import Activity
from paraspinal.core.records.registry import Registry, Session
from paraspinal.core.records.tables import Row
from paraspinal.core.records.views import is_readable
from paraspinal.core.settings import Settings


@dataclass
class Forecast:
    """What one stage would do: units of work by what becomes of them, and the reasons."""

    stage: str
    compute: int = 0
    maybe: int = 0
    """Units whose input is made again: reused where it comes out the same."""
    reuse: int = 0
    unseen: int = 0
    """Visits whose scans are not known yet, because no stage has looked at them."""
    shards: dict[int, str] = field(default_factory=dict)
    """Shards the stage has something of its own to do in, and the first reason."""
    jobs: int = 0
    """Shards with a job to run: these, and those that follow from earlier stages."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Units that are computed, by reason."""


def forecast(
    results: Path,
    settings: Settings,
    seen: Mapping[int, list[Row]] | None = None,
    *,
    must_hash: bool = False,
    with_artifacts: bool = True,
) -> list[Forecast]:
    """Say for every shard stage what a run with these settings would compute and reuse.

    ``seen`` are the rows of every shard as a look at the input has just found them; without it the input is taken to
    be what ingest last saw. Artifacts are known by size and time, with ``must_hash`` by their content, and not
    looked at without ``with_artifacts``.
    """
    found = [Forecast(name) for name in SHARD_STAGES]
    recipes = {name: stage(name).recipe(settings) for name in SHARD_STAGES}
    members: dict[int, set[Session]] = {}
    for session, shard in Registry.read(results).shards.items():
        members.setdefault(shard, set()).add(session)
    for shard in seen or members:
        look = must_hash if with_artifacts else None
        readable = cache(partial(is_readable, results, shard=shard))  # several stages read the same table
        stages = [Evidence(stage(name), results, settings, shard, look, readable) for name in SHARD_STAGES]
        stages[0].seen = seen[shard] if seen else None
        _follow(shard, stages, recipes, members.get(shard, set()), found)
    return found


def _follow(
    shard: int,
    stages: list[Evidence],
    recipes: Mapping[str, Activity],
    members: set[Session],
    found: list[Forecast],
) -> None:
    """Follow one shard through the stages and add what it would do to the sums."""
    made: dict[str, bool] = {}
    unseen: set[Session] = set()
    is_running = False
    for evidence, total in zip(stages, found, strict=True):
        unseen = unseen | evidence.unseen(members)
        units = [unit for unit in evidence.units(recipes[total.stage], made) if not unit.sessions & unseen]
        done_before = evidence.known_units(unseen)
        changing = [unit for unit in units if unit.reason]
        certain = Counter(unit.reason or "" for unit in changing if unit.is_certain)
        own = [reason for reason in certain if reason != FOLLOWS]
        if own or evidence.has_left or not evidence.is_finished:
            total.shards[shard] = own[0] if own else LEFT if evidence.has_left else UNFINISHED
        is_running = is_running or shard in total.shards or bool(unseen)
        total.compute += certain.total()
        total.maybe += len(changing) - certain.total() + sum(done_before.values())
        total.reuse += len(units) - len(changing)
        total.unseen += len(unseen) - len(done_before)
        total.jobs += is_running
        total.reasons += certain
        made = evidence.rows_after(changing, made)
        unseen = unseen | {session for unit in changing if unit.is_new for session in unit.sessions}
