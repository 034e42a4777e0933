"""The one vocabulary of levels, read from ``resources/levels.tsv``: vertebrae, discs and blocks."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from paraspinal.core.paths import RESOURCES

LEVELS_FILE = RESOURCES / "levels.tsv"


class LevelKind(StrEnum):
    """What a level is."""

    VERTEBRA = "vertebra"
    DISC = "disc"
    BLOCK = "block"


STACK = "stack"
"""The block that is exactly the slices a scan has."""
LUMBAR_BLOCK = "L1_L5"
"""The block from the upper end plate of L1 to the lower end plate of L5."""


@dataclass(frozen=True)
class Level:
    """One level.

    ``order`` rises from head to foot, discs between their vertebrae. ``cranial`` and ``caudal`` are the first and
    last vertebra of a disc or block, and the usual neighbours of a vertebra; None where there is none.
    ``is_measured`` tells whether muscles are measured there (T11 and S1 serve as anchors only).
    """

    name: str
    kind: LevelKind
    order: int
    cranial: str | None
    caudal: str | None
    is_measured: bool


@cache
def all_levels() -> tuple[Level, ...]:
    """List every level in the order of the registry file."""
    with LEVELS_FILE.open(newline="", encoding="utf-8") as handle:
        return tuple(
            Level(
                name=row["name"],
                kind=LevelKind(row["kind"]),
                order=int(row["order"]),
                cranial=row["cranial"] or None,
                caudal=row["caudal"] or None,
                is_measured=row["is_measured"] == "1",
            )
            for row in csv.DictReader(handle, delimiter="\t")
        )


@cache
def level_by_name(name: str) -> Level:
    """Look a level up by its name; raises KeyError for a name outside the vocabulary."""
    for level in all_levels():
        if level.name == name:
            return level
    raise KeyError(name)


@cache
def disc_between(cranial: str, caudal: str) -> Level | None:
    """Find the disc between two vertebrae; None when they are not neighbours."""
    for level in all_levels():
        if level.kind is LevelKind.DISC and (level.cranial, level.caudal) == (cranial, caudal):
            return level
    return None
