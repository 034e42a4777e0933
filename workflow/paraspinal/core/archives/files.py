"""Read zip and tar archives that anybody may have made: in one pass, within bounds, never under a name of theirs.

Nothing is unpacked where a member says it belongs: members come as bytes, and `extract` writes them under running
numbers. What an archive states about itself is not believed: inflated bytes are counted as they come. Links, devices,
sparse files and archives within archives are named and left alone.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from paraspinal.core.archives.bounds import SEPARATOR, IsWanted, Member, Meter
from paraspinal.core.archives.tar import MACHINES, tar_members
from paraspinal.core.archives.zip import Careful, zip_members
from paraspinal.core.errors import INPUT_HINT, DataError, MachineError
from paraspinal.core.vocab import Reason

SUFFIXES = (b".zip", b".tar", b".tar.gz", b".tgz", b".tar.bz2", b".tbz2", b".tbz", b".tar.xz", b".txz")
ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
"""How most zip archives begin; one that unpacks itself begins with a program."""
NO_LIMIT = 1 << 62


def is_archive(name: bytes) -> bool:
    """Whether a file of this name is an archive that can be read."""
    return name.lower().endswith(SUFFIXES)


def is_sequential(name: bytes) -> bool:
    """Whether an archive of this name can only be read front to back, being compressed as a whole."""
    return is_archive(name) and not name.lower().endswith((b".zip", b".tar"))


def split(path: bytes) -> tuple[bytes, bytes | None]:
    """Split a path into the file and the name of the member in it, None for a file that stands for itself."""
    file, separator, member = path.partition(SEPARATOR)
    return file, member if separator else None


def folder_of(path: bytes) -> bytes:
    """Name the folder a file lies in; an archive is a folder."""
    file, member = split(path)
    return (file if member is None else file + b"/" + member).rpartition(b"/")[0]


def name_of(path: bytes) -> bytes:
    """Return the last part of a path, of a file or of a member; a repeated name comes without its number."""
    file, member = split(path)
    return (file if member is None else member.partition(SEPARATOR)[0]).rpartition(b"/")[2]


def everything(_: bytes) -> bool:
    """Want every member."""
    return True


def members(path: bytes, max_bytes: int, is_wanted: IsWanted = everything) -> Iterator[Member]:
    """Yield the files of an archive in the order they are stored, inflating only what is wanted where that can be.

    Raises DataError (DICOM_UNREADABLE) where it cannot be read any further or inflates beyond ``max_bytes``; what came
    before stays good. Raises MachineError, without the path, when the disk fails.
    """
    try:
        with Careful(io.FileIO(path)) as handle:
            meter = Meter(os.fstat(handle.fileno()).st_size, max_bytes)
            start = handle.read(8)
            handle.seek(0)
            may_be_zip = path.lower().endswith(b".zip") and not start.startswith(tuple(MACHINES))
            if may_be_zip or start.startswith(ZIP_STARTS):
                yield from zip_members(handle, meter, is_wanted)
            else:
                yield from tar_members(handle, start, meter, is_wanted)
    except OSError as error:
        raise MachineError(f"an input archive cannot be read: {error.strerror}", hint=INPUT_HINT) from None


def extract(paths: Iterable[str], folder: Path) -> list[str]:
    """Write those of ``paths`` that are archive members into ``folder`` under running numbers, a pass per archive.

    Returns where each file is now, the same path for one that is no member. Raises DataError when a member cannot be
    read, MachineError when it is gone.
    """
    places = list(paths)
    wanted: dict[bytes, dict[bytes, list[int]]] = {}
    for number, path in enumerate(places):
        archive, name = split(os.fsencode(path))
        if name is not None:
            wanted.setdefault(archive, {}).setdefault(name, []).append(number)
    for archive, numbers in wanted.items():
        for name, content in _chosen(archive, set(numbers)):
            target = folder / f"{numbers[name][0]:06d}"
            target.write_bytes(content)
            for number in numbers[name]:
                places[number] = str(target)
    return places


def _chosen(archive: bytes, names: set[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the named members of an archive, and read no further than the last."""
    for member in members(archive, NO_LIMIT, names.__contains__):  # ingest has read up to here within its limits
        if member.name not in names:
            continue
        if member.content is None:
            raise DataError(member.reason or Reason.DICOM_UNREADABLE, member.detail)
        yield member.name, member.content
        names.remove(member.name)
        if not names:
            return
    raise MachineError("an input archive has changed", hint=INPUT_HINT)
