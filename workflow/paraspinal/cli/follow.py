"""The commands that say how a run stands: what is done, what became of one scan, what a change would compute."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from paraspinal.cohort.status import StageStatus
from paraspinal.core.errors import InputError
from paraspinal.core.vocab import Status

console = Console()
N_REASONS = 5


def add_commands(subs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    found = subs.add_parser("status", help="what is done, and what is not and why")
    found.add_argument("--out", type=Path, default=Path("results"), help="results folder (default: results)")
    found.add_argument("--watch", action="store_true", help="follow a run until it ends")
    found.add_argument("--json", action="store_true", help="for programs")
    found.set_defaults(command=status)


def status(arguments: argparse.Namespace) -> None:
    """Show how far every stage is, and reasons for what is not ok."""
    from paraspinal.cohort.runs import holder
    from paraspinal.cohort.status import header_pass
    from paraspinal.cohort.status import status as read_status

    results = arguments.out
    if arguments.watch and holder(results):
        from paraspinal.cohort.watch import follow

        follow(results, console, lambda: holder(results) is not None, {})
    stages = read_status(results)
    held, headers = holder(results), header_pass(results)
    if not any(found.total for found in stages) and not (held and headers):
        raise InputError("nothing has been run in this results folder", hint="start with: paraspinal run")
    if arguments.json:
        print(json.dumps({"held_by": held, "headers": headers or None, "stages": [s.as_json() for s in stages]}))
        return
    console.print(_stages(stages))
    console.print(f"a run is going on: {held}" if held else "no run is going on", highlight=False)
    if headers:
        console.print(f"headers: {headers}", highlight=False)


def _stages(found: list[StageStatus]) -> Table:
    """How far every stage is, and reasons for what is not ok."""
    seen = [s.value for s in Status if any(stage.items[s.value] for stage in found)]
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "sessions", *seen, "reasons"):
        is_number = column in seen
        table.add_column(column, overflow="fold", no_wrap=column != "reasons", justify="right" if is_number else "left")
    for stage in found:
        counts = [str(stage.items[name]) for name in seen]
        reasons = ", ".join(f"{reason} {n}" for reason, n in stage.reasons.most_common(N_REASONS))
        table.add_row(stage.stage, f"{stage.done}/{stage.total}", *counts, reasons)
    return table
