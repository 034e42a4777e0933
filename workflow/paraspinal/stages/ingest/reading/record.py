"""What is kept of one input file: a plain record that travels between processes and rests in the private cache."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from paraspinal.core.vocab import Reason

Values = dict[str, Any]
"""Header values by our own names: text, numbers, and lists of them; an absent or unreadable value is missing."""

RECORD_VERSION = 5
"""Raise when the meaning of a record changes, so that cached ones are read again."""

DICOM, NIFTI, OTHER = "dicom", "nifti", "other"


@dataclass
class FileRecord:
    """One file: where it comes from, what its header says, and what is wrong with it.

    ``values`` holds raw identifiers (patient, institution, dates): a record never leaves the private folder.
    ``frames`` holds what differs per frame in a multi-frame file and is empty for a single image.
    """

    source: str
    reason: Reason | None = None
    detail: str = ""
    digest: str | None = None
    values: Values = field(default_factory=dict)
    frames: list[Values] = field(default_factory=list)

    def planes(self) -> Iterator[Values]:
        """Yield the values of every image plane of the file; ``frame`` is its index, or missing in a single image."""
        if not self.frames:
            yield self.values
        for index, frame in enumerate(self.frames):
            yield {**self.values, **frame, "frame": index}

    def dumps(self) -> str:
        """Write as JSON."""
        return json.dumps(vars(self), separators=(",", ":"))

    @classmethod
    def loads(cls, text: str) -> FileRecord:
        """Read back; raises ValueError, KeyError or TypeError if the text is damaged."""
        found = json.loads(text)
        reason = found.pop("reason")
        return cls(**found, reason=Reason(reason) if reason else None)


def refuse(source: str, reason: Reason, detail: str, digest: str | None = None) -> FileRecord:
    """Record a file that tells nothing but why."""
    return FileRecord(source, reason, detail, digest)
