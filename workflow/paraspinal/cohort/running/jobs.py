"""The jobs the workflow's rules start: one shard of a stage, or a stage of the whole cohort."""

from __future__ import annotations

from pathlib import Path

from paraspinal.cohort.running.plan import SHARD_STAGES, stage, stage_before
from paraspinal.cohort.running.runs import remember_key, settings_of
from paraspinal.core.errors import ConfigError
from paraspinal.core.records import software
from paraspinal.core.records.notes import running_job
from paraspinal.core.records.shards import run_shard
from paraspinal.core.version import version


def run_job(name: str, results: Path, shard: int | None, workers: int = 1) -> str:
    """Do one job in a results folder that a run has begun; returns a line that says what was done.

    ``workers`` scans of a shard are worked on side by side where the stage allows it.
    """
    settings = settings_of(results)
    if name in SHARD_STAGES:
        if shard is None:
            raise ConfigError(f"stage {name} works on a shard", hint="pass --shard")
        tally = run_shard(stage(name), stage_before(name), results, settings, shard, workers)
        if tally.computed:
            versions = software.loaded(version()) | stage(name).tools()
            software.record(results, name, shard, versions, is_all_new=not tally.reused)
        return f"{name} shard {shard}: {tally.computed} computed, {tally.reused} reused, items {dict(tally.items)}"
    if name == "ingest":
        from paraspinal.stages.ingest import ingest

        with running_job(results, name):
            summary = ingest(settings)
        remember_key(settings)
        software.record(results, name, None, software.loaded(version()))
        return f"ingest: {summary}"
    if name == "aggregate":
        from paraspinal.cohort.tables.aggregate import aggregate
        from paraspinal.cohort.tables.outliers import Limits

        with running_job(results, name):
            rows = aggregate(results, settings.failure_limit, Limits.of(settings.quality))
        software.record(results, name, None, software.loaded(version()))
        return f"aggregate: rows {rows}"
    if name == "report":
        from paraspinal.stages.report.stage import write_report

        with running_job(results, name):
            write_report(results)
        return "report written"
    raise ConfigError("no such stage", hint=f"one of ingest, {', '.join(SHARD_STAGES)}, aggregate, report")
