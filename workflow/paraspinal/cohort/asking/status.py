"""What is done and what is not, from the registry, the receipts of the shards and the notes of their jobs alone.

A session counts as done at a stage when a unit of it stands in the receipts that the shard sums up, or when an earlier
stage left nothing of it; a shard table that is there says nothing of people who were dealt to the shard since.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from paraspinal.cohort.running.plan import SHARD_STAGES
from paraspinal.core.records.notes import Progress, State, mark_of, note_path, read_progress, states_of
from paraspinal.core.records.receipts import units_path
from paraspinal.core.records.registry import INGEST_PROGRESS, Registry, shard_path
from paraspinal.core.records.stage import session_of, session_unit
from paraspinal.core.vocab import Status


@dataclass(frozen=True)
class StageStatus:
    """How far a stage is: sessions done of all, and what became of its items, those of running shards too."""

    stage: str
    done: int
    total: int
    states: Counter[State]

    @property
    def items(self) -> Counter[str]:
        """Items by status."""
        return _summed((status, n) for (status, _), n in self.states.items())

    @property
    def reasons(self) -> Counter[str]:
        """Items that are not plainly ok by reason code."""
        return _summed((reason, n) for (_, reason), n in self.states.items() if reason)

    @property
    def failures(self) -> Counter[str]:
        """Failed items by reason code."""
        return _summed((reason or "", n) for (status, reason), n in self.states.items() if Status(status).is_failure)

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        counts = {name: dict(getattr(self, name)) for name in ("items", "reasons", "failures")}
        return {"stage": self.stage, "done": self.done, "total": self.total, **counts}


def _summed(pairs: Any) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, n in pairs:
        found[name] += n
    return found


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
    return Watched(results).read()


@dataclass
class Watched:
    """A results folder that is looked at again and again; a shard table is read once, unless it changes, and not
    at all where a note says what it holds."""

    results: Path
    _seen: dict[Path, tuple[tuple[int, int], Progress]] = field(default_factory=dict)

    def read(self) -> list[StageStatus]:
        """Read the state of every shard stage."""
        shards = Counter(Registry.read(self.results).shards.values())
        done: Counter[str] = Counter()
        states: dict[str, Counter[State]] = {stage: Counter() for stage in SHARD_STAGES}
        for shard, members in shards.items():
            n_left_out = 0
            for stage in SHARD_STAGES:
                found = self._shard(stage, shard)
                if found is None:
                    continue
                states[stage].update(found.states)
                if found.sessions is None or found.sessions_out is None:  # it runs
                    done[stage] += members * found.done // max(1, found.total)
                else:
                    done[stage] += min(members, found.sessions + n_left_out)
                    n_left_out += found.sessions - found.sessions_out
        return [StageStatus(stage, done[stage], shards.total(), states[stage]) for stage in SHARD_STAGES]

    def _shard(self, stage: str, shard: int) -> Progress | None:
        """How far a shard is: by its table if that is written, else by its note; None if it has not begun."""
        path = shard_path(self.results, stage, shard)
        try:
            mark = mark_of(path)
        except FileNotFoundError:
            note = read_progress(note_path(self.results, stage, shard))
            return note and replace(note, done=max(0, min(note.done, note.total - 1)), sessions=None)
        if self._seen.get(path, (None, None))[0] != mark:
            note = read_progress(note_path(self.results, stage, shard))
            is_told = note and note.table == mark and note.sessions is not None
            try:
                self._seen[path] = (mark, note if note and is_told else _counted(self.results, stage, shard))
            except (OSError, pa.ArrowException):  # damaged: the next run makes it anew
                return None
        return self._seen[path][1]


def _counted(results: Path, stage: str, shard: int) -> Progress:
    """What a finished shard holds, by its table and its receipts."""
    path, units = shard_path(results, stage, shard), units_path(results, stage, shard)
    with pq.ParquetFile(path) as file:
        rows = file.read(["subject", "session", "status", "reason_code"], use_threads=False).to_pylist()
    left = {session_unit((row["subject"], row["session"])) for row in rows}
    names = pq.read_table(units, columns=["unit"])["unit"].to_pylist() if units.exists() else []
    done = {session_of(unit) for unit in names}
    return Progress(1, 1, states_of(rows), mark_of(path), len(done), len(left))
