"""The sheet of levels set by hand, which goes before what the spine model found.

A row either names the lowest vertebra of a spine scan above the sacrum, from which all the others are counted, or says
which slices of a muscle scan are one level.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from paraspinal.core.errors import ConfigError
from paraspinal.core.levels import LevelKind, all_levels, level_by_name
from paraspinal.core.records.tables import Row
from paraspinal.core.sheets import SHORT_ID, Cells, read_sheet

SHEET = "levels sheet"
LOWEST = ("L4", "L5", "L6")
"""Names the lowest free vertebra may have: two lumbar vertebrae more or less than five are not seen."""


@dataclass(frozen=True)
class HandLevel:
    """A level and its first and last slice, counted from 0 in the order of the converted image, both within it."""

    level: str
    first_slice: int
    last_slice: int


@dataclass(frozen=True)
class HandLevels:
    """What the sheet says of one scan: the name of its lowest vertebra, or levels from head to foot."""

    lowest: str | None = None
    levels: tuple[HandLevel, ...] = ()


def load_levels_sheet(path: str) -> dict[str, HandLevels]:
    """Read and check the sheet; returns what it says by ``stack_id`` or ``series_id``, nothing without a path.

    Raises ConfigError naming the row and the column that is wrong.
    """
    by_id: dict[str, list[tuple[int, Cells]]] = {}
    rows = read_sheet(path, SHEET, ("id",), ("lowest", "level"), ("first_slice", "last_slice"))
    for number, cells in rows:
        if not SHORT_ID.fullmatch(cells["id"]):
            raise _wrong(number, "id", "not an id", "a stack_id or series_id of the inventory")
        by_id.setdefault(cells["id"], []).append((number, cells))
    return {name: _of_scan(group) for name, group in by_id.items()}


def levels_by_hand(sheet: dict[str, HandLevels], scan: Row) -> HandLevels | None:
    """What the sheet says of a scan: by one of its stacks, else by its series; None if nothing."""
    names = [*(scan["stack_ids"] or []), scan["series_id"]]
    return next((sheet[name] for name in names if name in sheet), None)


def _of_scan(rows: list[tuple[int, Cells]]) -> HandLevels:
    lowest = [(number, cells["lowest"]) for number, cells in rows if cells.get("lowest")]
    if not lowest:
        return HandLevels(levels=_in_order([(number, _level(number, cells)) for number, cells in rows]))
    number, name = lowest[0]
    if len(rows) > 1:
        raise _wrong(rows[1][0], "id", f"the same as in row {rows[0][0]}", "a scan's lowest vertebra stands alone")
    if any(rows[0][1].get(column) for column in ("level", "first_slice", "last_slice")):
        raise _wrong(number, "lowest", "the row names a level too", "clear one")
    if name not in LOWEST:
        raise _wrong(number, "lowest", "not a vertebra it may be", f"one of {', '.join(LOWEST)}")
    return HandLevels(lowest=name)


def _level(number: int, cells: Cells) -> HandLevel:
    usable = [x.name for x in all_levels() if x.is_measured and x.kind is not LevelKind.BLOCK]
    if cells.get("level", "") not in usable:
        raise _wrong(number, "level", "not a level we know", f"one of {', '.join(usable)}")
    first, last = (_slice(number, cells, column) for column in ("first_slice", "last_slice"))
    return HandLevel(cells["level"], min(first, last), max(first, last))


def _slice(number: int, cells: Cells, column: str) -> int:
    cell = cells.get(column, "")
    if not (cell.isascii() and cell.isdigit()):
        raise _wrong(number, column, "not the number of a slice", "whole, counted from 0")
    return int(cell)


def _in_order(rows: Iterable[tuple[int, HandLevel]]) -> tuple[HandLevel, ...]:
    """Sort from head to foot; a level that is there twice, or out of order with the slices, is a slip."""
    ordered = sorted(rows, key=lambda row: level_by_name(row[1].level).order)
    middles = [found.first_slice + found.last_slice for _, found in ordered]
    upwards = [b > a for a, b in pairwise(middles)]
    for (before, upper), (number, lower), is_upward in zip(ordered, ordered[1:], upwards, strict=False):
        if upper.level == lower.level:
            raise _wrong(max(number, before), "level", "the same as in another row of this scan", "merge the two")
        if is_upward != upwards[0] or upper.first_slice + upper.last_slice == lower.first_slice + lower.last_slice:
            raise _wrong(number, "first_slice", "out of order with the other levels of this scan", "check both")
    return tuple(found for _, found in ordered)


def _wrong(number: int, column: str, what: str, hint: str) -> ConfigError:
    return ConfigError(f"{SHEET}, row {number}, column {column}: {what}", hint=hint)


def unmet(sheet: dict[str, HandLevels], ids: Iterable[str | None]) -> int:
    """How many scans of the sheet are not among these stacks and series."""
    return len(set(sheet) - set(ids))
