"""Read the files of a tar archive, plain or compressed, front to back.

The headers are walked here, only their fields are left to tarfile: it takes a damaged header in the middle, or a cut
between two files, for the end of the archive, and holds an extended header of any stated size in memory.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from paraspinal.core.archives import bounds
from paraspinal.core.archives.bounds import CHUNK, IsWanted, Member, Meter, Names, no_file, refused, unread

BLOCK = 512
"""Everything in a tar archive fills blocks of this many bytes."""
MAX_EXTENDED_BYTES = 1 << 20
"""An extended header holds a path and a few numbers."""
MAX_XZ_MEMORY = 1 << 28
"""xz states how much memory inflating takes; its strongest setting takes a quarter of this."""
IS_CONTINUED, IS_MAP_CONTINUED = 482, 504
"""Where a header, or a block of the map that follows it, says that the map of a sparse file goes on."""


class _Gunzip:
    """zlib with the interface of bz2 and lzma."""

    def __init__(self) -> None:
        self._machine = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._machine.eof

    @property
    def needs_input(self) -> bool:
        return not self._machine.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._machine.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._machine.decompress(self._machine.unconsumed_tail + data, max_length)


MACHINES: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": _Gunzip,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_XZ_MEMORY),
}
"""What inflates a file that starts so."""


class _Inflated(io.RawIOBase):
    """The bytes behind a compression, never more at once than asked for; several streams may follow each other."""

    def __init__(self, handle: io.BufferedReader, make: Callable[[], Any], meter: Meter) -> None:
        self._handle, self._make, self._meter = handle, make, meter
        self._machine = make()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while True:
            packed = b""
            if self._machine.eof:  # another stream may follow, behind the zeros that fill a block of tape
                packed = self._machine.unused_data.lstrip(b"\0") or self._handle.read(CHUNK).lstrip(b"\0")
                if not packed:
                    return 0
                self._machine = self._make()
            elif self._machine.needs_input and not (packed := self._handle.read(CHUNK)):
                raise refused(bounds.CUT)
            try:
                data = self._machine.decompress(packed, len(buffer))
            except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError):
                raise refused(bounds.DAMAGED) from None
            if data:
                self._meter.add(len(data))
                buffer[: len(data)] = data
                return len(data)


class _Stream:
    """The bytes of a tar archive."""

    def __init__(self, handle: io.BufferedReader, make: Callable[[], Any] | None, meter: Meter) -> None:
        self._is_packed = make is not None
        self._bytes = io.BufferedReader(_Inflated(handle, make, meter), CHUNK) if make else handle

    def take(self, size: int) -> bytes:
        """Read so many bytes, fewer only at the end; a stated size by itself takes no memory."""
        taken = bytearray()
        while piece := self._bytes.read(min(CHUNK, size - len(taken))):
            taken += piece
        return bytes(taken)

    def skip(self, size: int) -> None:
        """Pass over so many bytes; whether they are there shows when the next header is read."""
        if not self._is_packed:
            self._bytes.seek(size, os.SEEK_CUR)
            return
        while size and (piece := self._bytes.read(min(CHUNK, size))):
            size -= len(piece)

    def content(self, size: int) -> bytes:
        """Read the content that follows a header, and its last block to the end; raises DataError if it is cut."""
        content = self.take(size)
        if len(content) < size:
            raise refused(bounds.CUT)
        self.skip(-size % BLOCK)
        return content


def tar_members(handle: io.BufferedReader, start: bytes, meter: Meter, is_wanted: IsWanted) -> Iterator[Member]:
    """Yield the files of an archive whose first bytes are ``start``; raises DataError where it goes wrong."""
    make = next((make for magic, make in MACHINES.items() if start.startswith(magic)), None)
    stream = _Stream(handle, make, meter)
    names = Names()
    extended: dict[bytes, bytes] = {}
    while header := stream.take(BLOCK):
        if not header.strip(b"\0"):
            return
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
            size = int(extended.get(b"size", info.size))
        except (tarfile.HeaderError, ValueError):
            raise refused(bounds.CUT if len(header) < BLOCK else bounds.DAMAGED) from None
        if size < 0 or (info.type in _EXTENDED and size > MAX_EXTENDED_BYTES):
            raise refused(bounds.DAMAGED)
        if info.type in _EXTENDED:
            extended |= _EXTENDED[info.type](stream.content(size))
            continue
        if info.isdir():
            extended = {}
            continue
        name = names.unique(extended.get(b"path", info.name.encode("utf-8", "surrogateescape")))
        yield _read(stream, header, info, name, size, is_wanted, any(key.startswith(b"GNU.sparse") for key in extended))
        extended = {}
    raise refused(bounds.CUT)


def _read(
    stream: _Stream, header: bytes, info: tarfile.TarInfo, name: bytes, size: int, is_wanted: IsWanted, is_sparse: bool
) -> Member:
    if info.issym() or info.islnk():  # without content, although some state the size of what they point to
        return no_file(name, bounds.LINK)
    if info.isdev():
        return no_file(name, bounds.SPECIAL)
    if info.type == tarfile.GNUTYPE_SPARSE:
        is_sparse = True
        place = IS_CONTINUED
        while len(header) == BLOCK and header[place]:
            header, place = stream.take(BLOCK), IS_MAP_CONTINUED
    if info.isreg() and not is_sparse and size <= bounds.MAX_MEMBER_BYTES and is_wanted(name):
        return Member(name, stream.content(size))
    stream.skip(size + -size % BLOCK)
    if not info.isreg():
        return no_file(name, bounds.SPECIAL)
    if is_sparse:
        return unread(name, bounds.FILE_SPARSE)
    return unread(name, bounds.FILE_TOO_LARGE) if size > bounds.MAX_MEMBER_BYTES else Member(name)


def _pax(raw: bytes) -> dict[bytes, bytes]:
    """Read the records "length key=value" of an extended header."""
    found: dict[bytes, bytes] = {}
    while raw.strip(b"\0"):
        digits, _, _ = raw.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
        if not len(digits) + 2 < length <= len(raw):
            raise refused(bounds.DAMAGED)
        key, _, value = raw[len(digits) + 1 : length - 1].partition(b"=")
        found[key] = value
        raw = raw[length:]
    return found


def _nothing(_: bytes) -> dict[bytes, bytes]:
    return {}


_EXTENDED: dict[bytes, Callable[[bytes], dict[bytes, bytes]]] = {
    tarfile.XHDTYPE: _pax,
    tarfile.SOLARIS_XHDTYPE: _pax,
    tarfile.XGLTYPE: _nothing,
    tarfile.GNUTYPE_LONGNAME: lambda raw: {b"path": raw.partition(b"\0")[0]},
    tarfile.GNUTYPE_LONGLINK: _nothing,
}
"""Headers that describe the member after them, and what they tell us."""
