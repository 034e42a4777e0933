"""Manifests: what a folder of results holds and from what it was made, written last.

A reader that checks the manifest never reads a table of an earlier run, or one that was damaged since.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paraspinal.core.errors import DamagedError
from paraspinal.core.files import has_sha256, sha256_file, sha256_json, write_json

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """The record: sha256 and rows (of a table) by file name, code and parameters, and a digest of what was read."""

    files: dict[str, dict[str, Any]]
    recipe: dict[str, Any]
    reads_sha256: str
    environment: str
    finished_utc: str

    @property
    def sha256(self) -> str:
        """Digest of all that it says of content: not when and where it was made."""
        return sha256_json({"files": self.files, "recipe": self.recipe, "reads": self.reads_sha256})


def write_manifest(
    folder: Path, rows: Mapping[str, int | None], recipe: dict[str, Any], reads_sha256: str, environment: str
) -> Manifest:
    """Record the files of a folder, by name with their number of rows."""
    files = {name: {"sha256": sha256_file(folder / name), "rows": n} for name, n in sorted(rows.items())}
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    found = Manifest(files, recipe, reads_sha256, environment, finished)
    write_json(folder / MANIFEST, asdict(found) | {"manifest_sha256": sha256_json(asdict(found))})
    return found


def read_manifest(folder: Path) -> Manifest | None:
    """Read the manifest of a folder; None if there is none or it is damaged."""
    try:
        said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        sha256 = said.pop("manifest_sha256")
        found = Manifest(**said) if sha256_json(said) == sha256 else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return found


def misfits(folder: Path, manifest: Manifest) -> list[str]:
    """Name the files that are gone or not as the manifest says."""
    return [name for name, said in manifest.files.items() if not has_sha256(folder / name, said["sha256"])]


def require_sound(folder: Path) -> Manifest:
    """Read the manifest of a folder and check every file; raises DamagedError naming what does not fit."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise DamagedError(f"{folder.name}/{MANIFEST} is missing or damaged")
    if wrong := misfits(folder, manifest):
        raise DamagedError(f"{folder.name}/{wrong[0]} is not what the manifest says")
    return manifest
