"""What the numbers in a label map mean: known conventions, or a table of the user."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

from paraspinal.core.errors import ConfigError
from paraspinal.core.labels import muscle_labels
from paraspinal.core.paths import RESOURCES
from paraspinal.core.vocab import Muscle, Side

Codes = dict[tuple[Muscle, Side], int]
"""Label code of each muscle and side."""

PARASPINAL = "paraspinal"
"""The codes of ``resources/labels.tsv``, which are MuscleMap's."""
COLUMNS = ("label", "muscle", "side")


@cache
def known_conventions() -> dict[str, Codes]:
    """Every convention by its name; `lpm_segmentator` as its masks are, not as its own table of labels says."""
    found: dict[str, Codes] = {PARASPINAL: dict(muscle_labels()), "musclemap": dict(muscle_labels())}
    with (RESOURCES / "label_conventions.tsv").open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            codes = found.setdefault(row["convention"], {})
            codes[Muscle(row["muscle"]), Side(row["side"])] = int(row["label"])
    return found


def read_convention(name: str) -> Codes:
    """Find a convention by its name, else read a tab-separated table with the columns label, muscle, side.

    Raises ConfigError if it is neither, or if the table names something twice or outside the vocabulary.
    """
    if name in known_conventions():
        return known_conventions()[name]
    hint = f"one of {', '.join(known_conventions())}, or a tab-separated table with {', '.join(COLUMNS)}"
    try:
        with Path(name).open(newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.DictReader(handle, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise ConfigError("no such label convention", hint=hint) from None
    codes: Codes = {}
    for number, row in enumerate(rows, 2):
        try:
            label, key = int(row["label"]), (Muscle(row["muscle"].strip()), Side(row["side"].strip()))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ConfigError(f"label table, line {number}: not a label, muscle and side", hint=_vocabulary()) from None
        if key in codes or label in codes.values() or label <= 0:
            raise ConfigError(f"label table, line {number}: stands twice, or is not above 0", hint="one label each")
        codes[key] = label
    if not codes:
        raise ConfigError("the label table is empty", hint=hint)
    return codes


def _vocabulary() -> str:
    return f"muscles: {', '.join(Muscle)}; sides: {', '.join(Side)}"
