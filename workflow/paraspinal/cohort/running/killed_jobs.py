"""Jobs that were killed: what they were, what they were at, and what can be done about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paraspinal.cohort.running.plan import SHARD_STAGES
from paraspinal.core.errors import WorkflowError
from paraspinal.core.records.notes import job_path, units_at_death
from paraspinal.core.records.registry import Registry, shard_name

COHORT_STAGES = ("ingest", "aggregate", "report")
"""Stages with one job for the whole cohort."""
MORE_MEMORY = "more memory (on a cluster `mem_mb` of the rule, in the profile)"
LESS_AT_ONCE = {"ingest": "fewer `ingest.workers`", "segment": "fewer `segment.threads`"}
AGAIN = "run again: what is finished is kept"
_CRASH = re.compile(r"^Fatal Python error: (.+)$", re.MULTILINE)
"""What Python itself writes into the log of a job that dies of a fault in compiled code."""


@dataclass(frozen=True)
class KilledJob:
    """A job that began and neither ended by itself nor runs."""

    stage: str
    shard: int | None
    units: tuple[str, ...]
    """Visits or scans it was at."""
    crash: str = ""
    """What it died of, where it was not killed from outside."""

    @property
    def message(self) -> str:
        """What happened, in one sentence."""
        where = self.stage if self.shard is None else f"{self.stage}, shard {self.shard}"
        at = f" at {', '.join(self.units)}" if self.units else ""
        return f"{where}: " + (f"crashed{at} ({self.crash})" if self.crash else f"killed{at}, probably out of memory")

    @property
    def hint(self) -> str:
        """What to do about it."""
        if self.crash:
            return f"{AGAIN}; if it crashes there again, leave that visit out with the override sheet and report it"
        return f"{' or '.join([*filter(None, [LESS_AT_ONCE.get(self.stage)]), MORE_MEMORY])}; {AGAIN}"

    @property
    def error(self) -> WorkflowError:
        """The error of a run that ended by it."""
        return WorkflowError(self.message, self.hint)

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {"stage": self.stage, "shard": self.shard, "units": list(self.units), "message": self.message}


def killed_jobs(results: Path) -> list[tuple[float, KilledJob]]:
    """Find the jobs that were killed, with the time (s) they were last heard of, the first one first."""
    jobs: list[tuple[str, int | None]] = [(stage, None) for stage in COHORT_STAGES]
    jobs += [(stage, shard) for shard in Registry.read(results).shard_numbers for stage in SHARD_STAGES]
    found = []
    for stage, shard in jobs:
        try:
            file = job_path(results, stage, shard).stat()
        except OSError:
            continue
        units = units_at_death(results, stage, shard) if file.st_size else None
        if units is not None:
            found.append((file.st_mtime, KilledJob(stage, shard, tuple(units), _crash(results, stage, shard))))
    return sorted(found, key=lambda pair: pair[0])


def _crash(results: Path, stage: str, shard: int | None) -> str:
    """What the log of a job says it died of; empty if nothing."""
    name = Path(f"{stage}.log") if shard is None else Path(stage, f"{shard_name(shard)}.log")
    try:
        said = _CRASH.search((results / "logs" / name).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
    return said[1] if said else ""
