"""Receipts: the record that decides whether an item is done is also its provenance."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from paraspinal.core.files import sha256_file, sha256_json, write_json
from paraspinal.core.records.registry import shard_name
from paraspinal.core.records.tables import Column, Row, Table
from paraspinal.core.vocab import Reason

UNITS = Table(
    "units",
    "Receipts of a shard in brief, one row per unit of work, so that nobody who asks for many reads them one by one.",
    (
        Column("unit", pa.string(), "session, or scan: the stem of its receipt"),
        Column("activity_id", pa.string(), "activity behind its rows"),
        Column("code_digest", pa.string(), "code behind the stage"),
        Column("parameters", pa.string(), "parameters used, JSON"),
        Column("tools", pa.string(), "outside tools and their versions, JSON"),
        Column("models", pa.string(), "sha256 of the weights by role, JSON"),
        Column("inputs_sha256", pa.string(), "digest of the rows it was made from"),
        Column("wall_seconds", pa.float64(), "time it took when it was computed", "s"),
        Column("read_sha256", pa.string(), "sha256 of the shard table those rows stood in"),
        Column("recipe_sha256", pa.string(), "digest of all that the stage depended on in this shard"),
    ),
    ("unit",),
)


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
class Receipt:
    """A finished unit of work: its activity, rows, artifacts with hashes, and what it cost."""

    activity: Activity
    rows: list[Row]
    outputs: dict[str, str]
    wall_seconds: float
    peak_mib: float

    def write(self, path: Path) -> None:
        """Write the receipt atomically; the last thing that happens to a unit."""
        write_json(path, {"activity_id": self.activity.id, **asdict(self)})

    @classmethod
    def read(cls, path: Path) -> Receipt | None:
        """Read a receipt; None if there is none or it is damaged, so that the work is simply done again."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            receipt = cls(
                activity=Activity(**found["activity"]),
                rows=found["rows"],
                outputs=found["outputs"],
                wall_seconds=found["wall_seconds"],
                peak_mib=found["peak_mib"],
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return receipt if receipt.activity.id == found.get("activity_id") else None

    @property
    def is_final(self) -> bool:
        """Whether it may be reused at all: a software error may be mended by then, so every run tries again."""
        return all(row["reason_code"] != Reason.UNEXPECTED_ERROR.value for row in self.rows)

    def still_holds(self, results: Path) -> bool:
        """Whether every artifact is there and is still what the receipt says."""
        return all(
            (results / path).is_file() and sha256_file(results / path) == sha256
            for path, sha256 in self.outputs.items()
        )


def receipt_path(results: Path, stage: str, unit: str) -> Path:
    """Where the receipt of a unit of work (a session or a scan) at a stage is kept."""
    return results / "receipts" / stage / f"{unit}.json"


def units_path(results: Path, stage: str, shard: int) -> Path:
    """Where the receipts of a shard at a stage are summed up."""
    return results / "receipts" / stage / f"{shard_name(shard)}.parquet"


def unit_row(unit: str, receipt: Receipt, read_sha256: str, recipe_sha256: str) -> Row:
    """Sum up a receipt as a row of ``UNITS``."""
    activity = receipt.activity
    packed = {name: json.dumps(getattr(activity, name), sort_keys=True) for name in ("parameters", "tools", "models")}
    return {
        "unit": unit,
        "activity_id": activity.id,
        "code_digest": activity.code_digest,
        **packed,
        "inputs_sha256": activity.inputs_sha256,
        "wall_seconds": receipt.wall_seconds,
        "read_sha256": read_sha256,
        "recipe_sha256": recipe_sha256,
    }


def recipe_digest(recipe: Activity) -> str:
    """Digest a recipe, before it is applied to anything."""
    return sha256_json(asdict(recipe))
