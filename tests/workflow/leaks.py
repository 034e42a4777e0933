"""Find text in a folder whatever it is wrapped in: encodings of the text, and containers of the files."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import re
import sqlite3
import string
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
from PIL import Image

from .canaries import YEAR, Canaries

PNG = b"\x89PNG\r\n\x1a\n"
SHORTEST = 7
"""Encoded text shorter than this occurs by chance."""
DIGEST_LENGTH = 10
"""So many characters of a digest are enough to look a person up in a list."""
LONGEST_NAME = 80
"""A digest begins within so many letters and digits; longer runs are packed data."""
DIGEST_RUN = re.compile(rb"[a-z0-9+/]{10,}")
LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
DATE = re.compile(rf"(?<![0-9.]){YEAR}(-?)(\d\d)\1(\d\d)|(?<![0-9.])(\d\d)[.](\d\d)[.]{YEAR}".encode())


@dataclass(frozen=True)
class Hit:
    """Text found where it must not be: in which file (and what inside it), what, and in which form."""

    place: str
    what: str
    form: str


def forms(text: str) -> dict[str, bytes]:
    """The ways a text may be written, to be looked for in bytes whose ASCII letters are lower case."""
    found: dict[str, bytes] = {}
    for case, raw in {"": text.translate(LOWER), " lower": text.lower(), " upper": text.upper()}.items():
        for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be", "shift_jis", "iso2022_jp", "gb18030"):
            try:
                content = raw.encode(encoding)
            except UnicodeEncodeError:
                continue
            found[f"{encoding}{case}"] = content.lower()
        found[f"hex{case}"] = raw.encode().hex().encode()
        found[f"quoted{case}"] = quote(raw).lower().encode()
        found[f"json{case}"] = json.dumps(raw)[1:-1].lower().encode()
        found[f"xml{case}"] = raw.encode("ascii", "xmlcharrefreplace").lower()
    return {name: raw for raw, name in {raw: name for name, raw in reversed(found.items())}.items()}


def encoded(text: str) -> dict[str, bytes]:
    """Base64 and base32 of a text in any case and at any offset, without the characters its neighbours decide."""
    found: dict[str, bytes] = {}
    for case, raw in {"": text, " lower": text.lower(), " upper": text.upper(), " title": text.title()}.items():
        content = raw.encode()
        for offset in range(3):
            packed = base64.b64encode(b"\0" * offset + content)
            inner = packed[(0, 2, 3)[offset] : (offset + len(content)) * 8 // 6]
            found[f"base64{case} at {offset}"] = inner
            found[f"urlsafe base64{case} at {offset}"] = inner.translate(bytes.maketrans(b"+/", b"-_"))
        for offset in range(5):
            packed = base64.b32encode(b"\0" * offset + content)
            found[f"base32{case} at {offset}"] = packed[-(-offset * 8 // 5) : (offset + len(content)) * 8 // 5]
    return {name: raw for name, raw in found.items() if len(raw) >= SHORTEST}


def digests(text: str) -> dict[bytes, str]:
    """Beginnings of unsalted digests of a text, as hexadecimal, base32 and base64 in lower case."""
    found = {}
    for name in ("md5", "sha1", "sha256"):
        digest = hashlib.new(name, text.encode()).digest()
        found[digest.hex()[:DIGEST_LENGTH].encode()] = f"{name} hex"
        found[base64.b32encode(digest).lower()[:DIGEST_LENGTH]] = f"{name} base32"
        found[base64.b64encode(digest).lower()[:DIGEST_LENGTH]] = f"{name} base64"
    return found


def written_dates(day: str) -> tuple[str, str, str]:
    """A day YYYYMMDD in the forms people and machines write."""
    year, month, date = day[:4], day[4:6], day[6:]
    return day, f"{year}-{month}-{date}", f"{date}.{month}.{year}"


class Search:
    """What to look for: the markers and dates of canaries, further texts, and digests of what tells people apart."""

    def __init__(self, canaries: Canaries, texts: Iterable[str] = (), identifiers: Iterable[str] = ()) -> None:
        """``texts`` are looked for as they are, ``identifiers`` and all dates by their unsalted digests."""
        self._canaries = canaries
        self._words = re.compile(canaries.marker.encode() + b"[a-z]{4}")
        wanted = [canaries.marker, canaries.uid_marker, canaries.time_marker, *texts]
        self._folded = [(text, form, raw) for text in wanted for form, raw in forms(text).items()]
        self._exact = [(text, form, raw) for text in wanted for form, raw in encoded(text).items()]
        days = [form for day in canaries.dates for form in written_dates(day)]
        self._digests = {raw: (text, form) for text in (*identifiers, *days) for raw, form in digests(text).items()}

    def hits(self, place: str, content: bytes) -> Iterator[Hit]:
        """Look through bytes."""
        folded = content.lower()
        for text, form, raw in self._folded:
            if raw in folded:
                yield Hit(place, text, form)
        for word in sorted(set(self._words.findall(folded))):
            yield Hit(place, self._canaries.origin(word.decode()), "utf-8")
        for text, form, raw in self._exact:
            if raw in content:
                yield Hit(place, text, form)
        for run in DIGEST_RUN.findall(folded):
            for start in range(min(len(run), LONGEST_NAME) - DIGEST_LENGTH + 1):
                if found := self._digests.get(run[start : start + DIGEST_LENGTH]):
                    yield Hit(place, *found)
        for match in DATE.finditer(content):
            day = b"".join([YEAR.encode(), match[2], match[3]] if match[2] else [YEAR.encode(), match[5], match[4]])
            if day.decode() in self._canaries.dates:
                yield Hit(place, match[0].decode(), "date")

    def folder(self, folder: Path, skip: Iterable[Path] = ()) -> list[Hit]:
        """Look through every file below a folder, and through the names of all files and folders."""
        hits: list[Hit] = []
        left_out = {path.resolve() for path in skip}
        for path in sorted(folder.rglob("*")):
            if any(path.resolve().is_relative_to(other) for other in left_out):
                continue
            name = str(path.relative_to(folder))
            hits += self.hits(f"the name {name}", os.fsencode(name) + b"\n" + _decoded_name(path.name))
            if path.is_symlink():
                hits += self.hits(f"the link {name}", os.fsencode(path.readlink()))
            elif path.is_file():
                for place, content in views(name, path.read_bytes()):
                    hits += self.hits(place, content)
        return hits


def _decoded_name(name: str) -> bytes:
    """Decode a file name that is base64, as the engine's are."""
    try:
        return base64.urlsafe_b64decode(name + "=" * (-len(name) % 4))
    except ValueError:
        return b""


