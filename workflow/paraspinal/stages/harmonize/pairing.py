"""Which Dixon images belong to one acquisition: by grid, series and numbering."""

from __future__ import annotations

import numpy as np

from paraspinal.core.geometry import Grid
from paraspinal.core.tables import Row
from paraspinal.core.vocab import DixonPart

NOISE_FRAC = 1e-3
"""Vendors write the spacings of one acquisition's parts with this relative noise; seen: 1.0185 and 1.0185186 mm."""
MAX_SERIES_DISTANCE = 10
"""Parts on different grids are taken for one (broken) acquisition when their series numbers are this close."""
PRIMARY_ORDER = (
    DixonPart.WATER,
    DixonPart.IN_PHASE,
    DixonPart.FAT,
    DixonPart.OPPOSED_PHASE,
    DixonPart.FAT_FRACTION,
)
"""The part the muscles are outlined on: the first of these that is there."""

Parts = dict[DixonPart, Row]


def grid_of(row: Row) -> Grid:
    """Read the grid of a converted stack."""
    return Grid(tuple(row["size"]), tuple(row["spacing_mm"]), tuple(row["origin_mm"]), tuple(row["direction"]))


def is_one_grid(a: Row, b: Row) -> bool:
    """Whether two parts lie on one grid, up to rounding in the headers."""
    grid, other = grid_of(a), grid_of(b)
    if grid.size != other.size:
        return False
    corners = grid.corners_mm()
    extent = float(np.linalg.norm(corners[-1] - corners[0]))
    return bool(np.abs(corners - other.corners_mm()).max() <= NOISE_FRAC * extent)


def primary(parts: Parts) -> Row:
    """Return the part the muscles are outlined on."""
    return next(parts[part] for part in PRIMARY_ORDER if part in parts)


def dixon_sets(rows: list[Row]) -> list[Parts]:
    """Sort the Dixon stacks of a session into acquisitions; every stack ends up in exactly one.

    The first part kind present founds the sets; other parts join the closest one that lacks them, the surest pair
    first: same grid before same size, same series before neighbouring ones. What fits nowhere founds its own set.
    """
    waiting = sorted(rows, key=lambda row: (row["series_number"] or 0, row["stack_id"]))
    sets: list[Parts] = []
    for part in PRIMARY_ORDER:
        for row in [r for r in waiting if DixonPart(r["dixon_part"]) is part]:
            if (
                not any(_distance(row, founder) is not None for founder in map(primary, sets))
                or part is PRIMARY_ORDER[0]
            ):
                sets.append({part: row})
                waiting.remove(row)
        sets += _join(waiting, sets, part)
    return sets


def _join(waiting: list[Row], sets: list[Parts], part: DixonPart) -> list[Parts]:
    """Let the waiting stacks of a part join sets, closest pairs first; returns new sets of those left over."""
    rows = [row for row in waiting if DixonPart(row["dixon_part"]) is part]
    pairs = []
    for number, row in enumerate(rows):
        for which, members in enumerate(sets):
            if part not in members and (distance := _distance(row, primary(members))) is not None:
                pairs.append((distance, number, which))
    joined: set[int] = set()
    for _, number, which in sorted(pairs):
        if number not in joined and part not in sets[which]:
            sets[which][part] = rows[number]
            joined.add(number)
    for row in rows:
        waiting.remove(row)
    return [{part: row} for number, row in enumerate(rows) if number not in joined]


def _distance(a: Row, b: Row) -> tuple[int, int, int] | None:
    """How unlikely it is that two parts are of one acquisition; None when they cannot be.

    Parts of one series, or on one grid, belong together; parts of neighbouring series may, though their grids differ.
    """
    frames = {row["frame_of_reference_id"] for row in (a, b)} - {None}
    if a["plane"] != b["plane"] or len(frames) > 1:
        return None
    same_series = a["series_id"] is not None and a["series_id"] == b["series_id"]
    same_grid = is_one_grid(a, b)
    numbers = (a["series_number"], b["series_number"])
    apart = abs(numbers[0] - numbers[1]) if None not in numbers else 0
    if not same_grid and not same_series and (None in numbers or apart > MAX_SERIES_DISTANCE):
        return None
    if not same_grid and a["size"][2] != b["size"][2] and not same_series:
        return None
    return int(not same_grid), int(not same_series), apart
