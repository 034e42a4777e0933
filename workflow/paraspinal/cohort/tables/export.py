"""Write a table for other programs: text, Stata, SPSS, or Parquet, with a codebook beside it.

Names, labels and units come with the table: they stand in the metadata of its fields.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from paraspinal.core.errors import ConfigError
from paraspinal.core.files import atomic_path
from paraspinal.core.records.tables import write_arrow

TEXTS = {".csv": ",", ".tsv": "\t"}
"""Text formats, and what stands between two columns."""
EXPORTS = (*TEXTS, ".parquet", ".dta", ".sav")
"""Known endings of an export."""
MAX_LABEL = 80
"""Characters of a variable label that Stata keeps."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}",
                  "\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}")  # fmt: skip
"""A text cell that begins so may be run by a spreadsheet; one that merely holds it is text."""
STAMP = datetime.datetime(1960, 1, 1)
"""Stata's files carry a time; the same one always, so that equal tables are equal bytes."""
CODEBOOK = ("name", "label", "type", "unit", "description", "formula", "missing_means", "n", "n_missing")


def export(table: pa.Table, path: Path) -> None:
    """Write a table in the format its name ends with; lists become JSON in other formats than Parquet.

    Null is an empty cell of text and a missing value elsewhere; an empty text where the format knows no missing text.
    Raises ConfigError when the ending is unknown or the file cannot be written.
    """
    writer = {**dict.fromkeys(TEXTS, _text), ".parquet": _parquet, ".dta": _stata, ".sav": _spss}.get(path.suffix)
    if writer is None:
        raise ConfigError("the export has no known format", hint=f"end its name with {', '.join(EXPORTS)}")
    try:
        writer(table, path)
    except OSError as error:
        raise ConfigError(f"the export cannot be written: {error.strerror}", hint="choose another file") from None


def export_with_codebook(table: pa.Table, path: Path) -> Path:
    """Write a table and, beside it, a CSV that explains its columns; returns the path of the codebook."""
    export(table, path)
    beside = path.with_name(f"{path.stem}_codebook.csv")
    export(codebook(table), beside)
    return beside


def export_partitioned(table: pa.Table, folder: Path, column: str) -> None:
    """Write a table as a folder of Parquet files, one sub-folder ``column=value`` for each value.

    Raises ConfigError when there is no such column, its values are no text or number, or the folder is not empty.
    """
    if column not in table.column_names or pa.types.is_nested(table[column].type):
        raise ConfigError("the table cannot be partitioned by this column", hint="name a column of text or numbers")
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError("the folder of the export is not empty", hint="choose another, or empty it")
    try:
        ds.write_dataset(
            table, folder, format="parquet", partitioning=[column], partitioning_flavor="hive",
            file_options=ds.ParquetFileFormat().make_write_options(compression="zstd"), max_partitions=100_000,
        )  # fmt: skip
    except OSError as error:
        raise ConfigError(f"the export cannot be written: {error.strerror}", hint="choose another folder") from None


def codebook(table: pa.Table) -> pa.Table:
    """Explain every column: name, label, type, unit, meaning, formula, what a missing value means, and counts."""
    rows: list[dict[str, Any]] = []
    for field in table.schema:
        meta = _meta(field)
        missing = table[field.name].null_count
        rows.append({
            "name": field.name, "label": label(field), "type": str(field.type), "unit": meta.get("unit"),
            "description": meta.get("description"), "formula": meta.get("formula"),
            "missing_means": meta.get("null", "never missing"), "n": len(table) - missing, "n_missing": missing,
        })  # fmt: skip
    kinds = {"n": pa.int64(), "n_missing": pa.int64()}
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, kinds.get(name, pa.string())) for name in CODEBOOK]))


def label(field: pa.Field) -> str:
    """Say in a line what a column is, with its unit; short enough for every program."""
    meta = _meta(field)
    unit = f" [{meta['unit']}]" if meta.get("unit") not in (None, "1") else ""
    text = meta.get("description", str(field.name))
    return text[: MAX_LABEL - len(unit)] + unit


def neutral(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula; a lone CR would end the row."""
    return ("'" + text if text.lstrip(" ").startswith(FORMULA_STARTS) else text).replace("\r", "\n")


def _meta(field: pa.Field) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}


def _parquet(table: pa.Table, path: Path) -> None:
    write_arrow(path, table)


def _text(table: pa.Table, path: Path) -> None:
    frame = _frame(table, {pa.int64(): pd.Int64Dtype()})
    for field in table.schema:
        if not _is_number(field.type):
            frame[field.name] = frame[field.name].map(neutral, na_action="ignore")
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, sep=TEXTS[path.suffix], index=False, lineterminator="\n")


def _stata(table: pa.Table, path: Path) -> None:
    frame = _plain(table)
    with atomic_path(path) as temporary:
        frame.to_stata(
            temporary,
            write_index=False,
            version=118,
            time_stamp=STAMP,
            variable_labels={field.name: label(field) for field in table.schema},
        )


def _spss(table: pa.Table, path: Path) -> None:
    import pyreadstat

    with atomic_path(path) as temporary:
        pyreadstat.write_sav(_plain(table), str(temporary), column_labels=[label(field) for field in table.schema])


def _plain(table: pa.Table) -> pd.DataFrame:
    """A frame of doubles and text only: what every statistics program knows."""
    frame = _frame(table, {})
    columns = {}
    for field in table.schema:
        column = frame[field.name]
        if pa.types.is_boolean(field.type):
            columns[field.name] = pd.Series(pc.cast(table[field.name], pa.int8()).to_pandas(), dtype="float64")
        elif _is_number(field.type):
            columns[field.name] = column.astype("float64")
        else:
            columns[field.name] = column.astype(object).where(column.notna(), "")
    return pd.DataFrame(columns, index=frame.index)


def _frame(table: pa.Table, types: dict[pa.DataType, Any]) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(types_mapper=types.get)
    for field in table.schema:
        if pa.types.is_list(field.type):
            frame[field.name] = [None if x is None else json.dumps(x) for x in table[field.name].to_pylist()]
    return frame


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))