def views(place: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield content as it is, and again out of every wrapping it comes in."""
    yield place, content
    if content[:2] == b"\x1f\x8b":
        yield from views(f"{place}, unpacked", gzip.decompress(content))
    elif content[:8] == PNG:
        yield from _png(place, content)
    elif content[:4] == b"PAR1":
        yield f"{place}, as a table", _parquet(content)
    elif content[:15] == b"SQLite format 3":
        yield f"{place}, as a database", _database(content)
    elif zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                yield f"{place}, a name inside", member.filename.encode()
                yield from views(f"{place}, {member.filename}", archive.read(member))
    else:
        for number, match in enumerate(re.finditer(rb"base64,([A-Za-z0-9+/=]{16,})", content)):
            yield from views(f"{place}, embedded {number}", base64.b64decode(match[1]))
        if content[:1] in (b"{", b"["):
            try:
                yield f"{place}, as JSON", json.dumps(json.loads(content), ensure_ascii=False).encode()
            except ValueError:
                return


def _png(place: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the unpacked pixels of a picture and the text chunks beside them."""
    pixels, at = b"", 8
    while at + 8 <= len(content):
        (length,), kind = struct.unpack(">L", content[at : at + 4]), content[at + 4 : at + 8]
        data = content[at + 8 : at + 8 + length]
        at += 12 + length
        if kind == b"IDAT":
            pixels += data
        elif kind in (b"zTXt", b"iTXt", b"iCCP"):
            start = data.find(b"\x78")
            yield f"{place}, {kind.decode()}", zlib.decompress(data[start:]) if start >= 0 else data
    yield f"{place}, its packed rows", zlib.decompress(pixels)
    with Image.open(io.BytesIO(content)) as picture:
        yield f"{place}, its pixels", picture.tobytes()


def _parquet(content: bytes) -> bytes:
    """All values and all metadata of a table, as text."""
    table = pq.read_table(io.BytesIO(content))
    parts = [repr(dict(table.schema.metadata or {}))]
    for column in table.schema:
        parts += [column.name, repr(column.metadata), json.dumps(table[column.name].to_pylist(), default=repr)]
        parts.append("\n".join(str(value) for value in table[column.name].to_pylist()))
    return "\n".join(parts).encode()


def _database(content: bytes) -> bytes:
    """All rows of a database, as text; numbers of bytes as bytes."""
    base = sqlite3.connect(":memory:")
    base.deserialize(content)
    parts = []
    for (name,) in base.execute("select name from sqlite_master where type = 'table'").fetchall():
        for row in base.execute(f'select * from "{name}"'):
            parts += [value if isinstance(value, bytes) else str(value).encode() for value in row]
    base.close()
    return b"\n".join(parts)
