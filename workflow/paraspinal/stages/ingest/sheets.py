"""The user's two sheets, checked whole before anything is written: who is who, and what the headers got wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from paraspinal.core.errors import ConfigError
from paraspinal.core.settings import Settings
from paraspinal.core.sheets import SHORT_ID, Cells, read_sheet
from paraspinal.core.vocab import DixonPart, Sequence
from paraspinal.stages.ingest.kinds.region import BodyRegion

PEOPLE, OVERRIDE = "people sheet", "override sheet"
CONDITIONS = ("path", "patient_id", "study_uid", "series_uid")
"""Columns of the people sheet a file must meet; at least one of them is there."""
CORRECTIONS = ("sequence", "dixon_part", "is_fat_suppressed", "body_region", "use")
"""Columns of the override sheet that change something; at least one of them is there."""

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
    people = read_sheet(settings.ingest.people_sheet, PEOPLE, ("person",), CONDITIONS, ("visit",))
    overrides = read_sheet(settings.ingest.override_sheet, OVERRIDE, ("id",), CORRECTIONS)
    return Sheets(
        tuple(_person(number, cells) for number, cells in people),
        tuple(_override(number, cells) for number, cells in _unique(overrides)),
    )


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
    if not SHORT_ID.fullmatch(cells["id"]):
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
