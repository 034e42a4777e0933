"""What a run would do after a change of configuration, models or input: counts, reasons and hours."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paraspinal.cohort.asking.costs import Cost, costs
from paraspinal.cohort.asking.evidence import NEW
from paraspinal.cohort.asking.rerun_estimate import Forecast, forecast
from paraspinal.cohort.running.plan import stage
from paraspinal.cohort.running.runs import settings_of
from paraspinal.cohort.running.staleness import due
from paraspinal.core.records.registry import Registry
from paraspinal.core.records.schemas import SESSION_STACKS
from paraspinal.core.records.tables import Row
from paraspinal.core.settings import Settings, load_settings, merge, read_config

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Line:
    """One stage: jobs, units of work by what becomes of them, hours for those that are certain and for all."""

    stage: str
    is_per_scan: bool
    jobs: int
    compute: int
    maybe: int
    reuse: int
    reasons: Counter[str]
    cpu_hours: float
    most_cpu_hours: float
    gpu_hours: float
    most_gpu_hours: float


@dataclass(frozen=True)
class Plan:
    """What a run would do, and what to know about how that was found."""

    lines: list[Line]
    cohort: dict[str, str | None]
    """Why the cohort tables (aggregate) and the report are made again; None where they are not."""
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {"stages": [vars(line) for line in self.lines], "cohort": self.cohort, "notes": self.notes}


def what_if(results: Path, config: Path | None, over: dict[str, Any], models: dict[str, str], look: bool) -> Plan:
    """Plan a run on results with a configuration file, single keys and models; without any, as the last run was told.

    ``look`` reads the headers of new files first. Raises ConfigError if there was no run.
    """
    settings = _settings(settings_of(results.absolute()), config, over, models)
    found = forecast(settings.out_path, settings, _look(settings) if look else None)
    known = costs(settings.out_path)
    what = due(settings.out_path, settings, found)
    lines = [_line(stage_found, known[stage_found.stage], settings) for stage_found in found]
    return Plan(lines, {"aggregate": what.tables, "report": what.report}, _notes(known, look))


def _settings(last: Settings, config: Path | None, over: dict[str, Any], models: dict[str, str]) -> Settings:
    """Settings the run would have: those of the last one, or a file, for the same results and the same input."""
    same = {"input": last.input, "out": last.out, "private_dir": last.private_dir, "shard_size": last.shard_size}
    base = merge(read_config(config, {}), same) if config else last.model_dump()
    named = {"segment": {f"{role}_model": name for role, name in models.items()}}
    return load_settings(merge(merge(base, over), named))


def _look(settings: Settings) -> dict[int, list[Row]]:
    """What ingest would write for every shard; only the private cache of headers is written."""
    from paraspinal.stages.ingest.stacking.collect_stacks import collect_stacks

    with collect_stacks(settings, lambda tally: None) as (store, _):
        dealt = Registry.read(settings.out_path).deal(store.sessions(), settings.shard_size)
        found: dict[int, list[Row]] = {shard: [] for shard in dealt.shard_numbers}
        for session in sorted(store.sessions()):
            found[dealt.shards[session]] += store.rows(session)
    return {shard: SESSION_STACKS.arrow(_columns(rows)).to_pylist() for shard, rows in found.items()}


def _columns(rows: list[Row]) -> list[Row]:
    return [{name: row.get(name) for name in SESSION_STACKS.names} for row in rows]


def _line(found: Forecast, cost: Cost, settings: Settings) -> Line:
    """One stage; of visits whose scans nobody has seen yet it is assumed that they have as many as the others."""
    is_per_scan = stage(found.stage).is_per_row
    unseen = round(found.unseen * (cost.units_per_session if is_per_scan else 1))
    on_gpu = found.stage == "segment" and settings.segment.device == "cuda"
    side_by_side = settings.segment.threads  # scans that share the GPU, one core each
    compute = found.compute + unseen
    hours = [n * cost.seconds / SECONDS_PER_HOUR for n in (compute, compute + found.maybe)]
    return Line(
        stage=found.stage,
        is_per_scan=is_per_scan,
        jobs=found.jobs,
        compute=compute,
        maybe=found.maybe,
        reuse=found.reuse,
        reasons=found.reasons + Counter({NEW: unseen}),
        cpu_hours=hours[0],
        most_cpu_hours=hours[1],
        gpu_hours=hours[0] * on_gpu / side_by_side,
        most_gpu_hours=hours[1] * on_gpu / side_by_side,
    )


def _notes(known: dict[str, Cost], look: bool) -> list[str]:
    notes = ["perhaps: what these read is made again; where it comes out the same they are reused"]
    guessed = [name for name, cost in known.items() if not cost.is_measured]
    if len(guessed) < len(known):
        notes.append("hours: what this cohort took when it was computed, on whatever machine that was")
    if guessed:
        notes.append(f"hours of {', '.join(guessed)}: as on the demo (benchmarks/demo.json), a core each")
    if not look:
        notes.append("the input is taken to be as the last run saw it; --look reads new headers first")
    return notes
