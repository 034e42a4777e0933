"""Receipts: the record that decides whether an item is done is also its provenance."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from paraspinal.core.files import sha256_file, sha256_json, write_json
from paraspinal.core.tables import Row


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

    def still_holds(self, results: Path) -> bool:
        """Whether every artifact is there and is still what the receipt says."""
        return all(
            (results / path).is_file() and sha256_file(results / path) == sha256
            for path, sha256 in self.outputs.items()
        )


def receipt_path(results: Path, stage: str, unit: str) -> Path:
    """Where the receipt of a unit of work (a session or a scan) at a stage is kept."""
    return results / "receipts" / stage / f"{unit}.json"
