"""Have fat and water changed places: everywhere, in some slices, or in a region?

Under the skin lies fat, deep inside more water: that tells a swap of the whole. A swap of some slices, or of a region
of some slices, shows where it begins: no anatomy turns from fat into water over a whole hand's breadth from one slice
to the next. A swap of one half of all slices shows as fat under the skin of one side only.

The in-phase and opposed-phase images cannot help here: |W - F| and W + F are the same for swapped images. Nor does a
swap of a small region show, of less than about 5 cm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paraspinal.stages.harmonize.trunk import MIN_VOXELS, Floats, Mask, Trunk

MAX_GAP_MM = 15.0
"""Slices farther apart are not compared: the anatomy itself may have changed."""
OPPOSITE = -0.3
"""Two slices are swapped against each other when their shares of fat correlate below this; sound neighbours correlate
above 0.7 (the same people; the real one 0.96), slices without structure around zero."""
TILE_MM = 60.0
"""Size of the regions in which neighbouring slices are compared."""
MIN_BODY_FRAC = 0.5
"""A tile counts when at least this share of it is body ..."""
MIN_PURE_FRAC = 0.6
"""... and this share of that is nearly pure water or fat in both slices."""
PURE_SHARE = 0.3
"""Below this share of fat a voxel is taken for water, above one minus it for fat."""
FLIPPED_FRAC = 0.75
"""A tile is swapped against its neighbour when this share of its pure voxels changes sides; sound ones stay below 0.5
(60 synthetic people at 4 to 8 mm: at most 0.45; one real person at 4 mm: 0.02)."""
ONE_SIDED = (0.25, 0.65)
"""Median shares of fat under the skin of the two sides of the body, in front or behind: below the first and above the
second, one is swapped. Sound ones differ by up to 0.15 (40 synthetic people), 0.53 beside 0.85 in one real person."""


@dataclass(frozen=True)
class Swap:
    """What speaks for a swap, and in how many slices whole (None: cannot be told)."""

    detail: str
    n_slices: int | None


def swap_fault(trunk: Trunk) -> Swap | None:
    """Look for a swap of fat and water; None when nothing speaks for one."""
    groups = _groups(trunk)
    swapped = _swapped(trunk, groups)
    n_slices = len(groups)
    if 0 < len(swapped) < n_slices:
        return Swap(f"fat and water change places in {len(swapped)} of {n_slices} slices", len(swapped))
    if detail := _region(trunk, groups) or _side(trunk):
        return Swap(detail, None)
    if not len(swapped):
        return None
    outside, inside = _layers(trunk, np.arange(n_slices)) or (0.0, 0.0)
    return Swap(f"share of fat {outside:.2f} under the skin, {inside:.2f} deep inside", n_slices)


def _layers(trunk: Trunk, slices: NDArray[np.int_]) -> tuple[float, float] | None:
    """Median share of fat (under the skin, deep inside) of some slices; None where either is out of view."""
    if not trunk.is_whole:
        return None
    ring, deep, share = trunk.ring[slices], trunk.deep[slices], trunk.share[slices]
    if min(ring.sum(), deep.sum()) < MIN_VOXELS:
        return None
    return float(np.median(share[ring])), float(np.median(share[deep]))


def _neighbours(trunk: Trunk) -> list[tuple[int, Mask]]:
    """Pairs of adjacent slices, by the number of the first, with the body they share."""
    if trunk.spacing_mm[2] > MAX_GAP_MM:
        return []
    both = trunk.body[:-1] & trunk.body[1:]
    return [(k, shared) for k, shared in enumerate(both) if shared.sum() >= MIN_VOXELS]


def _groups(trunk: Trunk) -> NDArray[np.int_]:
    """Sort slices into two groups, 0 and 1: the share of fat follows that of the slice before, or is its opposite."""
    groups = np.zeros(len(trunk.share), dtype=int)
    flips = {
        k for k, shared in _neighbours(trunk) if _correlation(trunk.share[k], trunk.share[k + 1], shared) < OPPOSITE
    }
    for k in range(1, len(groups)):
        groups[k] = groups[k - 1] ^ int(k - 1 in flips)
    return groups


def _correlation(a: Floats, b: Floats, where: Mask) -> float:
    x, y = a[where] - a[where].mean(), b[where] - b[where].mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size > 0 else 1.0


def _swapped(trunk: Trunk, groups: NDArray[np.int_]) -> NDArray[np.int_]:
    """Numbers of the slices of the group that is swapped: by its layers, else the smaller one of two."""
    members = [np.flatnonzero(groups == g) for g in (0, 1)]
    layers = [_layers(trunk, slices) for slices in members]
    verdicts = [None if found is None else found[0] < 0.5 < found[1] for found in layers]
    if not members[1].size:
        return members[0] if verdicts[0] else members[1]
    if True in verdicts and verdicts[0] is not verdicts[1]:
        return members[verdicts.index(True)]
    return min(members, key=len)


def _region(trunk: Trunk, groups: NDArray[np.int_]) -> str:
    """Say between which slices a region of at least a tile changes sides; empty when none does."""
    tile = [max(1, int(TILE_MM / trunk.spacing_mm[axis])) for axis in (1, 0)]
    found: list[int] = []
    for k, shared in _neighbours(trunk):
        if groups[k] != groups[k + 1]:
            continue
        before, after = trunk.share[k], trunk.share[k + 1]
        sure = shared & (np.abs(before - 0.5) > 0.5 - PURE_SHARE) & (np.abs(after - 0.5) > 0.5 - PURE_SHARE)
        flipped = sure & ((before > 0.5) != (after > 0.5))
        if any(_is_flipped(shared[at], sure[at], flipped[at]) for at in _tiles(shared.shape, tile)):
            found.append(k + 1)
    if not found:
        return ""
    places = ", ".join(f"{k} and {k + 1}" for k in found[:3]) + (" and more" if len(found) > 3 else "")
    return f"a region of at least {TILE_MM / 10:.0f} cm turns from fat to water or back between slices {places}"


def _tiles(shape: tuple[int, ...], tile: list[int]) -> list[tuple[slice, slice]]:
    """Tiles that overlap by half."""
    starts = [range(0, max(1, n - t + 1), max(1, t // 2)) for n, t in zip(shape, tile, strict=True)]
    return [(slice(y, y + tile[0]), slice(x, x + tile[1])) for y in starts[0] for x in starts[1]]


def _is_flipped(shared: Mask, sure: Mask, flipped: Mask) -> bool:
    n_body, n_sure = int(shared.sum()), int(sure.sum())
    if n_body < MIN_BODY_FRAC * shared.size or n_sure < MIN_PURE_FRAC * n_body:
        return False
    return int(flipped.sum()) >= FLIPPED_FRAC * n_sure


def _side(trunk: Trunk) -> str:
    """Compare the fat under the skin of the two sides, in front and behind; empty when they are alike."""
    if not trunk.is_whole:
        return ""
    quarters: dict[tuple[bool, bool], list[Floats]] = {(a, b): [] for a in (False, True) for b in (False, True)}
    for k, body in enumerate(trunk.body):
        if body.any():
            beyond = np.argwhere(trunk.ring[k]) > np.argwhere(body).mean(axis=0)
            share = trunk.share[k][trunk.ring[k]]
            for quarter, values in quarters.items():
                values.append(share[(beyond == quarter).all(axis=1)])
    for lower in (False, True):
        sides = [np.concatenate(quarters[lower, right]) for right in (False, True)]
        if min(side.size for side in sides) < MIN_VOXELS:
            continue
        low, high = sorted(float(np.median(side)) for side in sides)
        if low < ONE_SIDED[0] and high > ONE_SIDED[1]:
            return f"share of fat under the skin {low:.2f} on one side, {high:.2f} on the other"
    return ""
