"""The jobs the workflow's rules start: one shard of a stage, or a stage of the whole cohort."""

from __future__ import annotations

from pathlib import Path

from paraspinal.cohort.running.plan import SHARD_STAGES, before, sources, stage, stage_params
from paraspinal.cohort.running.runs import remember_key, settings_of
from paraspinal.cohort.running.staleness import REPORT, TABLES, reads_of, require_current
from paraspinal.core.errors import ConfigError
from paraspinal.core.records.environments import record_environment
from paraspinal.core.records.manifest import require_sound, write_manifest
from paraspinal.core.records.notes import running_job
from paraspinal.core.records.shards import run_shard
from paraspinal.core.settings import Settings
from paraspinal.core.version import version


def run_job(name: str, results: Path, shard: int | None, workers: int = 1) -> str:
    """Do one job in a results folder that a run has begun; returns a line that says what was done.

    ``workers`` scans of a shard are worked on side by side where the stage allows it.
    """
    settings = settings_of(results)
    if name in SHARD_STAGES:
        if shard is None:
            raise ConfigError(f"stage {name} works on a shard", hint="pass --shard")
        tally = run_shard(
            *(stage(name), sources(name), results, settings, shard),
            before=before(name),
            version=version(),
            workers=workers,
        )
        return f"{name} shard {shard}: {tally.computed} computed, {tally.reused} reused, items {dict(tally.items)}"
    if name == "ingest":
        from paraspinal.stages.ingest import ingest

        with running_job(results, name):
            summary = ingest(settings)
        remember_key(settings)
        return f"ingest: {summary}"
    if name == "aggregate":
        with running_job(results, name):
            return f"aggregate: rows {_aggregate(results, settings)}"
    if name == "report":
        with running_job(results, name):
            _report(results, settings)
        return "report written"
    raise ConfigError("no such stage", hint=f"one of ingest, {', '.join(SHARD_STAGES)}, aggregate, report")


def _aggregate(results: Path, settings: Settings) -> dict[str, int]:
    """Make the cohort tables of shards that are this run's, and write their manifest last."""
    from paraspinal.cohort.tables.aggregate import aggregate
    from paraspinal.cohort.tables.outliers import Limits

    require_current(results, settings)
    reads = reads_of(results, "aggregate")
    rows = aggregate(results, settings.failure_limit, Limits.of(settings.quality))
    files: dict[str, int | None] = {f"{table}.parquet": n for table, n in rows.items()} | {"dictionary.json": None}
    environment = record_environment(results, version())
    write_manifest(results / TABLES, files, stage_params("aggregate", settings), reads, environment)
    return rows


def _report(results: Path, settings: Settings) -> None:
    """Write the report from tables that are what their manifest says, and its own manifest last."""
    from paraspinal.stages.report import FILES, write_report

    tables = require_sound(results / TABLES)
    write_report(results, settings.models_path)
    environment = record_environment(results, version())
    recipe = stage_params("report", settings)
    write_manifest(results / REPORT, dict.fromkeys(FILES), recipe, tables.sha256, environment)
