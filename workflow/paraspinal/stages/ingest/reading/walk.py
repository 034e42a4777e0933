"""Walk the input tree: every file once, whatever the tree does."""

# ruff: noqa: PTH100, PTH110, PTH111, PTH112, PTH116, PTH118
# Paths are bytes here, for a file name need not be text.

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from paraspinal.core.errors import InputError


@dataclass(frozen=True)
class Found:
    """One file of the input; ``error`` is the number of the system's error where even its size could not be had."""

    path: bytes
    size: int
    mtime_ns: int
    error: int = 0

    @property
    def is_readable(self) -> bool:
        """Whether the file can be asked for its size."""
        return not self.error


def walk(root: bytes, skip: Sequence[bytes] = ()) -> Iterator[Found]:
    """Yield every file below ``root`` in sorted order, hidden ones included.

    Links to files are followed, links to folders too unless that folder was visited before (loops end there).
    Folders in ``skip`` (our own, should they lie inside the input) are left alone. Folders that may not be read
    are yielded as one unreadable entry. Sockets, pipes and devices are not files.
    """
    visited: set[tuple[int, int]] = set()
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            state = os.stat(folder)
            if (state.st_dev, state.st_ino) in visited:
                continue
            visited.add((state.st_dev, state.st_ino))
            if folder in skip:
                continue
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError as error:
            yield Found(folder, 0, 0, error.errno or errno.EACCES)
            continue
        folders = []
        for name in names:
            path = os.path.join(folder, name)
            try:
                state = os.stat(path)
            except OSError as error:
                yield Found(path, 0, 0, error.errno or errno.EACCES)
                continue
            if stat.S_ISDIR(state.st_mode):
                folders.append(path)
            elif stat.S_ISREG(state.st_mode):
                yield Found(path, state.st_size, state.st_mtime_ns)
        pending += reversed(folders)


def input_root(text: str) -> bytes:
    """Check the input folder; raises InputError if it is not set, missing, no folder, unreadable, or empty.

    The message never names the path.
    """
    if not text:
        raise InputError("no input folder is set", hint="make run DICOM=<folder>, or paraspinal run <folder>")
    root = os.path.abspath(os.path.expanduser(os.fsencode(text)))
    if not os.path.exists(root):
        raise InputError("the input folder does not exist", hint="check input in the configuration")
    if not os.path.isdir(root):
        raise InputError("the input is a file, not a folder", hint="name the folder that holds it")
    try:
        with os.scandir(root) as entries:
            is_empty = next(entries, None) is None
    except OSError:
        raise InputError("the input folder cannot be read", hint="check its permissions") from None
    if is_empty:
        raise InputError("the input folder is empty", hint="check input in the configuration")
    return root
