"""Receipts: the record that decides whether an item is done is also its provenance."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from paraspinal.core.files import atomic_path, sha256_file, sha256_json
from paraspinal.core.records.registry import shard_name
from paraspinal.core.records.tables import Column, Row, Table
from paraspinal.core.vocab import Reason

ARTIFACT = pa.struct([("path", pa.string()), ("sha256", pa.string()), ("n_bytes", pa.int64())])
UNITS = Table(
    "units",
    "Receipts of a shard in brief, one row per unit of work, so that nobody who asks for many reads them one by one.",
    (
        Column("unit", pa.string(), "session, or scan: the stem of its receipt"),
        Column("activity_id", pa.string(), "activity behind its rows"),
        Column("code_digest", pa.string(), "code behind the stage"),
        Column("parameters", pa.string(), "parameters used, JSON"),
        Column("tools", pa.string(), "outside tools and libraries that can change its numbers, with versions, JSON"),
        Column("models", pa.string(), "sha256 of the weights by role, JSON"),
        Column("inputs_sha256", pa.string(), "digest of what it used of the rows it was made from"),
        Column("before", pa.list_(pa.string()), "activities behind those rows"),
        Column("rows_sha256", pa.string(), "digest of the rows it made"),
        Column("outputs", pa.list_(ARTIFACT), "artifacts it wrote, relative to the results"),
        Column("is_final", pa.bool_(), "false: it met a software error and is tried again by the next run"),
        Column("environment", pa.string(), "record below receipts/environments"),
        Column("finished_utc", pa.string(), "when it was computed"),
        Column("wall_seconds", pa.float64(), "time it took when it was computed", "s"),
        Column("read_sha256", pa.string(), "digest of the shard tables those rows stood in"),
        Column("recipe_sha256", pa.string(), "digest of all that the stage depended on in this shard"),
        Column("table_sha256", pa.string(), "sha256 of the shard table its rows stand in"),
    ),
    ("unit",),
)
ACTIVITIES = Table(
    "activities",
    "Every unit of work of every stage behind the tables: what it was made from, with what, and when.",
    (Column("stage", pa.string(), "stage of the workflow"), *UNITS.columns),
    ("stage", "unit"),
)
CLOCK_SLACK_NS = 2_000_000_000
"""File systems keep times as coarsely as two seconds."""


@dataclass(frozen=True)
class Activity:
    """Everything that can change what a stage makes of one unit of work."""

    stage: str
    code_digest: str
    parameters: dict[str, Any]
    tools: dict[str, str]
    models: dict[str, str]
    inputs_sha256: str

    @property
    def id(self) -> str:
        """The activity id: equal exactly when nothing that matters has changed."""
        return sha256_json(asdict(self))[:24]


@dataclass(frozen=True)
class Artifact:
    """A file a unit of work wrote: relative path, sha256 and size."""

    path: str
    sha256: str
    n_bytes: int

    def is_there(self, results: Path, finished_utc: str, *, must_hash: bool = True) -> bool:
        """Whether the file is there and is still what the receipt says.

        Without ``must_hash`` a file of the right size that was not touched since the receipt was written is taken for
        the same; one that was touched is hashed, and its time is put right if it is the same.
        """
        path = results / self.path
        try:
            found = path.stat()
            if found.st_size != self.n_bytes:
                return False
            finished_ns = int(datetime.fromisoformat(finished_utc).timestamp() * 1e9)
            if not must_hash and found.st_mtime_ns <= finished_ns + CLOCK_SLACK_NS:
                return True
            if sha256_file(path) != self.sha256:
                return False
        except (OSError, ValueError):
            return False
        _set_time(path, finished_ns)
        return True


def _set_time(path: Path, ns: int) -> None:
    try:
        os.utime(path, ns=(ns, ns))
    except OSError:  # somebody else's file: it is hashed again next time
        return


@dataclass(frozen=True)
class Receipt:
    """A finished unit of work: its activity, rows, artifacts, what it was made from and in, and what it cost."""

    activity: Activity
    rows: list[Row]
    outputs: list[Artifact]
    before: list[str]
    environment: str
    wall_seconds: float
    peak_mib: float
    finished_utc: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))

    @property
    def rows_sha256(self) -> str:
        """Digest of the rows."""
        return sha256_json(self.rows)

    @property
    def is_final(self) -> bool:
        """Whether it stands until something changes; a software error is met again or mended, so it is tried again."""
        return all(row.get("reason_code") != Reason.UNEXPECTED_ERROR for row in self.rows)

    def write(self, path: Path) -> None:
        """Write the receipt atomically, compressed; the last thing that happens to a unit."""
        said = {"activity_id": self.activity.id, "rows_sha256": self.rows_sha256, **asdict(self)}
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), allow_nan=False)
        with atomic_path(path) as temporary:
            temporary.write_bytes(gzip.compress(text.encode(), mtime=0))

    @classmethod
    def read(cls, path: Path) -> Receipt | None:
        """Read a receipt; None if there is none, or it is damaged or altered, so that the work is simply done again."""
        try:
            found = json.loads(gzip.decompress(path.read_bytes()))
            receipt = cls(
                activity=Activity(**found["activity"]),
                rows=found["rows"],
                outputs=[Artifact(**artifact) for artifact in found["outputs"]],
                **{k: found[k] for k in ("before", "environment", "wall_seconds", "peak_mib", "finished_utc")},
            )
            is_sound = found["activity_id"] == receipt.activity.id and found["rows_sha256"] == receipt.rows_sha256
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError):
            return None
        return receipt if is_sound else None

    def still_holds(self, results: Path) -> bool:
        """Whether every artifact is there and is still what the receipt says."""
        return all(artifact.is_there(results, self.finished_utc) for artifact in self.outputs)


def receipt_path(results: Path, stage: str, unit: str) -> Path:
    """Where the receipt of a unit of work (a session or a scan) at a stage is kept."""
    return results / "receipts" / stage / f"{unit}.json.gz"


def units_path(results: Path, stage: str, shard: int) -> Path:
    """Where the receipts of a shard at a stage are summed up."""
    return results / "receipts" / stage / f"{shard_name(shard)}.parquet"


def unit_row(unit: str, receipt: Receipt, read_sha256: str, recipe_sha256: str, table_sha256: str) -> Row:
    """Sum up a receipt as a row of ``UNITS``."""
    activity = receipt.activity
    packed = {name: json.dumps(getattr(activity, name), sort_keys=True) for name in ("parameters", "tools", "models")}
    return {
        "unit": unit,
        "activity_id": activity.id,
        "code_digest": activity.code_digest,
        **packed,
        "inputs_sha256": activity.inputs_sha256,
        "before": receipt.before,
        "rows_sha256": receipt.rows_sha256,
        "outputs": [asdict(artifact) for artifact in receipt.outputs],
        "is_final": receipt.is_final,
        "environment": receipt.environment,
        "finished_utc": receipt.finished_utc,
        "wall_seconds": receipt.wall_seconds,
        "read_sha256": read_sha256,
        "recipe_sha256": recipe_sha256,
        "table_sha256": table_sha256,
    }


def artifacts_of(unit: Mapping[str, Any]) -> Iterable[Artifact]:
    """The artifacts a row of ``UNITS`` lists."""
    return (Artifact(**artifact) for artifact in unit["outputs"])


def recipe_digest(recipe: Activity) -> str:
    """Digest a recipe, before it is applied to anything."""
    return sha256_json(asdict(recipe))
