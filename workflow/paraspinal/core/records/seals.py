"""Seals: the sha256 of what a job left of a shard, so that nobody reads a table that is not as it was written.

A seal is a file as `sha256sum` writes and checks it (``cd results && sha256sum --check receipts/*/*.sha256``), and the
last thing a job writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from paraspinal.core.files import has_sha256, sha256_file, write_text_if_changed
from paraspinal.core.records.registry import shard_name

COHORT = 0
"""In place of the number of a shard: what a stage leaves of the whole cohort."""


def seal_path(results: Path, stage: str, shard: int) -> Path:
    """Where the seal of a stage's shard is kept."""
    name = "cohort" if shard == COHORT else shard_name(shard)
    return results / "receipts" / stage / f"{name}.sha256"


def write_seal(results: Path, stage: str, shard: int, paths: Iterable[Path]) -> None:
    """Seal files of a shard."""
    lines = [f"{sha256_file(path)}  {path.relative_to(results).as_posix()}\n" for path in paths]
    write_text_if_changed(seal_path(results, stage, shard), "".join(lines))


def read_seal(results: Path, stage: str, shard: int) -> dict[str, str]:
    """Read a seal: sha256 by path relative to the results; empty where there is none or it is damaged."""
    try:
        lines = seal_path(results, stage, shard).read_text(encoding="utf-8").splitlines()
        return {path: sha256 for sha256, path in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError):
        return {}


def is_sealed(results: Path, stage: str, shard: int) -> bool:
    """Whether every file under the seal is there and is what the seal says."""
    sealed = read_seal(results, stage, shard)
    return bool(sealed) and all(has_sha256(results / path, sha256) for path, sha256 in sealed.items())
