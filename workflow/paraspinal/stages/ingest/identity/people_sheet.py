"""Which row of the people sheet a file meets: the first one whose every condition holds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from paraspinal.stages.ingest.reading.record import Values
from paraspinal.stages.ingest.sheets import PersonRow

IDENTIFIERS = ("series_uid", "study_uid", "patient_id")
"""Conditions on the header, the narrowest first."""
CACHED_FOLDERS = 4096


class PeopleSheet:
    """The rows, found by one condition each, so that a long sheet costs no more per file than a short one."""

    def __init__(self, rows: Iterable[PersonRow], root: bytes) -> None:
        """Take the rows of a sheet for the files below ``root``."""
        self._rows = {row.number: row for row in rows}
        self._start = len(root.rstrip(b"/")) + 1
        self._plain: dict[tuple[str, str], list[int]] = {}
        self._wild: dict[int, list[tuple[re.Pattern[str], int]]] = {}
        self._met: set[int] = set()
        for number, row in self._rows.items():
            if found := next((name for name in IDENTIFIERS if name in row.conditions), None):
                self._plain.setdefault((found, row.conditions[found]), []).append(number)
                continue
            path = _tidy(row.conditions["path"])
            if "*" in path:
                self._wild.setdefault(path.count("/") + 1, []).append((_pattern(path), number))
            else:
                self._plain.setdefault(("path", path), []).append(number)
        self._paths = {
            n: _pattern(_tidy(r.conditions["path"])) for n, r in self._rows.items() if "path" in r.conditions
        }
        self._in_folder = lru_cache(CACHED_FOLDERS)(self._wild_rows)

    def row_of(self, path: bytes, values: Values) -> PersonRow | None:
        """Find the row that names the person of a file; None leaves it to the header."""
        if not self._rows:
            return None
        shown = _tidy(path[self._start :].replace(b"\0", b"/").decode("utf-8", "surrogateescape"))
        header = {name: str(values.get(name, "")).strip() for name in IDENTIFIERS}
        candidates = [n for item in header.items() for n in self._plain.get(item, ())]
        parts = shown.split("/")
        for depth in range(len(parts) + 1):
            start = "/".join(parts[:depth])
            candidates += self._plain.get(("path", start), ())
            if depth in self._wild:
                candidates += self._in_folder(depth, start)
        number = min((n for n in candidates if self._holds(n, shown, header)), default=None)
        if number is None:
            return None
        self._met.add(number)
        return self._rows[number]

    def _wild_rows(self, depth: int, start: str) -> tuple[int, ...]:
        """Rows whose path with stars has ``depth`` parts and fits the first ``depth`` parts of a path."""
        return tuple(number for pattern, number in self._wild[depth] if pattern.fullmatch(start))

    def _holds(self, number: int, shown: str, header: dict[str, str]) -> bool:
        conditions = self._rows[number].conditions
        if any(conditions.get(name, header[name]) != header[name] for name in IDENTIFIERS):
            return False
        return number not in self._paths or bool(self._paths[number].match(shown))

    @property
    def n_unmet(self) -> int:
        """How many rows no file has met so far."""
        return len(self._rows) - len(self._met)


def _tidy(path: str) -> str:
    """Write a path one way: no ``./`` before it, no slash around it, accents composed."""
    return unicodedata.normalize("NFC", re.sub(r"^(?:\./+)+", "", path).strip("/"))


def _pattern(path: str) -> re.Pattern[str]:
    """Match a file, or all below a folder; a star stands for any part of one name."""
    return re.compile("[^/]*".join(re.escape(part) for part in path.split("*")) + "(?=/|$)", re.DOTALL)
