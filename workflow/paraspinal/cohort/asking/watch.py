"""Show how far a run is while it runs: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from paraspinal.cohort.asking.costs import seconds_per_session
from paraspinal.cohort.asking.status import StageStatus, Watched, header_pass

POLL_SECONDS = 1.0
LOOKS_FRAC = 0.2
"""Of its time a watcher spends no more than this share on looking: large cohorts are looked at less often."""
HEADERS_SECONDS = 15.0
"""How often a terminal that cannot redraw is told how far the header pass is."""
SPEED_SECONDS = 600.0
"""Rate and time left are those of the last so many seconds."""
N_REASONS = 3
ALL = "all"


class _Rate(TextColumn):
    """Sessions an hour, where there is a rate yet."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed * 3600:,.0f}/h" if task.speed and task.description != ALL else "", justify="right")


class Bars:
    """A bar per stage, and one of all work weighed by what each stage costs."""

    def __init__(self, results: Path) -> None:
        self._watched = Watched(results)
        self._costs = seconds_per_session(results)
        columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), _Rate())
        self._stages = Progress(*columns, TextColumn("{task.fields[note]}"), speed_estimate_period=SPEED_SECONDS)
        share = TextColumn("{task.percentage:>3.0f} %")
        left = TimeRemainingColumn(compact=True)
        self._all = Progress(
            columns[0], BarColumn(), share, left, TextColumn("left"), speed_estimate_period=SPEED_SECONDS
        )
        self._everything = self._all.add_task(ALL, total=None)
        self._tasks: dict[str, TaskID] = {}
        self._headers = ""

    def look(self) -> list[StageStatus]:
        """Look at the results folder and bring the bars up to date; returns what was seen."""
        found = self._watched.read()
        self._headers = header_pass(self._watched.results)
        for stage in found:
            if stage.stage not in self._tasks:
                self._tasks[stage.stage] = self._stages.add_task(stage.stage, total=None, note="")
            done, total = stage.done, stage.total or None
            self._stages.update(self._tasks[stage.stage], completed=done, total=total, note=failures(stage))
        done, total = (
            sum(self._costs[stage.stage] * getattr(stage, name) for stage in found) for name in ("done", "total")
        )
        self._all.update(self._everything, completed=done, total=total or None)
        return found

    def __rich__(self) -> Group:
        """What is drawn."""
        headers = [f"headers    {self._headers}"] if self._headers else []
        return Group(*headers, self._stages, self._all)


def failures(stage: StageStatus) -> str:
    """Failed items and the main reasons, in a few words; empty when nothing failed."""
    found = stage.failures
    reasons = ", ".join(f"{reason} {n}" for reason, n in found.most_common(N_REASONS))
    return f"{found.total()} failed: {reasons}" if found else ""


def follow(results: Path, console: Console, is_running: Callable[[], bool], said: dict[str, int]) -> None:
    """Show a run until ``is_running`` says that it has ended; ``said`` keeps what lines have told."""
    if not console.is_terminal:
        _tell(results, console, is_running, said)
        return
    bars = final(results)
    try:
        with Live(bars, console=console, refresh_per_second=4, transient=True):
            while is_running():
                began = time.monotonic()
                bars.look()
                _rest(began)
    finally:
        console.show_cursor()  # also after a Ctrl-C while the bars were being put up


def final(results: Path) -> Bars:
    """Bars as they stand."""
    bars = Bars(results)
    bars.look()
    return bars


def _tell(results: Path, console: Console, is_running: Callable[[], bool], said: dict[str, int]) -> None:
    """One line whenever a stage gets further, for logs and terminals that cannot redraw."""
    watched, running, spoke = Watched(results), True, time.monotonic()
    while running:
        began, running = time.monotonic(), is_running()
        if time.monotonic() - spoke > HEADERS_SECONDS and (headers := header_pass(results)):
            spoke = time.monotonic()
            console.print(f"headers    {headers}", highlight=False)
        _say(console, watched.read(), said)
        if running:
            _rest(began)


def _rest(began: float) -> None:
    """Sleep a second, or as long as the look that began then asks for."""
    time.sleep(max(POLL_SECONDS, (time.monotonic() - began) * (1 / LOOKS_FRAC - 1)))


def _say(console: Console, found: Sequence[StageStatus], said: dict[str, int]) -> None:
    for stage in found:
        if stage.done != said.get(stage.stage, 0):
            said[stage.stage] = stage.done
            bad = failures(stage)
            line = f"{stage.stage:<10} {stage.done}/{stage.total} sessions" + (f", {bad}" if bad else "")
            console.print(line, highlight=False, soft_wrap=True)
