"""The commands that say how a run stands: what is done, what became of one scan, what a change would compute."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from paraspinal.cli.options import assigned
from paraspinal.cohort.asking.status import StageStatus
from paraspinal.core.errors import ConfigError, InputError
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

    found = subs.add_parser("why", help="what became of one visit, scan, series or image, and why")
    found.add_argument("item", help="sub-x/ses-y, a scan_id, a stack_id, a series_id, or the name of an artifact")
    found.add_argument("--out", type=Path, default=Path("results"), help="results folder (default: results)")
    found.add_argument("--json", action="store_true", help="for programs")
    found.set_defaults(command=why)

    found = subs.add_parser("plan", help="what a run would compute and reuse, and why; computes nothing")
    found.add_argument("--out", type=Path, default=Path("results"), help="results folder (default: results)")
    found.add_argument("--config", type=Path, help="configuration the run would get; default: that of the last run")
    found.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one configuration key, dotted")
    found.add_argument("--model", action="append", default=[], metavar="ROLE=NAME@VERSION", help="muscles or spine")
    found.add_argument("--look", action="store_true", help="look for new and changed files in the input first")
    found.add_argument("--json", action="store_true", help="for programs")
    found.set_defaults(command=plan)


def status(arguments: argparse.Namespace) -> None:
    """Show how far every stage is, and reasons for what is not ok."""
    from paraspinal.cohort.asking.status import header_pass
    from paraspinal.cohort.asking.status import status as read_status
    from paraspinal.cohort.running.killed_jobs import killed_jobs
    from paraspinal.cohort.running.runs import holder
    from paraspinal.cohort.running.staleness import tables_state

    results = arguments.out
    if arguments.watch and holder(results):
        from paraspinal.cohort.asking.watch import follow

        follow(results, console, lambda: holder(results) is not None, {})
    stages = read_status(results)
    held, headers = holder(results), header_pass(results)
    if not any(found.total for found in stages) and not (held and headers):
        raise InputError("nothing has been run in this results folder", hint="start with: paraspinal run")
    killed = [job for _, job in killed_jobs(results)]
    tables = tables_state(results)
    if arguments.json:
        said = {"held_by": held, "headers": headers or None, "stages": [s.as_json() for s in stages], "tables": tables}
        print(json.dumps({**said, "killed": [job.as_json() for job in killed]}))
        return
    console.print(_stages(stages))
    console.print(f"a run is going on: {held}" if held else "no run is going on", highlight=False)
    if headers:
        console.print(f"headers: {headers}", highlight=False)
    console.print(f"cohort tables: {tables}", highlight=False)
    for job in killed:
        console.print(f"{job.message} - {job.hint}", highlight=False, soft_wrap=True)


def why(arguments: argparse.Namespace) -> None:
    """Tell what every stage decided on an item, with reasons, hints, provenance and log lines."""
    from paraspinal.cli.show_why import lines
    from paraspinal.cohort.asking.why import why as find_out

    found = find_out(arguments.out, arguments.item)
    if arguments.json:
        print(json.dumps(found.as_json()))
        return
    for line in lines(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def plan(arguments: argparse.Namespace) -> None:
    """Say what a run would compute and reuse, why, and how long that takes."""
    from paraspinal.cohort.asking.run_plan import what_if

    found = what_if(arguments.out, arguments.config, assigned(arguments.set), _models(arguments.model), arguments.look)
    if arguments.json:
        print(json.dumps(found.as_json()))
        return
    table = _table("stage", "jobs", "compute", "perhaps", "reuse", "unit", "CPU h", "GPU h", "reasons")
    for line in found.lines:
        hours = [_range(getattr(line, f"{kind}_hours"), getattr(line, f"most_{kind}_hours")) for kind in ("cpu", "gpu")]
        counts = [f"{n:,}" for n in (line.jobs, line.compute, line.maybe, line.reuse)]
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in line.reasons.most_common(N_REASONS))
        table.add_row(line.stage, *counts, "scans" if line.is_per_scan else "visits", *hours, reasons)
    for name, reason in found.cohort.items():
        table.add_row(name, str(int(reason is not None)), "", "", "", "", "", "", reason or "up to date")
    console.print(table)
    for note in found.notes:
        console.print(note, highlight=False, soft_wrap=True)


def _range(least: float, most: float) -> str:
    """Hours, or from and to hours."""
    low, high = (f"{hours:,.1f}" if hours >= 1 else f"{hours:.3f}".rstrip("0").rstrip(".") for hours in (least, most))
    return low if low == high else f"{low}-{high}"


def _models(assignments: list[str]) -> dict[str, str]:
    """Read ``muscles=name@version``."""
    found = dict(assignment.partition("=")[::2] for assignment in assignments)
    for role, name in found.items():
        if role not in ("muscles", "spine") or not name:
            raise ConfigError("--model: expected muscles=NAME@VERSION", hint="or spine=...; see paraspinal models list")
    return found


def _stages(found: list[StageStatus]) -> Table:
    """How far every stage is, and reasons for what is not ok."""
    seen = [s.value for s in Status if any(stage.items[s.value] for stage in found)]
    table = _table("stage", "sessions", *seen, "reasons")
    table.columns[1].justify = "left"
    for stage in found:
        counts = [str(stage.items[name]) for name in seen]
        reasons = ", ".join(f"{reason} {n}" for reason, n in stage.reasons.most_common(N_REASONS))
        table.add_row(stage.stage, f"{stage.done}/{stage.total}", *counts, reasons)
    return table


def _table(*columns: str) -> Table:
    """A table without lines whose last column may wrap."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        is_last = column == columns[-1]
        table.add_column(column, overflow="fold", no_wrap=not is_last, justify="left" if is_last else "right")
    table.columns[0].justify = "left"
    return table
