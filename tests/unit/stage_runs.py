"""Run a stage on a results folder as a job does, and read back what is then known of its items."""

from __future__ import annotations

from pathlib import Path

from paraspinal.cohort.running.plan import before, sources, stage
from paraspinal.core.records.registry import shard_path
from paraspinal.core.records.seals import write_seal
from paraspinal.core.records.shards import Tally, run_shard
from paraspinal.core.records.stage import Stage
from paraspinal.core.records.tables import Row, Table
from paraspinal.core.records.views import Source, read_rows
from paraspinal.core.settings import Settings


def run_stage(found: Stage, settings: Settings, shard: int = 1) -> Tally:
    return run_shard(found, sources(found.name), settings.out_path, settings, shard, before=before(found.name))


def rows_after(name: str, settings: Settings, shard: int = 1) -> list[Row]:
    """Every column that is known of the items of a stage once it has run."""
    read = [*sources(name), Source(name, stage(name).makes)]
    read = [source for source in read if source.table.key == stage(name).makes.key]
    columns = dict.fromkeys(column for source in read for column in source.table.names)
    return read_rows(settings.out_path, read, shard, list(columns))


def put_table(results: Path, name: str, table: Table, rows: list[Row], shard: int = 1) -> None:
    """Write a shard table and seal it, as the stage of that name would."""
    path = shard_path(results, name, shard)
    table.write(path, rows)
    write_seal(results, name, shard, [path])
