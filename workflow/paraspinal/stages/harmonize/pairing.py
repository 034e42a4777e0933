"""Which Dixon images belong to one acquisition: by grid, by when they were acquired, by series and numbering."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.records.tables import Row
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
GRID_COST, SERIES_COST, ACQUISITION_COST, MAX_APART = 1e12, 1e10, 1e8, 1000
"""What speaks against a pair, each weightier than all that follows: another grid, another series, another acquisition
number, and the square of the distance of the series numbers, up to this many. Squares make the pairs of several
acquisitions keep their order, as a scanner numbers the parts of each in the same way."""
NEVER = 1e15

Parts = dict[DixonPart, Row]


@dataclass
class DixonSet:
    """The parts of one acquisition, and which parts lack because an image fits this and another one equally well."""

    parts: Parts
    disputed: set[DixonPart] = field(default_factory=set)

    @property
    def primary(self) -> Row:
        """The part the muscles are outlined on."""
        return next(self.parts[part] for part in PRIMARY_ORDER if part in self.parts)


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


def dixon_sets(rows: list[Row]) -> list[DixonSet]:
    """Sort the Dixon stacks of a session into acquisitions; every stack ends up in exactly one.

    The first part kind present founds the sets; the others join them, all stacks of a kind at once, so that the pairs
    together are the likeliest. A stack that fits two sets equally well joins neither: it founds its own, as does what
    fits nowhere.
    """
    waiting = sorted(rows, key=lambda row: (row["series_number"] or 0, row["stack_id"]))
    sets: list[DixonSet] = []
    for part in PRIMARY_ORDER:
        of_part = [row for row in waiting if DixonPart(row["dixon_part"]) is part]
        joining = [row for row in of_part if any(_cost(row, one.primary) < NEVER for one in sets)]
        left_over = _join(joining, sets, part)
        founders = [row for row in of_part if row not in joining]
        sets += [DixonSet({part: row}) for row in [*founders, *left_over]]
    return sets


def _join(rows: list[Row], sets: list[DixonSet], part: DixonPart) -> list[Row]:
    """Let the stacks of a part join sets; returns those left over."""
    if not rows or not sets:
        return rows
    cost = np.array([[_cost(row, one.primary) for one in sets] for row in rows])
    pairs = _likeliest(cost)
    doubtful = _rivals(cost, pairs)
    for number, which in pairs:
        if (number, which) not in doubtful:
            sets[which].parts[part] = rows[number]
    for number, which in doubtful:
        for one in {which, *np.flatnonzero(cost[number] == cost[number, which])}:
            if part not in sets[one].parts:
                sets[one].disputed.add(part)
    taken = {number for number, _ in set(pairs) - doubtful}
    return [row for number, row in enumerate(rows) if number not in taken]


def _likeliest(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pairs (row, column) of least total cost, impossible ones left out."""
    pairs = zip(*linear_sum_assignment(cost), strict=True)
    return [(int(i), int(j)) for i, j in pairs if cost[i, j] < NEVER]


def _rivals(cost: NDArray[np.float64], pairs: list[tuple[int, int]]) -> set[tuple[int, int]]:
    """Which of the likeliest pairs could be others at the same total cost."""
    total = _total(cost, pairs)
    found = set()
    for pair in pairs:
        without = cost.copy()
        without[pair] = NEVER
        if _total(without, _likeliest(without)) == total:
            found.add(pair)
    return found


def _total(cost: NDArray[np.float64], pairs: list[tuple[int, int]]) -> tuple[int, float]:
    return -len(pairs), float(sum(cost[pair] for pair in pairs))


def _cost(a: Row, b: Row) -> float:
    """How unlikely it is that two parts are of one acquisition; `NEVER` when they cannot be.

    Parts acquired at different moments are not, whatever else they share. Parts of one series, or on one grid, may
    belong together; so may parts of neighbouring series, though their grids differ.
    """
    frames = {row["frame_of_reference_id"] for row in (a, b)} - {None}
    if a["plane"] != b["plane"] or len(frames) > 1:
        return NEVER
    is_same_moment = _are_same(a, b, "acquisition_moment")
    if is_same_moment is False:
        return NEVER
    is_same_series, is_other_acquisition = _are_same(a, b, "series_id"), _are_same(a, b, "acquisition_number") is False
    if is_same_series and is_other_acquisition and not is_same_moment:
        return NEVER
    is_same_grid = is_one_grid(a, b)
    numbers = (a["series_number"], b["series_number"])
    apart = abs(numbers[0] - numbers[1]) if None not in numbers else 0
    is_far = None in numbers or apart > MAX_SERIES_DISTANCE or a["size"][2] != b["size"][2]
    if not is_same_grid and not is_same_series and is_far:
        return NEVER
    return (
        GRID_COST * (not is_same_grid)
        + SERIES_COST * (not is_same_series)
        + ACQUISITION_COST * is_other_acquisition
        + min(apart, MAX_APART) ** 2
    )


def _are_same(a: Row, b: Row, name: str) -> bool | None:
    """Whether two parts agree in a column; None where either does not say."""
    return None if a[name] is None or b[name] is None else a[name] == b[name]
