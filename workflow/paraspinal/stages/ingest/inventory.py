"""What a tree contains, in a few lines a person likes to read, and slices that only the cohort shows to be missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from paraspinal.core.tables import Row
from paraspinal.core.vocab import Reason, Status

MIN_PROTOCOL = 5
"""A protocol has a usual number of slices when at least this many stacks follow it ..."""
USUAL_FRAC = 0.8
"""... and this share of them has the same number."""
MAX_LOST = 2
"""So many slices fewer than usual are taken for lost ones; more is another coverage."""
GROUPS = ("source", "sequence", "dixon_part", "plane", "status", "reason_code")


def summarise(rows: Iterable[Row]) -> list[Row]:
    """Count what the inventory lists: one row per kind of stack and disposition, largest first, and a total.

    Columns: source, sequence, dixon_part, plane, status, reason_code, people, visits, stacks, files. The total has
    "all" in the first column and null in the other words.
    """
    rows = list(rows)
    kinds: dict[tuple[str | None, ...], list[Row]] = {}
    for row in rows:
        kinds.setdefault(tuple(row.get(name) for name in GROUPS), []).append(row)
    lines = [{**dict(zip(GROUPS, kind, strict=True)), **_counts(members)} for kind, members in kinds.items()]
    lines.sort(key=lambda line: (-line["stacks"], *(str(line[name]) for name in GROUPS)))
    return [*lines, {**dict.fromkeys(GROUPS), "source": "all", **_counts(rows)}]


def _counts(rows: list[Row]) -> Row:
    return {
        "people": len({row["subject"] for row in rows if row.get("subject")}),
        "visits": len({row["session"] for row in rows if row.get("session")}),
        "stacks": len(rows),
        "files": sum(row["n_files"] for row in rows),
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
