"""Real faults of drives: file systems of a few megabytes, or read-only ones, that a test mounts. Needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

FULL_BYTES = 8192
"""What is left on a drive that counts as full here: no table and no image fits."""


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[None]:
    """Move a folder's content to a file system of so many MiB that is mounted over it while the block runs."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    aside = folder.with_name(folder.name + "-aside")
    folder.rename(aside)
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder))
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True, copy_function=shutil.copy2)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only, for root too, while the block runs."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    _mount("--bind", str(folder), str(folder))
    try:
        _mount("-o", "remount,ro,bind", str(folder))
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Fill the drive of a folder, but for a few kilobytes, while the block runs."""
    filler = folder / "filler"
    with filler.open("wb") as handle:
        while (room := shutil.disk_usage(folder).free - FULL_BYTES) > 0:
            handle.write(bytes(min(room, 1 << 20)))
            handle.flush()
    try:
        yield
    finally:
        filler.unlink()
