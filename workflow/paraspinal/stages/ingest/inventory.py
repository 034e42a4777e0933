"""What a tree contains, in a few lines a person likes to read, and slices that only the cohort shows to be missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Reason, Status

MIN_PROTOCOL = 5
"""A protocol has a usual number of slices when at least this many stacks follow it ..."""
USUAL_FRAC = 0.8
"""... and this share of them has the same number."""
MAX_LOST = 2
"""So many slices fewer than usual are taken for lost ones; more is another coverage."""
KINDS = ("source", "sequence", "dixon_part", "is_fat_suppressed", "plane")
DECISIONS = ("status", "reason_code")
REGIONS = ("body_region",)
SCANNERS = ("manufacturer", "scanner_model", "field_strength_t")


@dataclass(frozen=True)
class Overview:
    """What an input holds: usable images by kind, stacks that need a look or are set aside, regions and scanners.

    Every line has the columns it is grouped by (``KINDS``, ``DECISIONS``, ``REGIONS`` or ``SCANNERS``) and the counts
    people, visits, stacks, files, least_slices and most_slices. Largest first. Regions and scanners are those of the
    usable images.
    """

    total: Row
    images: list[Row]
    doubtful: list[Row]
    rejected: list[Row]
    regions: list[Row]
    scanners: list[Row]


def overview(rows: Iterable[Row]) -> Overview:
    """Count what the inventory lists; usable and rejected stacks add up to all."""
    rows = list(rows)
    usable = [row for row in rows if Status(row["status"]).is_usable]
    return Overview(
        total=_counts(rows),
        images=_lines(usable, KINDS),
        doubtful=_lines([row for row in usable if row["reason_code"]], DECISIONS),
        rejected=_lines([row for row in rows if not Status(row["status"]).is_usable], DECISIONS),
        regions=_lines([row for row in usable if row.get("body_region")], REGIONS),
        scanners=_lines([row for row in usable if row.get("manufacturer")], SCANNERS),
    )


def _lines(rows: list[Row], columns: tuple[str, ...]) -> list[Row]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in columns), []).append(row)
    lines = [{**dict(zip(columns, group, strict=True)), **_counts(members)} for group, members in groups.items()]
    return sorted(lines, key=lambda line: (-line["stacks"], *(str(line[name]) for name in columns)))


def _counts(rows: list[Row]) -> Row:
    n_slices = [row["n_slices"] for row in rows if row.get("n_slices")]
    return {
        "people": len({row["subject"] for row in rows if row.get("subject")}),
        "visits": len({row["session"] for row in rows if row.get("session")}),
        "stacks": len(rows),
        "files": sum(row["n_files"] for row in rows),
        "least_slices": min(n_slices, default=None),
        "most_slices": max(n_slices, default=None),
    }


def short_stacks(rows: Iterable[Row]) -> dict[str, Row]:
    """Find stacks with fewer slices than their protocol usually has: the first or last may be lost.

    A protocol is one scanner's way of taking one kind of image. Returns the disposition by stack id. This shows only
    across the cohort, so it is noted in the inventory and not in the shards, which must not change when other people
    are added.
    """
    protocols: dict[tuple[object, ...], list[tuple[str, int]]] = {}
    for row in rows:
        if row["status"] == Status.OK.value and row.get("size"):
            spacing = round(row["spacing_mm"][2], 2)
            names = ("site", "manufacturer", "scanner_model", "sequence", "dixon_part", "plane", "repetition_time_ms")
            protocol = (*(row.get(name) for name in names), spacing)
            protocols.setdefault(protocol, []).append((row["stack_id"], row["n_slices"]))
    short = {}
    for members in protocols.values():
        usual, count = Counter(n_slices for _, n_slices in members).most_common(1)[0]
        if len(members) < MIN_PROTOCOL or count < USUAL_FRAC * len(members):
            continue
        for stack_id, n_slices in members:
            if 0 < usual - n_slices <= MAX_LOST:
                detail = f"{n_slices} slices where the protocol has {usual}"
                decision = (Status.WARN.value, Reason.SLICE_MISSING.value, detail)
                short[stack_id] = dict(zip(("status", "reason_code", "detail"), decision, strict=True))
    return short
