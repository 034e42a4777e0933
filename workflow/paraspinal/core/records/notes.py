"""Notes of how far a shard is, for people who watch; nothing that is computed depends on them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from paraspinal.core.files import write_text
from paraspinal.core.records.registry import shard_path
from paraspinal.core.records.tables import Row

NOTE_SECONDS = 1.0
"""How often a running shard notes how far it is."""
State = tuple[str, str | None]
"""Status and reason code."""


@dataclass(frozen=True)
class Progress:
    """Units of work done of all, and items of those by status and reason."""

    done: int
    total: int
    states: Counter[State]
    table: tuple[int, int] | None = None
    """Size and time of the shard table, once that is written: what it holds need not be counted again."""


class Note:
    """The note of one running shard job."""

    def __init__(self, results: Path, stage: str, shard: int, total: int) -> None:
        self._path, self._table = note_path(results, stage, shard), shard_path(results, stage, shard)
        self._total = total
        self._written = -NOTE_SECONDS

    def running(self, done: int, rows: Iterable[Row]) -> None:
        """Say how many units are done and what became of their rows, unless that was said a moment ago."""
        now = time.monotonic()
        if now - self._written >= NOTE_SECONDS:
            self._written = now
            write_progress(self._path, Progress(done, self._total, states_of(rows)))

    def finished(self, rows: Iterable[Row]) -> None:
        """Say that the shard table is written."""
        write_progress(self._path, Progress(self._total, self._total, states_of(rows), mark_of(self._table)))


def note_path(results: Path, stage: str, shard: int) -> Path:
    """Where the note of a shard is kept."""
    return shard_path(results, stage, shard).with_suffix(".progress.json")


def states_of(rows: Iterable[Row]) -> Counter[State]:
    """Count rows by status and reason."""
    return Counter((row["status"], row["reason_code"]) for row in rows)


def mark_of(table: Path) -> tuple[int, int]:
    """Size and time of a file, by which a note knows it again."""
    found = table.stat()
    return found.st_size, found.st_mtime_ns


def write_progress(path: Path, progress: Progress) -> None:
    """Write a note."""
    states = [[*state, n] for state, n in progress.states.items()]
    said = {"done": progress.done, "total": progress.total, "states": states, "table": progress.table}
    write_text(path, json.dumps(said))


def read_progress(path: Path) -> Progress | None:
    """Read a note; None if there is none, or one of an earlier version."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        states = Counter({(status, reason): n for status, reason, n in found["states"]})
        return Progress(found["done"], found["total"], states, found["table"] and (*found["table"],))
    except (OSError, ValueError, KeyError, TypeError):
        return None
