"""The private cache of file records: what was read once and has not changed is not read again.

It also bounds memory: records are written as they are read and come back one series at a time. There is one cache per
input folder, held by one process at a time.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from paraspinal.stages.ingest.reading.record import RECORD_VERSION, FileRecord, Values

Read = tuple[bytes, int, int, str | None, FileRecord | None]
"""(path, size, mtime_ns, series key, record) of one file. An archive that was read has neither key nor record: its
members, which follow it, stand for it."""

_SCHEMA = """
create table if not exists files (
  id integer primary key, path blob not null unique, container integer, size integer, mtime_ns integer,
  series text, record text
);
create index if not exists by_series on files (series, path) where series is not null;
create index if not exists by_container on files (container) where container is not null;
"""
_PUT = """
insert into files (path, container, size, mtime_ns, series, record) values (?, ?, ?, ?, ?, ?)
on conflict (path) do update set container = excluded.container, size = excluded.size, mtime_ns = excluded.mtime_ns,
  series = excluded.series, record = excluded.record
returning id
"""
CLAIMS = ("patient_id", "patient_name", "birth_date", "study_uid", "series_uid")
"""Values that say whose image it is."""
_BATCH = 5000


class Cache:
    """Records by path, size and modification time, in one private file."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, waiting for another process that holds it; a damaged one is replaced."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(path.with_suffix(".lock"), os.O_WRONLY | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            self._db = self._open(path)
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            self._db = self._open(path)
        self._seen = bytearray()

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
        """Whether the file is unchanged since it was last read; if so it, or all an archive holds, counts as seen."""
        found = self._db.execute("select id, size, mtime_ns, series from files where path = ?", (path,)).fetchone()
        if found is None or found[1:3] != (size, mtime_ns):
            return False
        self._see(found[0])
        if found[3] is None:
            for (member,) in self._db.execute("select id from files where container = ?", (found[0],)):
                self._see(member)
        return True

    def put(self, reads: Iterable[Read]) -> None:
        """Keep what was read; it counts as seen."""
        containers: dict[bytes, int] = {}
        for path, size, mtime_ns, series, record in reads:
            container = containers.get(path.partition(b"\0")[0]) if b"\0" in path else None
            text = record.dumps() if record else None
            (number,) = self._db.execute(_PUT, (path, container, size, mtime_ns, series, text)).fetchone()
            self._see(number)
            if series is None:
                containers[path] = number
        self._db.commit()

    def _see(self, number: int) -> None:
        if number >= len(self._seen):
            self._seen.extend(bytes(max(_BATCH, number + 1 - len(self._seen))))
        self._seen[number] = 1

    def forget_unseen(self) -> int:
        """Forget every file this process has not seen; returns how many files there are (archives by their members)."""
        numbers = (row[0] for row in self._db.execute("select id from files order by id"))
        gone = [number for number in numbers if number >= len(self._seen) or not self._seen[number]]
        while batch := gone[-_BATCH:]:
            self._db.executemany("delete from files where id = ?", ((number,) for number in batch))
            del gone[-_BATCH:]
        self._db.commit()
        return int(self._db.execute("select count(*) from files where series is not null").fetchone()[0])

    def claims(self) -> Iterator[tuple[bytes, Values]]:
        """Yield what every DICOM image says of who it shows, without reading whole records."""
        fields = ", ".join(f"json_extract(record, '$.values.{name}')" for name in CLAIMS)
        rows = self._db.execute(f"select path, {fields} from files where series >= 'd|' and series < 'd}}'")
        for path, *found in rows:
            yield bytes(path), {name: value for name, value in zip(CLAIMS, found, strict=True) if value}

    def series(self) -> Iterator[tuple[str, list[tuple[bytes, FileRecord]]]]:
        """Yield (series key, its files in path order) of everything that is known."""
        rows = self._db.execute("select series, path, record from files where series is not null order by series, path")
        for key, members in groupby(rows, key=lambda row: str(row[0])):
            yield key, [(bytes(path), FileRecord.loads(text)) for _, path, text in members]

    def close(self) -> None:
        """Close, and let the next process in."""
        self._db.close()
        os.close(self._lock)
