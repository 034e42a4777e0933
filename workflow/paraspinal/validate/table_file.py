"""Read a user's table as it comes: CSV with any separator and encoding, TSV, Parquet."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from paraspinal.core.errors import InputError
from paraspinal.validate.numbers import Numbers, find_decimal, read_numbers

SEPARATORS = ("\t", ";", ",", "|")
"""In the order of preference where a header can be read in more than one way."""
SNIFFED_ROWS = 50

Cells: TypeAlias = list[str] | pa.Array
"""A column: cells of text, or an Arrow array with its own type."""


@dataclass(frozen=True)
class UserTable:
    """Columns in their order; two may bear one name. ``decimal`` is the mark, or empty to find it in the cells."""

    names: tuple[str, ...]
    columns: tuple[Cells, ...]
    decimal: str = ""

    @property
    def n_rows(self) -> int:
        """Rows below the header."""
        return len(self.columns[0]) if self.columns else 0

    @property
    def duplicates(self) -> frozenset[str]:
        """Names that more than one column bears."""
        return frozenset(name for name, count in Counter(self.names).items() if count > 1)

    @cached_property
    def mark(self) -> str:
        """The decimal mark; raises InputError where it cannot be told."""
        return self.decimal or find_decimal(c for column in self.columns for c in column if isinstance(c, str))

    def numbers(self, name: str) -> Numbers:
        """Read a column as numbers; one that is of another kind is unreadable from end to end."""
        column = self.columns[self.names.index(name)]
        if isinstance(column, list):
            return read_numbers(column, self.mark)
        kind = column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return read_numbers((x or "" for x in column.to_pylist()), self.mark)
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            return Numbers(np.full(len(column), np.nan), len(column) - column.null_count, is_percent=False)
        values = pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False)
        return Numbers(np.where(np.isfinite(values), values, np.nan), 0, is_percent=False)

    def texts(self, name: str) -> list[str | None]:
        """Read a column as words; an empty cell is None, a whole number has no decimals."""
        column = self.columns[self.names.index(name)]
        cells = column if isinstance(column, list) else column.to_pylist()
        return [_word(x) for x in cells]


def read_table(path: Path, separator: str = "", decimal: str = "") -> UserTable:
    """Read a table by the ending of its name; ``separator`` and ``decimal`` overrule the look of a text.

    Raises InputError if it is missing, unreadable, empty or ragged; no message names the file or a value in it.
    """
    if not path.is_file():
        raise InputError("the table does not exist", hint="check the path")
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        raise InputError("spreadsheets are not read", hint="save the sheet as CSV")
    table = _parquet(path, decimal) if path.suffix.lower() == ".parquet" else _text(path, separator, decimal)
    if not table.n_rows:
        raise InputError("the table has no rows", hint="expected a header line and a row per pair")
    return table


def _parquet(path: Path, decimal: str) -> UserTable:
    try:
        found = pq.read_table(path)
    except (OSError, pa.ArrowException):
        raise InputError("the table cannot be read as Parquet", hint="check the file") from None
    arrays = [column.combine_chunks() for column in found.columns]
    plain = [a.dictionary_decode() if pa.types.is_dictionary(a.type) else a for a in arrays]
    return UserTable(tuple(found.column_names), tuple(plain), decimal)


def _text(path: Path, separator: str, decimal: str) -> UserTable:
    text = _decode(path.read_bytes())
    try:
        rows = _rows(text, separator or _find_separator(text))
    except csv.Error:
        raise InputError("the table cannot be read as text", hint="expected CSV, TSV or Parquet") from None
    if not rows:
        raise InputError("the table is empty", hint="expected a header line and a row per pair")
    header, *body = rows
    while header and not header[-1].strip() and all(len(row) < len(header) or not row[-1].strip() for row in body):
        header, body = header[:-1], [row[: len(header) - 1] for row in body]  # a separator at the end of every line
    for number, row in enumerate(body, 2):
        if len(row) > len(header):
            raise InputError(
                f"line {number} of the table has {len(row)} cells, its header {len(header)}",
                hint="quote cells that hold a separator, or name it with --separator",
            )
    columns = tuple([row[i] if i < len(row) else "" for row in body] for i in range(len(header)))
    return UserTable(tuple(name.strip() for name in header), columns, decimal)


def _decode(content: bytes) -> str:
    """UTF-8 or UTF-16 by their marks, UTF-8 without, else what spreadsheet programs of Western Europe write."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _rows(text: str, separator: str) -> list[list[str]]:
    """Split text into rows of cells; lines without any content are left out."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    return [row for row in rows if any(cell.strip() for cell in row)]


def _find_separator(text: str) -> str:
    """Choose what divides the header into several names and the rows into as many cells."""

    def fit(separator: str) -> float:
        rows = _rows("\n".join(text.splitlines()[:SNIFFED_ROWS]), separator)
        if not rows or len(rows[0]) < 2:
            return 0.0
        return sum(len(row) == len(rows[0]) for row in rows) / len(rows)

    return max(SEPARATORS, key=fit)


def _word(cell: object) -> str | None:
    if cell is None or (isinstance(cell, float) and not np.isfinite(cell)):
        return None
    text = f"{cell:.15g}" if isinstance(cell, float) else str(cell).strip()
    return text or None
