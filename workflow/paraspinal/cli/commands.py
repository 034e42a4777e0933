"""One small function per sub-command: arguments in, one call of the package, lines out."""

from __future__ import annotations

import argparse
import faulthandler
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from paraspinal.cli.options import assigned
from paraspinal.core.errors import ConfigError, InputError
from paraspinal.core.records.registry import INVENTORY_PATH
from paraspinal.core.settings import Settings, load_settings, read_config

console = Console()

DEMO_SHARD_SIZE = 5
"""Two shards of the nine visits, so that two cores have something to do."""


def _settings(arguments: argparse.Namespace, **over: Any) -> Settings:
    config = {**{k: v for k, v in over.items() if v}, **assigned(arguments.set)}
    return load_settings(read_config(arguments.config, config))


def run(arguments: argparse.Namespace) -> None:
    """Run the workflow on a folder of images."""
    from paraspinal.cohort.running.engine import run_workflow

    settings = _settings(arguments, input=arguments.input, out=arguments.out)
    run_workflow(
        settings, arguments.cores, arguments.workflow_profile, arguments.engine, console, must_hash=arguments.check
    )
    _say_where(settings)


def demo(arguments: argparse.Namespace) -> None:
    """Write the phantom cohort and run the workflow on it."""
    from paraspinal.cohort.running.engine import run_workflow
    from paraspinal.phantom.cohort import write_demo_cohort

    folder = arguments.folder.absolute()
    settings = _settings(
        arguments,
        input=str(folder / "dicom"),
        private_dir=str(folder / "private"),
        out=arguments.out,
        shard_size=DEMO_SHARD_SIZE,
    )
    if not (folder / "complete").exists():
        console.print("writing a phantom cohort as DICOM ...")
        write_demo_cohort(folder / "dicom")
        (folder / "complete").touch()
    run_workflow(
        settings, arguments.cores, arguments.workflow_profile, arguments.engine, console, must_hash=arguments.check
    )
    _say_where(settings)
    console.print("your own data:   [bold]make run DICOM=/path/to/dicom OUT=/path/to/results[/bold]")


def _say_where(settings: Settings) -> None:
    out = settings.out_path
    console.print(f"report:          {out / 'report' / 'index.html'}", soft_wrap=True)
    console.print(f"tables:          {out / 'tables'} (columns explained in dictionary.json)", soft_wrap=True)


def stage(arguments: argparse.Namespace) -> None:
    """Do one job of the workflow: a shard of a stage, or a stage of the whole cohort."""
    from paraspinal.cohort.running import jobs

    faulthandler.enable(sys.__stderr__ or sys.stderr)  # a job that dies of compiled code says so in its log
    line = jobs.run_job(arguments.name, arguments.out.absolute(), arguments.shard, arguments.workers)
    print(line)


def inventory(arguments: argparse.Namespace) -> None:
    """Show what a folder holds before anything runs, or what the header pass of a run found, and export it."""
    from paraspinal.cli import show
    from paraspinal.cohort.tables.export import export
    from paraspinal.core.records.schemas import INVENTORY
    from paraspinal.stages.ingest import take_inventory
    from paraspinal.stages.ingest.inventory import overview

    if arguments.export:
        _check_ending(arguments.export)
    if arguments.input:
        settings = _settings(arguments, input=arguments.input, out=arguments.out)
        with show.header_pass(Console(stderr=True)) as report:
            rows = take_inventory(settings, report)
    else:
        path = Path(arguments.out or "results") / INVENTORY_PATH
        if not path.exists():
            hint = "name a folder of images, or the results of a run with --out"
            raise InputError("there is no inventory in this results folder", hint=hint)
        rows = INVENTORY.read(path)
    show.inventory(console, overview(rows))
    if arguments.export:
        export(INVENTORY.arrow(rows), arguments.export)


def export(arguments: argparse.Namespace) -> None:
    """Write a cohort table, or the wide one, for another program."""
    from paraspinal.cohort.tables.export import export_partitioned, export_with_codebook
    from paraspinal.cohort.tables.wide import cohort_table

    if not arguments.partition_by:
        _check_ending(arguments.file)
    table = cohort_table(arguments.out, arguments.table, arguments.scheme, arguments.measure)
    if arguments.partition_by:
        export_partitioned(table, arguments.file, arguments.partition_by)
    else:
        export_with_codebook(table, arguments.file)
    console.print(f"{len(table):,} rows, {table.num_columns:,} columns", highlight=False)


def _check_ending(path: Path) -> None:
    from paraspinal.cohort.tables.export import EXPORTS

    if path.suffix not in EXPORTS:
        raise ConfigError("the export has no known format", hint=f"end its name with {', '.join(EXPORTS)}")


def segment(arguments: argparse.Namespace) -> None:
    """Outline one image and write the label map on its grid."""
    from paraspinal.core.imaging.images import read_image, write_image
    from paraspinal.models.apply import segment_image

    image = read_image(arguments.image)
    folder = arguments.folder or load_settings(read_config(None, {})).models_path
    write_image(segment_image(image, arguments.model, folder, arguments.device, arguments.threads), arguments.out)


def evaluate(arguments: argparse.Namespace) -> None:
    """Measure the shipped models on real labelled images and print the numbers."""
    from paraspinal.models.training.recipes import evaluate_shipped

    print(json.dumps(evaluate_shipped(arguments.data), indent=1))
