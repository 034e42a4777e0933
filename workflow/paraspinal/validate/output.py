"""Write tables of agreement: Parquet and CSV through their declared schema, a dictionary, and what was asked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from paraspinal.core.errors import ResultsError
from paraspinal.core.files import atomic_path, write_json, write_text
from paraspinal.core.records.tables import Row, Table, write_arrow
from paraspinal.core.version import version
from paraspinal.validate.pairing import MaskPair


def write_tables(folder: Path, tables: Iterable[tuple[Table, list[Row]]], options: dict[str, Any]) -> None:
    """Write ``<table>.parquet`` and ``.csv`` each, ``dictionary.json`` and ``options.json``.

    ``options`` may hold no path and no name of a person. Raises ResultsError if the folder cannot be written.
    """
    tables = list(tables)
    try:
        for table, rows in tables:
            found = table.arrow(rows)
            write_arrow(folder / f"{table.name}.parquet", found)
            with atomic_path(folder / f"{table.name}.csv") as temporary:
                found.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get).to_csv(temporary, index=False)
        write_json(folder / "dictionary.json", {table.name: _describe(table) for table, _ in tables})
        write_json(folder / "options.json", {"version": version(), **options})
    except OSError as error:
        raise ResultsError(f"the results cannot be written: {error.strerror}", hint="choose another --out") from None


def _describe(table: Table) -> dict[str, Any]:
    columns = [
        {"name": f.name, "type": str(f.type), **{k.decode(): v.decode() for k, v in (f.metadata or {}).items()}}
        for f in table.schema
    ]
    return {"description": table.description, "key": list(table.key), "columns": columns}


def write_names(path: Path, pairs: list[MaskPair]) -> None:
    """Write which pair is which file, tab-separated. It names files: the only table here that may name people.

    Raises ResultsError if it cannot be written.
    """
    lines = ["pair\tprediction\treference"]
    lines += [f"{number}\t{pair.prediction or ''}\t{pair.reference or ''}" for number, pair in enumerate(pairs, 1)]
    try:
        write_text(path, "\n".join(lines) + "\n")
    except OSError as error:
        raise ResultsError(f"the names cannot be written: {error.strerror}", hint="choose another --names") from None
