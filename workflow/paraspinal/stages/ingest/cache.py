"""The private cache of file records: what was read once and has not changed is not read again.

It also bounds memory: records are written as they are read and come back one series at a time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from paraspinal.stages.ingest.record import RECORD_VERSION, FileRecord

_SCHEMA = """
create table if not exists files (
  path blob primary key, size integer, mtime_ns integer, series text, record text, run integer
) without rowid;
create index if not exists by_series on files (run, series, path);
"""


class Cache:
    """Records by path, size and modification time, in one private file."""

    def __init__(self, path: Path) -> None:
        """Open or create the file; a damaged one, or one of another version, is replaced."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._db = self._open(path)
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            self._db = self._open(path)
        self._run = (self._db.execute("select coalesce(max(run), 0) from files").fetchone()[0]) + 1

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        database = sqlite3.connect(path)
        version = database.execute("pragma user_version").fetchone()[0]
        if version not in (0, RECORD_VERSION):
            database.close()
            raise sqlite3.DatabaseError("another version")
        database.executescript(_SCHEMA)
        database.execute(f"pragma user_version = {RECORD_VERSION}")
        database.execute("pragma synchronous = off")  # a lost cache costs one more reading, nothing else
        return database

    def is_known(self, path: bytes, size: int, mtime_ns: int) -> bool:
        """Whether the file is unchanged since it was last read; if so it counts as seen in this run."""
        done = self._db.execute(
            "update files set run = ? where path = ? and size = ? and mtime_ns = ?", (self._run, path, size, mtime_ns)
        )
        return done.rowcount == 1

    def put(self, records: Iterable[tuple[bytes, int, int, str, FileRecord]]) -> None:
        """Keep (path, size, mtime_ns, series key, record) rows as seen in this run."""
        self._db.executemany(
            "insert or replace into files values (?, ?, ?, ?, ?, ?)",
            ((p, size, mtime, series, record.dumps(), self._run) for p, size, mtime, series, record in records),
        )
        self._db.commit()

    def series(self) -> Iterator[tuple[str, list[tuple[bytes, FileRecord]]]]:
        """Yield (series key, its files in path order) of everything seen in this run."""
        rows = self._db.execute(
            "select series, path, record from files where run = ? order by series, path", (self._run,)
        )
        for key, members in groupby(rows, key=lambda row: str(row[0])):
            yield key, [(bytes(path), FileRecord.loads(text)) for _, path, text in members]

    def close(self) -> None:
        """Forget files that are gone and close."""
        self._db.execute("delete from files where run < ?", (self._run,))
        self._db.commit()
        self._db.close()
