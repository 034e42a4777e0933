"""Sheets people write: tab-separated UTF-8 text with a header line, read and refused in one way.

Errors name the row, counted as a spreadsheet does, and the column. They never quote a cell or the path of a sheet:
either may name a person.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from paraspinal.core.errors import ConfigError
from paraspinal.core.identity import SHORT_LENGTH

Cells = dict[str, str]
"""The cells of a row by column, stripped; empty where the sheet lacks the column."""

SHORT_ID = re.compile(rf"[a-z2-7]{{{SHORT_LENGTH}}}")
"""What a ``stack_id``, ``series_id`` or ``protocol_id`` of the inventory looks like."""


def read_sheet(
    path: str, sheet: str, needed: tuple[str, ...], some_of: tuple[str, ...], more: tuple[str, ...] = ()
) -> list[tuple[int, Cells]]:
    """Read (row number, cells) of a sheet with its ``needed`` columns, at least one of ``some_of`` and ``more``.

    Without a path there are none. Raises ConfigError for what is no such sheet.
    """
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
