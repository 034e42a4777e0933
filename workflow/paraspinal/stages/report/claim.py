"""The CLAIM 2024 checklist with, for every item, the files that answer it, or that the authors must.

The items stand in ``resources/claim2024.tsv``, in words of our own; after Tejani et al., Radiology: Artificial
Intelligence 2024, doi 10.1148/ryai.240300.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paraspinal.core.paths import PROJECT, RESOURCES
from paraspinal.stages.report.agreement import agreement_files
from paraspinal.stages.report.evidence import Model
from paraspinal.stages.report.prose import Grid, Section

CHECKLIST = RESOURCES / "claim2024.tsv"
ANSWERS = {
    "software": "answered by these files",
    "both": "these files help; the authors complete it",
    "authors": "the authors must answer",
}


@dataclass(frozen=True)
class Item:
    """One item: who answers it, with which files. Of files in the results only those that exist are named."""

    number: int
    section: str
    topic: str
    answered_by: str
    files: tuple[str, ...]
    note: str


def checklist(results: Path, models: tuple[Model, ...]) -> tuple[Item, ...]:
    """Read the checklist and resolve its evidence against a results folder and the models in use."""
    with CHECKLIST.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    return tuple(
        Item(
            number=int(row["item"]),
            section=row["section"],
            topic=row["topic"],
            answered_by=row["answered_by"],
            files=tuple(f for text in row["evidence"].split() for f in _files(text, results, models)),
            note=row["note"],
        )
        for row in rows
    )


def _files(evidence: str, results: Path, models: tuple[Model, ...]) -> Iterator[str]:
    kind, _, name = evidence.partition(":")
    if kind == "results":
        yield name
    elif kind == "repository":
        yield f"{name} (repository)" if (PROJECT / name).exists() else ""
    elif kind == "card":
        yield from (f"{m.card_path}: {name} (repository)" for m in models if m.card)
    elif kind == "optional":
        yield from agreement_files(results)
    else:
        raise ValueError(f"unknown kind of evidence: {kind}")


def as_section(items: tuple[Item, ...]) -> Section:
    """Write the checklist as one table."""
    rows = tuple(
        (str(i.number), i.section, i.topic, ANSWERS[i.answered_by], "; ".join(f for f in i.files if f), i.note)
        for i in items
    )
    head = ("Item", "Section", "What must be told", "By whom", "Where", "Note")
    left = sum(i.answered_by != "software" for i in items)
    text = (
        f"{len(items)} items of the Checklist for Artificial Intelligence in Medical Imaging, 2024 update "
        "(doi 10.1148/ryai.240300), each in our own short words: the original wording counts. "
        f"{len(items) - left} are answered by the files named; {left} need the authors."
    )
    return Section("CLAIM 2024", (text,), (Grid("Checklist", head, rows),))
