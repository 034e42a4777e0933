"""Write a table for other programs: Parquet as it is, or text with one line per row."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa

from paraspinal.core.errors import ConfigError
from paraspinal.core.files import atomic_path
from paraspinal.core.tables import write_arrow

EXPORTS = {".csv": ",", ".tsv": "\t", ".parquet": ""}
"""Known endings of an export, and what stands between two columns."""


def export(table: pa.Table, path: Path) -> None:
    """Write a table in the format its name ends with; lists become JSON in text formats, null an empty cell.

    Raises ConfigError when the file cannot be written.
    """
    try:
        if path.suffix == ".parquet":
            write_arrow(path, table)
            return
        frame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        for field in table.schema:
            if pa.types.is_list(field.type):
                frame[field.name] = [None if x is None else json.dumps(x) for x in table[field.name].to_pylist()]
        with atomic_path(path) as temporary:
            frame.to_csv(temporary, sep=EXPORTS[path.suffix], index=False)
    except OSError as error:
        raise ConfigError(f"the export cannot be written: {error.strerror}", hint="choose another --export") from None
