"""Atomic files and hashes: nothing incomplete ever stands under a final name."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMPORARY_PREFIX = ".partial-"
"""Every unfinished file starts so; a sweep may delete them when no run holds the folder."""


def sha256_file(path: Path) -> str:
    """Hash a file's bytes; returns the hexadecimal sha256."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """Hash a JSON-able value by its canonical text (sorted keys, no white space)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the same folder that becomes ``path`` when the block succeeds.

    The temporary name keeps the suffixes of ``path`` (writers choose the format by them), is unique
    (two runs never share one), is synced to disk before the rename, and is removed on failure.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix="-" + path.name, dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp is private; results are shared like any other file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_text_if_changed(path: Path, text: str) -> bool:
    """Write text atomically unless the file already says so; returns whether it was written."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document atomically, readable by people, keys sorted."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def sweep_temporaries(folder: Path) -> int:
    """Delete unfinished files below ``folder`` left by killed jobs; returns how many."""
    stale = [p for p in folder.rglob(TEMPORARY_PREFIX + "*") if p.is_file()]
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)
