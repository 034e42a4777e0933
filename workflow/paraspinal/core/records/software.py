"""Which software made a table: the versions a job had loaded, kept beside what it wrote.

They are no part of the activity, so that an update alone computes nothing again; a paper must name them all the same.
"""

from __future__ import annotations

import json
import platform
import sys
from importlib import metadata
from pathlib import Path

from paraspinal.core.files import write_json
from paraspinal.core.records.registry import shard_name

PACKAGES = ("SimpleITK", "dcm2niix", "monai", "numpy", "pandas", "pyarrow", "pydicom", "scipy", "snakemake", "torch")
"""What can change a number, or moves it; each is named only if the job has imported it."""
Versions = dict[str, str]


def loaded(own_version: str) -> Versions:
    """Versions of this package (``own_version``), of Python, and of the packages this process has imported."""
    found = {name: metadata.version(name) for name in PACKAGES if name in sys.modules}
    return {"paraspinal": own_version, "Python": platform.python_version(), **found}


def record(results: Path, stage: str, shard: int | None, versions: Versions, *, is_all_new: bool = True) -> None:
    """Note what a job ran with; where it reused earlier work, what that ran with stays noted beside it."""
    path = _path(results, stage, shard)
    kept = [] if is_all_new else [found for found in _read(path) if found != versions]
    write_json(path, [*kept, versions])


def used(results: Path, stage: str, shards: list[int | None]) -> dict[str, list[str]]:
    """Versions of every package that made the tables of a stage, by package, sorted; several after an update."""
    found: dict[str, set[str]] = {}
    for shard in shards:
        for versions in _read(_path(results, stage, shard)):
            for name, version in versions.items():
                found.setdefault(name, set()).add(version)
    return {name: sorted(versions) for name, versions in sorted(found.items(), key=lambda item: item[0].lower())}


def _path(results: Path, stage: str, shard: int | None) -> Path:
    folder = results / "shards"
    return folder / f"{stage}.software.json" if shard is None else folder / stage / f"{shard_name(shard)}.software.json"


def _read(path: Path) -> list[Versions]:
    try:
        found: list[Versions] = json.loads(path.read_text(encoding="utf-8"))
        return [{str(k): str(v) for k, v in versions.items()} for versions in found]
    except (OSError, ValueError, AttributeError, TypeError):
        return []
