"""Write what the stages read next, and keep the way back to the files private."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from paraspinal.core.errors import ResultsError
from paraspinal.core.files import atomic_path, write_json
from paraspinal.core.registry import shard_name
from paraspinal.core.tables import Table

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


@dataclass(frozen=True)
class Sources:
    """Where the slices of a stack are: one path and frame (-1: the whole file) per slice, in order."""

    source: str
    paths: list[bytes]
    frames: list[int]


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


def write_if_changed(path: Path, table: Table, rows: Iterable[Mapping[str, Any]]) -> bool:
    """Write a table unless the file already holds exactly these bytes; returns whether it was written."""
    return _replace(path, table.arrow(rows))


def write_index(folder: Path, shard: int, stacks: Mapping[str, Sources]) -> bool:
    """Write the private index of a shard, for the owner's eyes only."""
    rows = [
        {"stack_id": stack_id, "source": found.source, "paths": found.paths, "frames": found.frames}
        for stack_id, found in sorted(stacks.items())
    ]
    path = folder / f"{shard_name(shard)}.parquet"
    is_new = _replace(path, pa.Table.from_pylist(rows, schema=_INDEX))
    path.chmod(0o600)
    return is_new


def _replace(path: Path, table: pa.Table) -> bool:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content = sink.getvalue().to_pybytes()
    if path.exists() and path.read_bytes() == content:
        return False
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return True
