"""The one registry of label codes, read from ``resources/labels.tsv``.

Muscles carry MuscleMap's public codes, vertebrae and discs those of TotalSpineSeg.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from paraspinal.core.paths import RESOURCES
from paraspinal.core.vocab import Muscle, Side


@dataclass(frozen=True)
class Label:
    """One label code and what it means; ``muscle``/``side`` or ``level`` are None where they do not apply."""

    code: int
    name: str
    structure: str
    muscle: Muscle | None
    side: Side | None
    level: str | None


@cache
def all_labels() -> tuple[Label, ...]:
    """List every label in the order of the registry file."""
    with (RESOURCES / "labels.tsv").open(newline="") as handle:
        return tuple(
            Label(
                code=int(row["label"]),
                name=row["name"],
                structure=row["structure"],
                muscle=Muscle(row["muscle"]) if row["muscle"] else None,
                side=Side(row["side"]) if row["side"] else None,
                level=row["level"] or None,
            )
            for row in csv.DictReader(handle, delimiter="\t")
        )


@cache
def muscle_labels() -> dict[tuple[Muscle, Side], int]:
    """Map (muscle, side) to its label code, in the order of the registry file."""
    return {(x.muscle, x.side): x.code for x in all_labels() if x.muscle and x.side}


def muscles_among(codes: Iterable[int]) -> dict[tuple[Muscle, Side], int]:
    """Map the muscles among some label codes, such as those a model draws, to their codes."""
    known = set(codes)
    return {muscle: code for muscle, code in muscle_labels().items() if code in known}


@cache
def vertebra_labels() -> dict[str, int]:
    """Map vertebral level (``T11`` .. ``L6``) to its label code, cranial to caudal."""
    return {x.level: x.code for x in all_labels() if x.structure == "vertebra" and x.level}


@cache
def disc_labels() -> dict[str, int]:
    """Map disc level (``T11_T12`` .. ``L5_S1``) to its label code, cranial to caudal."""
    return {x.level: x.code for x in all_labels() if x.structure == "disc" and x.level}


@cache
def label_by_name(name: str) -> Label:
    """Look a label up by its name; raises KeyError for a name outside the registry."""
    for label in all_labels():
        if label.name == name:
            return label
    raise KeyError(name)
