"""What every archive has to keep to, and how a file in one is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from paraspinal.core.errors import DataError
from paraspinal.core.vocab import Reason

MAX_MEMBERS = 1_000_000
"""No archive holds more files."""
MAX_MEMBER_BYTES = 1 << 30
"""A larger file within an archive is not read, for each is held in memory once."""
MAX_RATIO = 200
"""Images shrink to a third, empty ones to a hundredth; an archive that shrinks further is a bomb ..."""
RATIO_FLOOR_BYTES = 1 << 28
"""... once it has grown beyond this, which every machine bears."""
CHUNK = 1 << 20
"""Bytes read or inflated at once."""
SEPARATOR = b"\0"
"""Stands between an archive and its member, as in ``/data/a.zip<NUL>inner/IM1.dcm``; no file name can hold it."""

DAMAGED = "a damaged archive"
CUT = "an archive that is cut"
ENCRYPTED = "an encrypted archive"
TOO_BIG = "an archive that inflates beyond the limit"
BOMB = "an archive that inflates more than images do"
TOO_MANY = "an archive of too many files"
OVERLAPPING = "an archive whose files share bytes"
LINK = "a link within an archive, not followed"
SPECIAL = "a device or another special file within an archive"
FILE_DAMAGED = "a damaged file within an archive"
FILE_ENCRYPTED = "an encrypted file within an archive"
FILE_TOO_LARGE = "a file within an archive that is too large; unpack it to use it"
FILE_SPARSE = "a sparse file within an archive; unpack it to use it"
FILE_METHOD = "a file within an archive, compressed in a way that cannot be read"

IsWanted = Callable[[bytes], bool]
"""Asked with the name of a member whether its bytes are wanted."""


@dataclass(frozen=True)
class Member:
    """One file of an archive: its bytes, or why there are none; neither when it was not asked for.

    ``name`` tells it apart within the archive: when a name comes again, SEPARATOR and a running number follow it.
    """

    name: bytes
    content: bytes | None = None
    reason: Reason | None = None
    detail: str = ""


def refused(detail: str) -> DataError:
    """Return the error for an archive that cannot be read further."""
    return DataError(Reason.DICOM_UNREADABLE, detail)


def unread(name: bytes, detail: str) -> Member:
    """Return a member that should have been readable."""
    return Member(name, None, Reason.DICOM_UNREADABLE, detail)


def no_file(name: bytes, detail: str) -> Member:
    """Return a member that is no file with bytes of its own."""
    return Member(name, None, Reason.NOT_AN_IMAGE, detail)


class Meter:
    """Counts what comes out of an archive; raises DataError at the limits."""

    def __init__(self, packed_bytes: int, max_bytes: int) -> None:
        """Begin to count for an archive of so many bytes that may inflate to ``max_bytes``."""
        self._packed, self._limit, self._total = packed_bytes, max_bytes, 0

    def add(self, n_bytes: int) -> None:
        """Count inflated bytes."""
        self._total += n_bytes
        if self._total > self._limit:
            raise refused(TOO_BIG)
        if self._total > max(RATIO_FLOOR_BYTES, MAX_RATIO * self._packed):
            raise refused(BOMB)


class Names:
    """Gives every member a name of its own, never an empty one or that of a folder.

    Raises DataError when there are too many.
    """

    def __init__(self) -> None:
        """Begin an archive."""
        self._seen: Counter[bytes] = Counter()
        self._total = 0

    def unique(self, name: bytes) -> bytes:
        """Return the name of the next member."""
        self._total += 1
        if self._total > MAX_MEMBERS:
            raise refused(TOO_MANY)
        name = name.replace(SEPARATOR, b"?").rstrip(b"/")
        self._seen[name] += 1
        number = self._seen[name]
        return name if name and number == 1 else name + SEPARATOR + str(number).encode()
