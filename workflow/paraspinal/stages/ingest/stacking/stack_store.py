"""The stacks of a whole input, on disk instead of in memory: what comparing series asks for, and the rows."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from paraspinal.core.archives.files import folder_of
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Reason, Status
from paraspinal.stages.ingest.stacking.stacks import Stack

MOMENT_S = 8.0
"""Images of one visit acquired within so many seconds of each other are of one acquisition; no breath-hold is shorter.
Only the order of the acquisitions leaves this file, not their times."""
_SCHEMA = """
create table stacks (
  stack_id text primary key, subject text, session text, day integer, second real, source text, series_id text,
  status text, reason_code text, detail text, duplicate_key text, row text, slices text
) without rowid;
create index by_session on stacks (subject, session);
create index by_duplicate_key on stacks (duplicate_key) where duplicate_key is not null;
create table places (folder blob, stack_id text);
create index by_folder on places (folder);
"""
_DAYS = """
create table visits as select subject, session, min(day) - min(min(day)) over (partition by subject) days
  from stacks where session is not null group by subject, session;
create index by_visit on visits (subject, session);
"""
_MOMENTS = f"""
create table moments as select stack_id, sum(is_new) over (partition by subject, session order by second) moment from (
  select *, coalesce(second - lag(second) over (partition by subject, session order by second) > {MOMENT_S}, 1) is_new
  from stacks where session is not null and second is not null
);
create index by_moment on moments (stack_id);
"""
_DECISION = ("status", "reason_code", "detail")


class Piece(NamedTuple):
    """Where the pixels of one slice are; ``frame`` is None in a single image."""

    path: bytes
    frame: int | None
    pixel_offset: int
    pixel_sha256: str | None


class StackStore:
    """Rows of stacks with what must stay private of them: days, folders and files. One file, rebuilt by every run."""

    def __init__(self, path: Path) -> None:
        """Begin an empty store in a private file."""
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        self._path = path
        self._db = sqlite3.connect(path)
        self._db.execute("pragma journal_mode = off")  # it lives as long as this process
        self._db.execute("pragma synchronous = off")
        self._db.executescript(_SCHEMA)
        self._has_days = False

    def add(
        self,
        row: Row,
        stack: Stack | None = None,
        day: int | None = None,
        duplicate_key: str | None = None,
        second: float | None = None,
    ) -> None:
        """Add the row of a stack; ``day`` and ``second`` (of the day) say when it was acquired.

        ``duplicate_key`` is equal for stacks that may show the same.

        Raises AssertionError when its id is taken, which would be a software error.
        """
        slices = [[os.fsdecode(p.path), p.frame, p.pixel_offset, p.pixel_sha256] for p in stack.slices] if stack else []
        values = (row["subject"], row["session"], day, second, row["source"], row.get("series_id"))
        decision = [row.get(name) for name in _DECISION]
        try:
            self._db.execute(
                "insert into stacks values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (row["stack_id"], *values, *decision, duplicate_key, json.dumps(row), json.dumps(slices)),
            )
        except sqlite3.IntegrityError:
            raise AssertionError("two stacks share an id") from None
        if stack:
            folders = {folder_of(path) for path in stack.paths}
            self._db.executemany("insert into places values (?, ?)", ((f, row["stack_id"]) for f in folders))

    def decide(self, stack_id: str, status: Status, reason: Reason, detail: str) -> None:
        """Change the disposition of a stack."""
        self._db.execute(
            "update stacks set status = ?, reason_code = ?, detail = ? where stack_id = ?",
            (status.value, reason.value, detail, stack_id),
        )

    def duplicate_candidates(self) -> Iterator[list[str]]:
        """Yield the ids of stacks that may show the same, sorted."""
        found = self._db.execute(
            "select json_group_array(stack_id) from stacks where duplicate_key is not null"
            " group by duplicate_key having count(*) > 1"
        ).fetchall()
        for (text,) in found:
            yield sorted(json.loads(text))

    def in_folder(self, folder: bytes) -> list[tuple[str, str | None, str, str]]:
        """List (id, series id, source, status) of the stacks with files in a folder."""
        return self._db.execute(
            "select stack_id, series_id, source, status from places join stacks using (stack_id) where folder = ?",
            (folder,),
        ).fetchall()

    def sessions(self) -> set[tuple[str, str]]:
        """All visits: (subject, session)."""
        return set(self._db.execute("select distinct subject, session from stacks where session is not null"))

    def statuses(self) -> dict[str, int]:
        """Count stacks by status."""
        return dict(self._db.execute("select status, count(*) from stacks group by status order by status"))

    def rows(self, session: tuple[str, str] | None = None) -> Iterator[Row]:
        """Yield the rows of a visit, or all by stack id, with what all of them tell added: days, order in the visit."""
        if not self._has_days:
            self._db.executescript(_DAYS)
            self._db.executescript(_MOMENTS)
            self._has_days = True
        condition, values = ("", ()) if session is None else ("where s.subject = ? and s.session = ?", session)
        found = self._db.execute(
            "select row, status, reason_code, detail, days, moment from stacks s left join visits v"
            " on v.subject = s.subject and v.session = s.session left join moments m on m.stack_id = s.stack_id"
            f" {condition} order by s.stack_id",
            values,
        )
        for text, *decision, days, moment in found:
            added = {"days_from_first_visit": days, "acquisition_moment": moment}
            yield {**json.loads(text), **dict(zip(_DECISION, decision, strict=True)), **added}

    def slices(self, stack_id: str) -> list[Piece]:
        """List where the slices of a stack are, in order."""
        (text,) = self._db.execute("select slices from stacks where stack_id = ?", (stack_id,)).fetchone()
        return [Piece(os.fsencode(path), *more) for path, *more in json.loads(text)]

    def close(self) -> None:
        """Close and remove the file."""
        self._db.close()
        self._path.unlink(missing_ok=True)
