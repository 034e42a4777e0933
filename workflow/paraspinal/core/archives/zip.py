"""Read the files of a zip archive. What its directory states is checked against what is there."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator

from paraspinal.core.archives import bounds
from paraspinal.core.archives.bounds import IsWanted, Member, Meter, Names, no_file, refused, unread

MAX_DIRECTORY_BYTES = 1 << 27
"""The directory of a million files is about as large."""
LOCAL_HEADER_BYTES = 30
"""Every file is preceded by that much at least."""
IS_ENCRYPTED, IS_UTF8 = 0x1, 0x800
"""Flag bits of a directory entry."""
FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, RuntimeError)
"""What zipfile raises over damage; RuntimeError includes what it has not implemented."""


class Careful(io.BufferedReader):
    """A file that hands out no more at once than a sound directory takes: zipfile asks for what the archive states."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read; raises DataError when too much is asked for."""
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise refused(bounds.TOO_MANY)
        return super().read(size)


def zip_members(handle: Careful, meter: Meter, is_wanted: IsWanted) -> Iterator[Member]:
    """Yield the files in the order of their places; raises DataError where the archive cannot be trusted."""
    try:
        archive = zipfile.ZipFile(handle)
    except FAULTS:
        raise refused(bounds.DAMAGED) from None
    infos = sorted((i for i in archive.infolist() if not _name(i).endswith(b"/")), key=lambda info: info.header_offset)
    _check(infos)
    names = Names()
    for info in infos:
        name = names.unique(_name(info))
        mode = stat.S_IFMT(info.external_attr >> 16)
        if mode == stat.S_IFLNK:
            yield no_file(name, bounds.LINK)
        elif mode not in (0, stat.S_IFREG):
            yield no_file(name, bounds.SPECIAL)
        elif not is_wanted(name):
            yield Member(name)
        else:
            yield _read(archive, info, name, meter)


def _name(info: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a name as stored, up to a NUL; some programs separate folders as Windows does."""
    return info.filename.encode("utf-8" if info.flag_bits & IS_UTF8 else "cp437").replace(b"\\", b"/")


def _check(infos: list[zipfile.ZipInfo]) -> None:
    """Refuse a directory that no program writes, and one of encrypted files only."""
    end = 0
    for info in infos:
        if info.header_offset < end:
            raise refused(bounds.OVERLAPPING if end else bounds.DAMAGED)
        end = info.header_offset + LOCAL_HEADER_BYTES + info.compress_size
    if infos and all(info.flag_bits & IS_ENCRYPTED for info in infos):
        raise refused(bounds.ENCRYPTED)


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: bytes, meter: Meter) -> Member:
    if info.flag_bits & IS_ENCRYPTED:
        return unread(name, bounds.FILE_ENCRYPTED)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # zipfile puts no bounds on the others
        return unread(name, bounds.FILE_METHOD)
    content = bytearray()
    try:
        with archive.open(info) as packed:
            while piece := packed.read(bounds.CHUNK):
                meter.add(len(piece))
                content += piece
                if len(content) > bounds.MAX_MEMBER_BYTES:
                    return unread(name, bounds.FILE_TOO_LARGE)
    except FAULTS:
        return unread(name, bounds.FILE_DAMAGED)
    return Member(name, bytes(content))
