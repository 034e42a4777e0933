"""Lay the archive members of a stack where dcm2niix can read them."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from paraspinal.core.archives import files as archives
from paraspinal.core.errors import DataError
from paraspinal.stages.convert.sources import StackFiles


class Unpacked:
    """Members of compressed tar archives, which are read front to back only, kept as long as the shard is worked on.

    The first stack from such an archive unpacks what all stacks of the shard need of it, so that the archive is read
    once and not once per stack. Members of other archives are picked one stack at a time.
    """

    def __init__(self, stacks: Iterable[StackFiles]) -> None:
        """Plan for the stacks of a shard; nothing is unpacked yet."""
        self._needed: dict[bytes, dict[str, None]] = {}
        for files in stacks:
            for path in files.paths:
                archive, member = archives.split(os.fsencode(path))
                if member is not None and archives.is_sequential(archive):
                    self._needed.setdefault(archive, {})[path] = None
        self._places: dict[str, str] = {}

    def lay_out(self, files: StackFiles, folder: Path) -> StackFiles:
        """Return the files of a stack with members in files of their own, in ``folder`` or one kept for the shard.

        Raises DataError when a member cannot be read, MachineError when it is gone.
        """
        for archive in {archives.split(os.fsencode(path))[0] for path in files.paths}:
            if needed := self._needed.pop(archive, None):
                self._keep(needed)
        paths = [self._places.get(path, path) for path in files.paths]
        folder.mkdir()
        places = dict(zip(files.paths, archives.extract(paths, folder), strict=True))
        return replace(files, slices=tuple((places[path], frame) for path, frame in files.slices))

    def _keep(self, paths: dict[str, None]) -> None:
        """Unpack members for the shard; where one cannot be read, each stack has to see for itself."""
        folder = Path(tempfile.mkdtemp(prefix="paraspinal-"))
        forget = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        try:
            self._places |= dict(zip(paths, archives.extract(paths, folder), strict=True))
        except DataError:
            forget()
        except BaseException:
            forget()
            raise
