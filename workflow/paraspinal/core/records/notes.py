"""Notes of how far a shard is and what its job is at, for people who watch; nothing computed depends on them."""

from __future__ import annotations

import fcntl
import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from paraspinal.core.files import write_text
from paraspinal.core.records.registry import shard_path
from paraspinal.core.records.tables import Row

NOTE_SECONDS = 1.0
"""How often a running shard notes how far it is."""
BEGUN, ENDED = "+", "-"
"""How lines of a job's file begin, before the unit; the first line stands for the job itself."""
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
    sessions: int | None = None
    """Sessions of the units, once the table is written."""
    sessions_out: int | None = None
    """Sessions with rows in the table: of the others later stages have nothing to do."""


class Note:
    """The note of one running shard job."""

    def __init__(self, results: Path, stage: str, shard: int, units: Sequence[tuple[str, Sequence[Row]]]) -> None:
        """``units`` are the units of work and the rows they are made from."""
        self._path, self._table = note_path(results, stage, shard), shard_path(results, stage, shard)
        self._job = job_path(results, stage, shard)
        self._total, self._sessions = len(units), _n_sessions(row for _, rows in units for row in rows)
        self._written = -NOTE_SECONDS

    def running(self, done: int, rows: Iterable[Row]) -> None:
        """Say how many units are done and what became of their rows, unless that was said a moment ago."""
        now = time.monotonic()
        if now - self._written >= NOTE_SECONDS:
            self._written = now
            write_progress(self._path, Progress(done, self._total, states_of(rows)))

    @contextmanager
    def at(self, unit: str) -> Iterator[None]:
        """Say that a unit is worked on while the block runs: what a killed job was at is known by it."""
        with self._job.open("a") as handle:
            handle.write(f"{BEGUN}{unit}\n")
            handle.flush()
            yield
            handle.write(f"{ENDED}{unit}\n")

    def finished(self, rows: Collection[Row]) -> None:
        """Say that the shard table is written."""
        sessions = (self._sessions, _n_sessions(rows))
        write_progress(self._path, Progress(self._total, self._total, states_of(rows), mark_of(self._table), *sessions))


def note_path(results: Path, stage: str, shard: int) -> Path:
    """Where the note of a shard is kept."""
    return shard_path(results, stage, shard).with_suffix(".progress.json")


def job_path(results: Path, stage: str, shard: int | None) -> Path:
    """File that a job of a stage locks while it runs; it is empty when the job ends in any way but being killed."""
    folder = results / "receipts"
    return folder / f".{stage}.lock" if shard is None else folder / stage / f".{shard}.lock"


@contextmanager
def running_job(results: Path, stage: str, shard: int | None = None) -> Iterator[None]:
    """Hold the file of a job while the block runs; a job that outlived a killed run is waited for."""
    path = job_path(results, stage, shard)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.truncate(0)
        handle.write(f"{BEGUN}\n")
        handle.flush()
        try:
            yield
        finally:
            handle.truncate(0)


def units_at_death(results: Path, stage: str, shard: int | None) -> list[str] | None:
    """Units that a job was at when it was killed; None if it ended by itself, still runs, or never began."""
    try:
        with job_path(results, stage, shard).open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            lines = handle.read().splitlines()
    except OSError:
        return None
    ended = {line.removeprefix(ENDED) for line in lines if line.startswith(ENDED)}
    begun = [line.removeprefix(BEGUN) for line in lines if line.startswith(BEGUN)]
    return [unit for unit in begun if unit and unit not in ended] if begun else None


def states_of(rows: Iterable[Row]) -> Counter[State]:
    """Count rows by status and reason."""
    return Counter((row["status"], row["reason_code"]) for row in rows)


def _n_sessions(rows: Iterable[Row]) -> int:
    return len({(row["subject"], row["session"]) for row in rows})


def mark_of(table: Path) -> tuple[int, int]:
    """Size and time of a file, by which a note knows it again."""
    found = table.stat()
    return found.st_size, found.st_mtime_ns


def write_progress(path: Path, progress: Progress) -> None:
    """Write a note."""
    said = {**asdict(progress), "states": [[*state, n] for state, n in progress.states.items()]}
    write_text(path, json.dumps(said))


def read_progress(path: Path) -> Progress | None:
    """Read a note; None if there is none, or one that is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        found["states"] = Counter({(status, reason): n for status, reason, n in found["states"]})
        found["table"] = found["table"] and (*found["table"],)
        return Progress(**found)
    except (OSError, ValueError, KeyError, TypeError):
        return None
