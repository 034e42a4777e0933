"""Shard tables read together: each holds its keys and what its stage made, and a reader joins what it needs.

Of status and reason the latest counts; of another column that several stages make, the latest that says something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from paraspinal.core.errors import DamagedError
from paraspinal.core.records.columns import STATE_NAMES
from paraspinal.core.records.registry import shard_path
from paraspinal.core.records.seals import is_sealed
from paraspinal.core.records.tables import Row, Table

BEFORE = "before"
LATEST = (*STATE_NAMES, "activity_id")


@dataclass(frozen=True)
class Source:
    """A stage whose shard tables are read, and what they look like."""

    stage: str
    table: Table


def read_rows(results: Path, sources: Sequence[Source], shard: int, columns: Sequence[str]) -> list[Row]:
    """Read ``columns`` of a shard, joined over stages whose tables have the same key; earliest stage first."""
    rows: list[Row] = read_view(results, sources, shard, columns).to_pylist()
    return rows


def read_view(results: Path, sources: Sequence[Source], shard: int, columns: Sequence[str]) -> pa.Table:
    """Read ``columns`` of a shard as an Arrow table; a name may lead into a struct (``metrics.list.element.fi``).

    ``BEFORE`` stands for the activities behind each row, one of every source that was computed. Raises
    DamagedError where a table is not as its stage left it, or the tables do not have the same rows.
    """
    wanted: dict[str, list[str]] = {source.stage: [] for source in sources}
    for column in columns:
        if column == BEFORE:
            continue
        makers = [source for source in sources if column.split(".")[0] in source.table.names]
        if not makers:
            raise ValueError(f"no stage makes {column}")
        for maker in makers[-1:] if column in LATEST else makers:
            wanted[maker.stage].append(column)
    if BEFORE in columns:
        for source in sources:
            wanted[source.stage] += ["activity_id"] if "activity_id" in source.table.names else []
    parts = [_read(results, source, shard, wanted[source.stage]) for source in sources if wanted[source.stage]]
    key = list(sources[0].table.key)
    if any(not part.select(key).equals(parts[0].select(key)) for part in parts):
        raise DamagedError(f"stages disagree on the rows of shard {shard}")
    found: dict[str, pa.ChunkedArray] = {}
    for name, column in ((name, part[name]) for part in parts for name in part.column_names):
        found[name] = pc.coalesce(column, found[name]) if name in found and name not in (*key, *LATEST) else column
    if BEFORE in columns:
        ids = [part["activity_id"].to_pylist() for part in parts if "activity_id" in part.column_names]
        rows = [list(row) for row in zip(*ids, strict=True)] if ids else [[]] * parts[0].num_rows
        found[BEFORE] = pa.chunked_array([pa.array(rows, pa.list_(pa.string()))])
    order = dict.fromkeys(column.split(".")[0] for column in columns)
    return pa.table({name: found[name] for name in order})


def is_readable(results: Path, source: Source, shard: int) -> bool:
    """Whether a table is there, as its stage left it, and of this version's schema."""
    path = shard_path(results, source.stage, shard)
    return is_sealed(results, source.stage, shard) and source.table.fits(path)


def _read(results: Path, source: Source, shard: int, columns: Sequence[str]) -> pa.Table:
    """The key and some columns of one stage's table."""
    if not is_sealed(results, source.stage, shard):
        raise DamagedError(f"the table of {source.stage}, shard {shard}, is not as it was written")
    key = source.table.key
    return source.table.read_arrow(
        shard_path(results, source.stage, shard), [*key, *(name for name in columns if name not in key)]
    )
