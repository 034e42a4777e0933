"""Write what the stages read next, and keep the way back to the files private."""

from __future__ import annotations

import filecmp
import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from paraspinal.core.errors import ResultsError
from paraspinal.core.files import TEMPORARY_PREFIX, atomic_path, write_json
from paraspinal.core.records.registry import shard_name
from paraspinal.core.records.tables import Table
from paraspinal.stages.ingest.stacking.stack_store import Piece

COHORT = "registry/cohort.json"
ID_BYTES = 8
_INDEX = pa.schema(
    [
        pa.field("stack_id", pa.string(), False),
        pa.field("source", pa.string(), False),
        pa.field("paths", pa.list_(pa.binary()), False),
        pa.field("frames", pa.list_(pa.int64()), False),
    ]
)


def cohort_id(results: Path) -> str:
    """Read the random name of this cohort's private folder, choosing one on the first run."""
    path = results / COHORT
    if path.exists():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["cohort_id"]
            if isinstance(found, str) and found.isalnum():
                return found
        except (ValueError, KeyError, TypeError):
            pass
        raise ResultsError("the cohort file is damaged", hint="restore registry/cohort.json")
    chosen = secrets.token_hex(ID_BYTES)
    write_json(path, {"cohort_id": chosen})
    return chosen


def private_folder(private: Path, cohort: str) -> Path:
    """Return the cohort's private folder, making it on first use; nobody else may enter it."""
    folder = private
    for part in ("cohorts", cohort):
        folder = folder / part
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    return folder


def write_if_changed(path: Path, table: Table, batches: Iterable[Iterable[Mapping[str, Any]]]) -> bool:
    """Write a table, batch by batch, unless the file already holds exactly these bytes; returns whether it was written.

    Rows must come in the order of the table's key.
    """
    return _replace(path, table.schema, (table.arrow(rows) for rows in batches))


def write_index(folder: Path, shard: int, stacks: Iterable[tuple[str, str, Sequence[Piece]]]) -> bool:
    """Write the private index of a shard, (stack id, source, slices) for each, for the owner's eyes only."""
    rows = [
        {
            "stack_id": stack_id,
            "source": source,
            "paths": [piece.path for piece in pieces],
            "frames": [-1 if piece.frame is None else piece.frame for piece in pieces],
        }
        for stack_id, source, pieces in stacks
    ]
    path = folder / f"{shard_name(shard)}.parquet"
    is_new = _replace(path, _INDEX, [pa.Table.from_pylist(rows, schema=_INDEX)])
    path.chmod(0o600)
    return is_new


def _replace(path: Path, schema: pa.Schema, parts: Iterable[pa.Table]) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    os.close(descriptor)
    draft = Path(name)
    try:
        with pq.ParquetWriter(draft, schema, compression="zstd", write_page_checksum=True) as writer:
            for part in parts:
                writer.write_table(part)
        if path.exists() and filecmp.cmp(path, draft, shallow=False):
            return False
        with atomic_path(path) as temporary:
            os.replace(draft, temporary)
        return True
    finally:
        draft.unlink(missing_ok=True)
