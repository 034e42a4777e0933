"""Tables with one declared Arrow schema each, written only through it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from paraspinal.core.errors import DamagedError
from paraspinal.core.files import atomic_path

Row = dict[str, Any]
"""One table row: column name to plain Python value; None is null."""


@dataclass(frozen=True)
class Column:
    """One column and all a reader needs to know of it; goes into the field metadata and the data dictionary."""

    name: str
    type: pa.DataType
    description: str
    unit: str = ""
    formula: str = ""
    null_meaning: str = ""

    @property
    def is_nullable(self) -> bool:
        """A column may hold nulls only when it says what a null means."""
        return bool(self.null_meaning)

    def field(self) -> pa.Field:
        """Arrow field with unit and description as metadata."""
        meta = {"description": self.description, "unit": self.unit, "formula": self.formula, "null": self.null_meaning}
        return pa.field(self.name, self.type, self.is_nullable, {k: v for k, v in meta.items() if v})


@dataclass(frozen=True)
class Table:
    """A table's name, columns and key."""

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    def __post_init__(self) -> None:
        names = [c.name for c in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: a column is declared twice")
        if not set(self.key) <= set(names):
            raise ValueError(f"{self.name}: key columns are missing")

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema."""
        return pa.schema([c.field() for c in self.columns])

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(c.name for c in self.columns)

    def arrow(self, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
        """Build an Arrow table; a missing column is null, an unknown one raises ValueError.

        Rows are sorted by the key, so that equal content is equal bytes. A null in a column that may not be
        null raises ValueError.
        """
        known = set(self.names)
        rows = sorted(rows, key=lambda row: tuple(str(row.get(k)) for k in self.key))
        for row in rows:
            if unknown := set(row) - known:
                raise ValueError(f"{self.name}: unknown columns {sorted(unknown)}")
        table = pa.Table.from_pylist([dict(row) for row in rows], schema=self.schema)
        for column in self.columns:
            if not column.is_nullable and table[column.name].null_count:
                raise ValueError(f"{self.name}: {column.name} may not be null")
        return table

    def write(self, path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows atomically as Parquet."""
        write_arrow(path, self.arrow(rows))

    def read(self, path: Path) -> list[Row]:
        """Read rows; raises DamagedError if the file is damaged or was written under another schema."""
        rows: list[Row] = self.read_arrow(path).to_pylist()
        return rows

    def fits(self, path: Path) -> bool:
        """Whether a file was written under this schema; opens its footer only."""
        return bool(pq.read_schema(path).equals(self.schema))

    def read_arrow(self, path: Path, columns: Sequence[str] | None = None) -> pa.Table:
        """Read all or some columns, dotted names into structs; raises DamagedError as `read` does."""
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                if not file.schema_arrow.equals(self.schema):
                    raise DamagedError(f"{self.name}: a file has another schema")
                return file.read(columns=None if columns is None else list(columns), use_threads=False)
        except (OSError, pa.ArrowException):
            if not path.exists():
                raise
            raise DamagedError(f"{self.name}: a file is damaged") from None


def write_arrow(path: Path, table: pa.Table) -> None:
    """Write an Arrow table atomically as Parquet."""
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
