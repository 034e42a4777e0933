"""Atomic files and hashes: nothing incomplete ever stands under a final name."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMPORARY_PREFIX = ".partial-"
"""Every unfinished file starts so; while its writer lives it is locked, and no sweep deletes it."""
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES)
"""What drives answer that cannot sync a folder; the file itself was synced."""


def sha256_file(path: Path) -> str:
    """Hash a file's bytes; returns the hexadecimal sha256."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def has_sha256(path: Path, sha256: str) -> bool:
    """Whether a file can be read and has this sha256."""
    try:
        return sha256_file(path) == sha256
    except OSError:
        return False


def sha256_json(value: Any) -> str:
    """Hash a JSON-able value by its canonical text (sorted keys, no white space)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the same folder that becomes ``path`` when the block succeeds.

    The temporary name keeps the suffixes of ``path`` (writers choose the format by them), is unique
    (two runs never share one), is synced to disk before the rename, as is the folder after it, and is removed on
    failure.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix="-" + path.name, dir=path.parent)
    temporary = Path(name)
    try:
        _lock(descriptor)
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp is private; results are shared like any other file
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock an open file for this process; False if another one has it, or the drive knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_text_if_changed(path: Path, text: str) -> bool:
    """Write text atomically unless the file already says so; returns whether it was written."""
    if path.exists() and path.read_bytes() == text.encode():
        return False
    write_text(path, text)
    return True


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document atomically, readable by people, keys sorted."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def sweep_temporaries(folder: Path) -> int:
    """Delete unfinished files below ``folder`` left by killed jobs; returns how many.

    A job that outlived its run still holds what it writes, on whatever machine; its files stay.
    """
    return sum(_sweep(path) for path in folder.rglob(TEMPORARY_PREFIX + "*") if path.is_file())


def _sweep(path: Path) -> bool:
    try:
        with path.open("rb+") as handle:
            is_stale = _lock(handle.fileno())
            if is_stale:
                path.unlink(missing_ok=True)
    except (FileNotFoundError, PermissionError):  # its writer has just finished, or is somebody else
        return False
    return is_stale
