"""The command `paraspinal`: sub-commands, their options, and errors as one line with an exit code."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from paraspinal.cli import agree, commands, follow, models, train
from paraspinal.core.errors import DataError, MachineError, ParaspinalError, error_line, machine_trouble, trace
from paraspinal.core.version import version

DATA_ERROR_EXIT = 10
"""Exit code when a single image given on the command line cannot be processed."""
UNEXPECTED_EXIT = 1
"""Exit code of a software error."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command; returns the exit code."""
    arguments = _parsed(sys.argv[1:] if argv is None else list(argv))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        arguments.command(arguments)
    except ParaspinalError as error:
        if isinstance(error, MachineError):  # whoever looks after the machine wants to know where
            print(trace(error), file=sys.stderr, end="")
        print(error_line(error.exit_code, error.message, error.hint), file=sys.stderr)
        return error.exit_code
    except DataError as error:
        print(error_line(DATA_ERROR_EXIT, str(error), "the image cannot be processed"), file=sys.stderr)
        return DATA_ERROR_EXIT
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not isinstance(error, PermissionError):  # where it met another user's file helps nobody
            print(trace(error), file=sys.stderr, end="")
        if trouble := machine_trouble(error):
            print(error_line(trouble.exit_code, trouble.message, trouble.hint), file=sys.stderr)
            return trouble.exit_code
        return UNEXPECTED_EXIT
    return 0


def _parsed(argv: list[str]) -> argparse.Namespace:
    """Parse; what follows ``--`` is the engine's, wherever positional arguments stand."""
    own = argv[: argv.index("--")] if "--" in argv else argv
    arguments = parser().parse_args(own)
    if len(own) < len(argv):
        if "engine" not in arguments:
            parser().error("only run and demo take options for the engine")
        arguments.engine = argv[len(own) + 1 :]
    return arguments


def parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    root = argparse.ArgumentParser(
        prog="paraspinal",
        description="From lumbar MRI to cohort tables of muscle size and fat. Research use, not diagnosis.",
    )
    root.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subs = root.add_subparsers(required=True, metavar="COMMAND")

    demo = subs.add_parser("demo", help="write a phantom cohort as DICOM and run everything on it")
    demo.add_argument(
        "--folder", type=Path, default=Path(".demo"), help="where the phantom DICOM goes (default: .demo)"
    )
    _run_options(demo)
    demo.set_defaults(command=commands.demo)

    run = subs.add_parser("run", help="turn a folder of DICOM, BIDS or NIfTI into cohort tables")
    run.add_argument("input", nargs="?", help="folder with images; default: `input` of the configuration")
    _run_options(run)
    run.set_defaults(command=commands.run)

    follow.add_commands(subs)

    inventory = subs.add_parser("inventory", help="what a folder of images holds, before anything runs")
    inventory.add_argument("input", nargs="?", help="folder with images; without it, what a run in --out found")
    inventory.add_argument("--export", type=Path, metavar="FILE", help="write it, a row per stack: .csv .tsv .parquet")
    _settings_options(inventory)
    inventory.set_defaults(command=commands.inventory)

    export = subs.add_parser("export", help="write a cohort table for a statistics program, with a codebook")
    export.add_argument("file", type=Path, help="file to write: .csv .tsv .parquet .dta (Stata) .sav (SPSS)")
    export.add_argument("--out", type=Path, default=Path("results"), help="results folder (default: results)")
    export.add_argument(
        "--table", default="wide", help="wide: a row per person and visit (default), or a table of the results"
    )
    export.add_argument("--scheme", action="append", default=[], help="level scheme of the wide table; may be repeated")
    export.add_argument("--measure", action="append", default=[], help="measure of the wide table; may be repeated")
    export.add_argument(
        "--partition-by", metavar="COLUMN", help="write a folder of Parquet files, one part for each value"
    )
    export.set_defaults(command=commands.export)

    segment = subs.add_parser("segment", help="outline one image, no DICOM needed")
    segment.add_argument("image", type=Path, help="NIfTI image")
    segment.add_argument("--model", required=True, help="name or name@version, see `paraspinal models list`")
    segment.add_argument("--folder", type=Path, help="folder with models.tsv (default: resources of the project)")
    segment.add_argument("--out", type=Path, required=True, help="label map to write (.nii.gz)")
    segment.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    segment.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    segment.set_defaults(command=commands.segment)

    agree.add_commands(subs)

    stage = subs.add_parser("stage", help="one job of the workflow (called by its rules)")
    stage.add_argument("name")
    stage.add_argument("--shard", type=int, help="number of the shard")
    stage.add_argument("--workers", type=int, default=1, help="scans side by side, where the stage allows it")
    stage.add_argument("--out", type=Path, default=Path(), help="results folder (default: the working directory)")
    stage.set_defaults(command=commands.stage)

    train.add_parser(subs)
    models.add_parser(subs)

    evaluate = subs.add_parser("evaluate", help="measure the shipped models on real labelled images")
    evaluate.add_argument("--data", type=Path, required=True, help="folder with the labelled images")
    evaluate.set_defaults(command=commands.evaluate)
    return root


class _Version(argparse.Action):
    """Print the version. Made only when it is asked for: it may take a call of git."""

    def __call__(self, *_: object) -> None:
        print(f"paraspinal {version()}")
        raise SystemExit


def _settings_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", help="results folder (default: `out` of the configuration)")
    command.add_argument("--config", type=Path, help="configuration file on top of config/config.yaml")
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one configuration key, dotted"
    )


def _run_options(command: argparse.ArgumentParser) -> None:
    _settings_options(command)
    command.add_argument("--cores", type=int, help="CPU cores to use on this machine (default: 2, or the profile's)")
    command.add_argument("--workflow-profile", type=Path, help="profile of the engine, e.g. workflow/profiles/slurm")
    command.add_argument(
        "--check", action="store_true", help="read every image and label map of the results and make damaged ones anew"
    )
    command.epilog = "Options after -- are handed to snakemake as they are."
    command.set_defaults(engine=[])
