"""In what environment something was computed: one small record for each, named by its content.

An environment is no part of the activity, so that an update of a library the stage does not name computes nothing
again; what a stage names as a tool is in the activity too. No record names a host, a user or a path.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from paraspinal.core.files import sha256_json, write_json

PACKAGES = (
    *("SimpleITK", "dcm2niix", "duckdb", "monai", "numpy", "pandas", "pillow", "pyarrow", "pydicom", "scipy"),
    *("snakemake", "torch"),
)
"""What can change a number, or moves it."""

Environment = dict[str, Any]


def record_environment(results: Path, ours: str, device: str = "cpu") -> str:
    """Write the record of the environment this process runs in, unless it is there; returns its id.

    ``ours`` is the version of this package, commit included; ``device`` where networks run.
    """
    found: Environment = {
        "paraspinal": ours,
        "python": platform.python_version(),
        "packages": _packages(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "device": _gpu() if device == "cuda" else device,
    }
    name = sha256_json(found)[:12]
    path = _path(results, name)
    if read_environment(results, name) is None:
        write_json(path, found)
    return name


def read_environment(results: Path, name: str) -> Environment | None:
    """Read a record; None where there is none, or it is not what its name says."""
    try:
        found: Environment = json.loads(_path(results, name).read_text(encoding="utf-8"))
        return found if sha256_json(found)[:12] == name else None
    except (OSError, ValueError):
        return None


def versions_in(results: Path, names: Iterable[str]) -> dict[str, list[str]]:
    """Versions of every package in some environments, sorted; several after an update."""
    found: dict[str, set[str]] = {}
    for name in names:
        known = read_environment(results, name) or {"packages": {}}
        mine = {"paraspinal": known.get("paraspinal"), "Python": known.get("python")}
        for package, version in {**mine, **known["packages"]}.items():
            if version:
                found.setdefault(package, set()).add(version)
    return {name: sorted(versions) for name, versions in sorted(found.items(), key=lambda item: item[0].lower())}


def _path(results: Path, name: str) -> Path:
    return results / "receipts" / "environments" / f"{name}.json"


@cache
def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def _cpu() -> str:
    """Model of the processor and the instruction sets that networks use, as Linux names them."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown"
    model = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    sets = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if re.search(rf"\b{name}\b", text)]
    return f"{model[1] if model else 'unknown'} ({' '.join(sets) or 'no vector sets named'})"


@cache
def _gpu() -> str:
    """Model of the first GPU, as its driver names it."""
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        if model := re.search(r"^Model:\s*(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            return f"cuda: {model[1]}"
    return "cuda"
