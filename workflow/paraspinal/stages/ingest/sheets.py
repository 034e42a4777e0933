"""The user's two sheets, checked whole before anything is written: who is who, and what the headers got wrong.

Both are tab-separated UTF-8 text with a header line. Errors name the row, counted as a spreadsheet does, and the
column. They never quote a cell or the path of a sheet: either may name a person.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from paraspinal.core.errors import ConfigError
from paraspinal.core.identity import SHORT_LENGTH
from paraspinal.core.settings import Settings
from paraspinal.core.vocab import BodyRegion, DixonPart, Sequence

PEOPLE, OVERRIDE = "people sheet", "override sheet"
CONDITIONS = ("path", "patient_id", "study_uid", "series_uid")
"""Columns of the people sheet a file must meet; at least one of them is there."""
CORRECTIONS = ("sequence", "dixon_part", "is_fat_suppressed", "body_region", "use")
"""Columns of the override sheet that change something; at least one of them is there."""

Cells = dict[str, str]
"""The cells of a row by column, stripped; empty where the sheet lacks the column."""
_ID = re.compile(rf"[a-z2-7]{{{SHORT_LENGTH}}}")
_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True)
class PersonRow:
    """One row of the people sheet: files that meet all of its conditions show this person, at this visit."""

    number: int
    conditions: Cells
    person: str
    visit: str = ""


@dataclass(frozen=True)
class OverrideRow:
    """One row of the override sheet: what holds for a stack, a series or a protocol; None is as found."""

    number: int
    id: str
    sequence: Sequence | None = None
    dixon_part: DixonPart | None = None
    is_fat_suppressed: bool | None = None
    body_region: BodyRegion | None = None
    use: bool | None = None


@dataclass(frozen=True)
class Sheets:
    """What both sheets say, in the order of their rows; nothing where the user has none."""

    people: tuple[PersonRow, ...] = ()
    overrides: tuple[OverrideRow, ...] = ()


def load_sheets(settings: Settings) -> Sheets:
    """Read and check the sheets of a run. Raises ConfigError naming the row and the column that is wrong."""
    people = _read(settings.ingest.people_sheet, PEOPLE, ("person",), CONDITIONS, ("visit",))
    overrides = _read(settings.ingest.override_sheet, OVERRIDE, ("id",), CORRECTIONS)
    return Sheets(
        tuple(_person(number, cells) for number, cells in people),
        tuple(_override(number, cells) for number, cells in _unique(overrides)),
    )


def _read(
    path: str, sheet: str, needed: tuple[str, ...], some_of: tuple[str, ...], more: tuple[str, ...] = ()
) -> list[tuple[int, Cells]]:
    """Read (row number, cells) of a sheet with its ``needed`` columns, at least one of ``some_of`` and ``more``."""
    if not path:
        return []
    rows = read_rows(path, sheet)
    columns = _columns(rows[0][1], sheet, needed, some_of, more)
    return [(number, cells_of(number, row, sheet, columns, needed)) for number, row in rows[1:]]


def read_rows(path: str, sheet: str) -> list[tuple[int, list[str]]]:
    """Read the rows of a sheet that are not empty, each with its number; the first names the columns.

    Raises ConfigError when the file cannot be read, is no tab-separated UTF-8 text, or holds nothing.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"the {sheet} is not UTF-8 text", hint="save it as tab-separated text") from None
    except (OSError, ValueError):
        raise ConfigError(f"the {sheet} cannot be read", hint="check its path and permissions") from None
    reader = csv.reader(io.StringIO(text), delimiter="\t", strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        rows.extend((number, [cell.strip() for cell in row]) for number, row in enumerate(reader, start=1))
    except csv.Error:
        raise ConfigError(f"{sheet}, row {len(rows) + 1}: not tab-separated text", hint="check its quotes") from None
    rows = [(number, row) for number, row in rows if any(row)]
    if not rows:
        raise ConfigError(f"the {sheet} is empty", hint="the first line names the columns")
    return rows


def _columns(
    names: list[str], sheet: str, needed: tuple[str, ...], some_of: tuple[str, ...], more: tuple[str, ...]
) -> list[str]:
    """Check the header line, which may be a row of data by mistake and so is not quoted either."""
    known = (*needed, *some_of, *more)
    hint = f"tab-separated, with the columns {', '.join(known)}"
    names = [name.lower() for name in names]
    for place, name in enumerate(names, start=1):
        if name not in known:
            raise ConfigError(f"{sheet}, row 1: column {place} has no known name", hint=hint)
        if name in names[: place - 1]:
            raise ConfigError(f"{sheet}, row 1: column {name} is there twice", hint=hint)
    for name in needed:
        if name not in names:
            raise ConfigError(f"{sheet}, row 1: there is no column {name}", hint=hint)
    if not set(some_of) & set(names):
        raise ConfigError(f"{sheet}, row 1: there is no column {' or '.join(some_of)}", hint=hint)
    return names


def cells_of(number: int, row: list[str], sheet: str, columns: list[str], needed: tuple[str, ...]) -> Cells:
    """Name the cells of a row; raises ConfigError when there are too many or one of ``needed`` is empty."""
    if any(row[len(columns) :]):
        raise ConfigError(f"{sheet}, row {number}: more cells than columns", hint="one tab between two cells")
    cells = dict(zip(columns, row, strict=False))
    for name in needed:
        if not cells.get(name):
            raise ConfigError(f"{sheet}, row {number}, column {name}: empty", hint="every row needs one")
    return cells


def _person(number: int, cells: Cells) -> PersonRow:
    conditions = {name: cells[name] for name in CONDITIONS if cells.get(name)}
    if not conditions:
        raise ConfigError(
            f"{PEOPLE}, row {number}: no condition", hint=f"fill one of {', '.join(CONDITIONS)}; path * fits every file"
        )
    return PersonRow(number, conditions, cells["person"], cells.get("visit", ""))


def _unique(rows: Iterable[tuple[int, Cells]]) -> list[tuple[int, Cells]]:
    """Refuse a second row for the same id, which would leave open which of them holds."""
    seen: dict[str, int] = {}
    kept = []
    for number, cells in rows:
        before = seen.setdefault(cells["id"], number)
        if before != number:
            raise ConfigError(f"{OVERRIDE}, row {number}, column id: the same as in row {before}", hint="merge the two")
        kept.append((number, cells))
    return kept


def _override(number: int, cells: Cells) -> OverrideRow:
    if not _ID.fullmatch(cells["id"]):
        hint = "a stack_id, series_id or protocol_id of the inventory"
        raise ConfigError(f"{OVERRIDE}, row {number}, column id: not an id", hint=hint)
    sequence = _word(number, cells, "sequence", Sequence)
    part = _word(number, cells, "dixon_part", DixonPart)
    is_fat_suppressed = _yes_or_no(number, cells, "is_fat_suppressed")
    if part and sequence not in (None, Sequence.DIXON):
        raise ConfigError(f"{OVERRIDE}, row {number}, column dixon_part: the sequence is not dixon", hint="clear one")
    if sequence is Sequence.DIXON and not part:
        raise ConfigError(f"{OVERRIDE}, row {number}, column dixon_part: which part of the set?", hint="fill the cell")
    if sequence is Sequence.STIR and is_fat_suppressed is False:
        hint = "clear the cell, or choose another sequence"
        raise ConfigError(f"{OVERRIDE}, row {number}, column is_fat_suppressed: STIR always is", hint=hint)
    return OverrideRow(
        number,
        cells["id"],
        Sequence.DIXON if part else sequence,
        part,
        is_fat_suppressed,
        _word(number, cells, "body_region", BodyRegion),
        _yes_or_no(number, cells, "use"),
    )


def _word(number: int, cells: Cells, column: str, words: type[_Word]) -> _Word | None:
    cell = cells.get(column, "").lower()
    for word in words:
        if cell == word.value.lower():
            return word
    if cell:
        hint = f"one of {', '.join(words)}, or empty"
        raise ConfigError(f"{OVERRIDE}, row {number}, column {column}: not a word we know", hint=hint)
    return None


def _yes_or_no(number: int, cells: Cells, column: str) -> bool | None:
    cell = cells.get(column, "").lower()
    if cell not in ("", "yes", "no"):
        raise ConfigError(f"{OVERRIDE}, row {number}, column {column}: neither yes nor no", hint="or leave it empty")
    return {"yes": True, "no": False}.get(cell)
