"""Read the cohort tables and decide which values a summary may use."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from paraspinal.core.errors import InputError
from paraspinal.core.records.manifest import read_manifest
from paraspinal.core.records.people_schemas import PARTICIPANTS
from paraspinal.core.records.receipts import ACTIVITIES
from paraspinal.core.records.schemas import INVENTORY, LEVELS, METRICS, QUALITY, SCANS
from paraspinal.core.records.tables import Row, Table
from paraspinal.core.vocab import Light

SHA256_DIGITS = 64
SCAN_KEY = ["subject", "session", "scan_id"]
SIZE_KEY = [*SCAN_KEY, "muscle", "side", "level", "level_scheme"]
"""Key of a size; metrics repeat it once per fat method."""

_METRIC_COLUMNS = [
    *SIZE_KEY, "fi_method", "acsa_mm2", "volume_mm3", "fi", "fi_reason_code", "reason_code", "sequence",
]  # fmt: skip

DICTIONARY = "dictionary.json"


@dataclass(frozen=True)
class FatMethodWords:
    """What the data dictionary says of a fat method; ``gate`` is when it gives a value at all, None for always."""

    name: str
    title: str
    short_name: str
    definition: str
    gate: str | None
    sequences: tuple[str, ...]


@dataclass(frozen=True)
class Cohort:
    """The tables of one results folder, one frame each, columns as declared in the schemas.

    ``metrics`` holds only the columns the report uses, texts as categories, and ``visit_order``; ``usable`` are its
    rows without those that a red flag of the quality table speaks about. ``fat_methods`` are those the data dictionary
    describes, by name and in the order of their titles. ``measured`` are the keys of the scans with at
    least one cross-section.
    """

    inventory: pd.DataFrame
    scans: pd.DataFrame
    levels: pd.DataFrame
    metrics: pd.DataFrame
    quality: pd.DataFrame
    participants: pd.DataFrame
    dictionary: dict[str, Any]
    fat_methods: dict[str, FatMethodWords]
    parameters: dict[str, Any]
    """Parameters by stage and name, as the receipts behind the tables have them; a list where there are several."""
    usable: pd.DataFrame
    measured: pd.MultiIndex
    sizes_given: dict[str, int]
    """How many rows of the metrics table hold a value, by column."""


def read_cohort(results: Path) -> Cohort:
    """Read ``tables/`` of a results folder.

    Raises InputError if one is missing, unreadable or was written under another schema.
    """
    tables = results / "tables"
    scans = read_table(SCANS, tables)
    quality = read_table(QUALITY, tables)
    scans = scans.assign(visit_order=visit_order(scans))
    metrics = _metrics(tables, scans)
    has_size = metrics.loc[metrics["acsa_mm2"].notna(), SCAN_KEY].drop_duplicates()
    return Cohort(
        inventory=read_table(INVENTORY, tables),
        scans=scans,
        levels=read_table(LEVELS, tables),
        metrics=metrics,
        quality=quality,
        participants=read_table(PARTICIPANTS, tables),
        dictionary=_document(tables / DICTIONARY),
        fat_methods=read_fat_methods(tables, metrics["fi_method"].cat.categories),
        parameters=_parameters(tables),
        usable=metrics[~flagged(metrics, quality, Light.RED)],
        measured=pd.MultiIndex.from_frame(plain(has_size)),
        sizes_given=_values_given(tables / f"{METRICS.name}.parquet"),
    )


def _parameters(tables: Path) -> dict[str, Any]:
    """What every stage was told, from the receipts, and the aggregation, from the manifest; digests left out."""
    manifest = read_manifest(tables)
    said = [("aggregate", manifest.recipe["parameters"])] if manifest else []
    units = read_arrow(ACTIVITIES, tables, ["stage", "parameters"])
    distinct = units.group_by(["stage", "parameters"]).aggregate([]).sort_by("stage").to_pylist()
    said += [(row["stage"], json.loads(row["parameters"])) for row in distinct]
    found: dict[str, list[Any]] = {}
    for stage, parameters in said:
        for name, value in parameters.items():
            values = found.setdefault(f"{stage}.{name}", [])
            if value not in values and not _is_digest(name, value):
                values.append(value)
    return {key: v[0] if len(v) == 1 else v for key, v in sorted(found.items()) if v}


def _is_digest(name: str, value: Any) -> bool:
    return name.startswith("code of ") or (isinstance(value, str) and len(value) == SHA256_DIGITS and value.isalnum())


def _metrics(tables: Path, scans: pd.DataFrame) -> pd.DataFrame:
    """Read the metrics with texts as categories, which large cohorts need, and the order of each scan's visit."""
    texts = [name for name in _METRIC_COLUMNS if METRICS.schema.field(name).type == pa.string()]
    metrics: pd.DataFrame = read_arrow(METRICS, tables, _METRIC_COLUMNS, categories=texts).to_pandas()
    order = scans[["session", "visit_order"]].drop_duplicates().set_index("session")
    if not order.index.is_unique:
        raise InputError("a visit in the tables belongs to several people", hint="run the workflow again")
    return metrics.assign(visit_order=metrics["session"].map(order["visit_order"]).astype("int64"))


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn categories back into text, for frames that are small or meet others."""
    return frame.astype({name: "str" for name, kind in frame.dtypes.items() if kind == "category"})


def _values_given(path: Path) -> dict[str, int]:
    """Count the values of every column of a Parquet file that are not null, from its statistics."""
    about = pq.read_metadata(path)
    if not about.num_rows:
        return {}
    nulls: dict[str, int] = {}
    for group in range(about.num_row_groups):
        for place in range(about.num_columns):
            column = about.row_group(group).column(place)
            nulls[column.path_in_schema] = nulls.get(column.path_in_schema, 0) + column.statistics.null_count
    return {name: about.num_rows - n for name, n in nulls.items()}


def read_arrow(
    table: Table, folder: Path, columns: list[str] | None = None, where: Any = None, categories: Sequence[str] = ()
) -> pa.Table:
    """Read a cohort table, or some columns of it, where an Arrow expression holds; ``categories`` come as dictionaries.

    Raises InputError if it is missing, unreadable or was written under another schema.
    """
    path = folder / f"{table.name}.parquet"
    try:
        schema = pq.read_schema(path)
        found = pq.read_table(path, columns=columns, filters=where, read_dictionary=list(categories))
    except (OSError, ValueError):
        raise InputError(f"the table {table.name} is missing or damaged", hint="run the workflow again") from None
    if not schema.equals(table.schema):
        raise InputError(f"the table {table.name} was written by another version", hint="run the workflow again")
    return found


def read_table(table: Table, folder: Path, columns: list[str] | None = None, where: Any = None) -> pd.DataFrame:
    """Read a cohort table as a frame; see :func:`read_arrow`."""
    frame: pd.DataFrame = read_arrow(table, folder, columns, where).to_pandas()
    return frame


def _document(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError):
        raise InputError(f"{path.name} is missing or damaged", hint="run the workflow again") from None
    if not isinstance(found, dict):
        raise InputError(f"{path.name} holds no keys", hint="run the workflow again")
    return found


def read_fat_methods(tables: Path, used: Iterable[Any]) -> dict[str, FatMethodWords]:
    """Read from the data dictionary what fat methods there are, by name and in the order of their titles.

    Raises InputError if the dictionary is missing, damaged or of another version, or knows not all that are ``used``
    (null: none).
    """
    try:
        described = _document(tables / DICTIONARY)["fi_method"]
        found = [
            FatMethodWords(name, **{**words, "sequences": tuple(words["sequences"])})
            for name, words in described.items()
        ]
    except (KeyError, TypeError, AttributeError):
        raise InputError("the data dictionary was written by another version", hint="run the workflow again") from None
    if unknown := sorted({name for name in used if not pd.isna(name)} - set(described)):
        raise InputError(
            f"the data dictionary does not know the fat method {unknown[0]}", hint="run the workflow again"
        )
    return {method.name: method for method in sorted(found, key=lambda method: method.title)}


def visit_order(scans: pd.DataFrame) -> pd.Series[int]:
    """Rank the sessions of each person from 0: by visit number, then by name where the visit is not stated."""
    order = scans.sort_values(["subject", "visit", "session"], na_position="last", kind="stable")
    first_seen = order[["subject", "session"]].drop_duplicates()
    rank = first_seen.groupby("subject").cumcount().rename("visit_order")
    ranked = first_seen.assign(visit_order=rank)
    return scans[["subject", "session"]].merge(ranked, how="left")["visit_order"].set_axis(scans.index)


def flagged(metrics: pd.DataFrame, quality: pd.DataFrame, light: Light) -> pd.Series[bool]:
    """Mark the metric rows that a flag of this light speaks about.

    A null muscle, side or level in a flag stands for all of them. Flags are joined pattern by pattern of nulls,
    at most eight joins whatever the number of flags.
    """
    marked = pd.Series(False, index=metrics.index)
    flags = quality.loc[quality["light"] == light, [*SCAN_KEY, "muscle", "side", "level"]]
    near = plain(metrics.loc[metrics["session"].isin(flags["session"]), [*SCAN_KEY, "muscle", "side", "level"]])
    is_given = flags[["muscle", "side", "level"]].notna()
    for pattern, rows in flags.groupby([is_given[c] for c in is_given]):
        parts = [c for c, given in zip(is_given, pattern, strict=True) if given]
        wanted = pd.MultiIndex.from_frame(rows[[*SCAN_KEY, *parts]])
        hit = pd.MultiIndex.from_frame(near[[*SCAN_KEY, *parts]]).isin(wanted)
        marked.loc[near.index[hit]] = True
    return marked


def records(frame: pd.DataFrame) -> list[Row]:
    """List a frame's rows as plain mappings."""
    return cast(list[Row], frame.to_dict("records"))


def groups(frame: pd.DataFrame, by: list[str]) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """Yield the rows of each distinct key, keys as text in the order of the columns, sorted."""
    for key, rows in frame.groupby(by):
        yield tuple(str(part) for part in cast(tuple[Any, ...], key)), rows


def sizes(metrics: pd.DataFrame) -> pd.DataFrame:
    """Keep one row per scan, muscle, side, level and scheme, whatever the number of fat methods."""
    return metrics.drop_duplicates(SIZE_KEY)
