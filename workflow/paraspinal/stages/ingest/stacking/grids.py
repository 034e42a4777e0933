"""Split slices that show the same contrast into regular grids, and say what is wrong where that fails.

All lengths are millimetres in LPS. A grid's slices are ordered along normal = row x column, so it is right-handed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.vocab import Reason, Status

ORIENTATION_TOLERANCE = 0.005
"""Slices are parallel when no direction cosine differs by more than this (0.3 degrees)."""
POSITION_TOLERANCE_MM = 0.02
"""Slices closer than this along the normal are at the same place."""
IRREGULAR_FRAC = 0.05
"""A slice may lie this share of the spacing off its regular place."""
SHEAR_FRAC = 0.01
"""Slices may drift in plane by this share of their distance; more is a tilted gantry."""
GAP_RATIO = 1.5
"""A distance above this multiple of the median is a gap."""
MISSING_LIMIT = 3.5
"""A gap of a whole number of spacings up to this is taken for missing slices, a larger one for separate groups."""
MAX_REPEATS = 4
"""A stack acquired more often than this at the same places is a dynamic series."""


@dataclass(slots=True)
class Slice:
    """One image plane: where it lies, its order on the scanner, and which file and frame hold it."""

    path: bytes
    frame: int | None
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, ...] | None
    shape: tuple[int, int]
    instance: float | None
    acquisition: float | None
    temporal: float | None
    pixel_digest: str
    pixel_offset: int
    digest: str
    uid: str = ""
    syntax: str = ""
    is_broken: bool = False
    pixel_sha256: str | None = None


@dataclass
class Block:
    """Slices of one grid, in order, or slices that form none and why; ``copies`` are identical repeats."""

    slices: list[Slice]
    copies: list[Slice] = field(default_factory=list)
    grid: Grid | None = None
    status: Status = Status.OK
    reason: Reason | None = None
    detail: str = ""

    def refused(self, status: Status, reason: Reason, detail: str) -> Block:
        """Return the block with a reason and without a grid."""
        return replace(self, grid=None, status=status, reason=reason, detail=detail)


IsIdentical = Callable[[Slice, Slice], bool]
"""Compare the pixels of two slices for certain."""


def split(slices: list[Slice], is_identical: IsIdentical) -> list[Block]:
    """Split slices of one contrast and matrix into blocks; every slice ends up in exactly one of them."""
    blocks = []
    located = [s for s in slices if has_geometry(s)]
    without_geometry = [s for s in slices if not has_geometry(s)] if len(located) < len(slices) else []
    if without_geometry:
        detail = f"{len(without_geometry)} of {len(slices)} slices without position and orientation"
        blocks.append(Block(without_geometry).refused(Status.FAILED, Reason.NO_GEOMETRY, detail))
    flat = [s for s in located if not _has_spacing(s)]
    if flat:
        blocks.append(Block(flat).refused(Status.FAILED, Reason.BAD_SPACING, "pixel spacing missing or not positive"))
    placed = [s for s in located if _has_spacing(s)]
    for parallel in _by_orientation(placed):
        blocks += _split_parallel(parallel, is_identical)
    return blocks


def has_geometry(piece: Slice) -> bool:
    """Whether a slice states where it lies, with unit and perpendicular directions."""
    if piece.position is None or piece.orientation is None:
        return False
    row, column = piece.orientation[:3], piece.orientation[3:]
    product = sum(a * b for a, b in zip(row, column, strict=True))
    faults = abs(math.hypot(*row) - 1), abs(math.hypot(*column) - 1), abs(product)
    return max(faults) < 0.01  # direction cosines are unit and perpendicular, up to rounding in text


def _has_spacing(piece: Slice) -> bool:
    return piece.pixel_spacing is not None and min(piece.pixel_spacing) > 0


def _by_orientation(slices: list[Slice]) -> list[list[Slice]]:
    groups: list[tuple[np.ndarray, list[Slice]]] = []
    for piece in slices:
        cosines = np.array(piece.orientation)
        for reference, members in groups:
            if np.abs(reference - cosines).max() <= ORIENTATION_TOLERANCE:
                members.append(piece)
                break
        else:
            groups.append((cosines, [piece]))
    return [members for _, members in groups]


def axes_of(piece: Slice) -> np.ndarray:
    """Return the row, column and normal directions of a slice as the columns of a (3, 3) array."""
    row = np.array(piece.orientation[:3], dtype=np.float64)  # type: ignore[index]
    column = np.array(piece.orientation[3:], dtype=np.float64)  # type: ignore[index]
    row /= np.linalg.norm(row)
    column -= (column @ row) * row
    column /= np.linalg.norm(column)
    return np.stack([row, column, np.cross(row, column)], axis=1)


def _split_parallel(slices: list[Slice], is_identical: IsIdentical) -> list[Block]:
    normal = axes_of(slices[0])[:, 2]
    heights = np.array([np.dot(s.position, normal) for s in slices])  # type: ignore[arg-type]
    order = np.argsort(heights, kind="stable")
    levels: list[list[Slice]] = []
    for index in order:
        is_same = levels and heights[index] - _height(levels[-1][0], normal) <= POSITION_TOLERANCE_MM
        levels[-1].append(slices[index]) if is_same else levels.append([slices[index]])
    copies = [_drop_copies(level, is_identical) for level in levels]
    flat = [copy for dropped in copies for copy in dropped]
    if max(len(level) for level in levels) == 1:
        return _split_runs([level[0] for level in levels], flat, normal)
    return _split_repeats(levels, flat, is_identical)


def _height(piece: Slice, normal: np.ndarray) -> float:
    return float(np.dot(np.array(piece.position), normal))


def _drop_copies(level: list[Slice], is_identical: IsIdentical) -> list[Slice]:
    """Remove slices from ``level`` that repeat another one's pixels; returns those removed."""
    kept: list[Slice] = []
    dropped: list[Slice] = []
    for piece in sorted(level, key=lambda piece: piece.is_broken):
        is_copy = any(_is_same_instance(other, piece) or _is_same_image(other, piece, is_identical) for other in kept)
        (dropped if is_copy else kept).append(piece)
    level[:] = kept
    return dropped


def _is_same_instance(a: Slice, b: Slice) -> bool:
    """Whether two files are one instance: in two encodings, as archives that compress hand it out, or one cut."""
    is_other = a.syntax != b.syntax or a.is_broken or b.is_broken
    return bool(a.uid) and a.uid == b.uid and a.frame == b.frame and is_other


def _is_same_image(a: Slice, b: Slice, is_identical: IsIdentical) -> bool:
    return a.pixel_digest == b.pixel_digest and is_identical(a, b)


def _split_repeats(levels: list[list[Slice]], copies: list[Slice], is_identical: IsIdentical) -> list[Block]:
    """Sort out several different slices at one place: repeated acquisitions, dynamics, or a conflict."""
    slices = [piece for level in levels for piece in level]
    counts = {len(level) for level in levels}
    most = max(counts)
    acquisitions: dict[float | None, list[Slice]] = {}
    for piece in slices:
        acquisitions.setdefault(piece.acquisition, []).append(piece)
    has_order = len({piece.temporal for piece in slices}) > 1
    has_conflict = any(len({piece.uid for piece in level}) < len(level) for level in levels if level[0].uid)
    if 1 < len(acquisitions) <= MAX_REPEATS and not has_order and not has_conflict and len(acquisitions) >= most:
        blocks = [_split_parallel(group, is_identical) for _, group in sorted(acquisitions.items(), key=str)]
        if all(block.reason not in (Reason.FOURD_UNEXPECTED, Reason.DUP_CONFLICT) for b in blocks for block in b):
            blocks[0][0].copies += copies
            return [block for b in blocks for block in b]
    whole = Block(slices, copies)
    if not has_conflict and (len(counts) == 1 or has_order or most > MAX_REPEATS):
        return [whole.refused(Status.EXCLUDED, Reason.FOURD_UNEXPECTED, f"up to {most} images at each place")]
    return [whole.refused(Status.FAILED, Reason.DUP_CONFLICT, f"up to {most} different images at one place")]


def _split_runs(slices: list[Slice], copies: list[Slice], normal: np.ndarray) -> list[Block]:
    """Split ordered slices at gaps; slices missing inside a run refuse the whole."""
    heights = np.array([_height(piece, normal) for piece in slices])
    steps = np.diff(heights)
    if len(steps) < 2:
        return [_run(slices, copies, normal)]
    spacing = float(np.median(steps))
    gaps = [index for index, step in enumerate(steps) if step > GAP_RATIO * spacing]
    if not gaps:
        return [_run(slices, copies, normal)]
    bounds = [0, *(index + 1 for index in gaps), len(slices)]
    runs = [slices[start:end] for start, end in pairwise(bounds)]
    if len(runs[0]) == 1 or len(gaps) * 2 >= len(steps):
        return [Block(slices, copies).refused(Status.FAILED, Reason.SLICE_IRREGULAR, "uneven slice distances")]
    if any(_is_missing(slices[i], slices[i + 1], steps[i] / spacing, len(runs)) for i in gaps):
        detail = f"gaps of up to {steps.max() / spacing:.1f} slice distances"
        return [Block(slices, copies).refused(Status.FAILED, Reason.SLICE_MISSING, detail)]
    blocks = [_run(run, [], normal) for run in runs]
    blocks[0].copies += copies
    return blocks


def _is_missing(before: Slice, after: Slice, ratio: float, n_runs: int) -> bool:
    """Whether a gap of ``ratio`` spacings is a hole in one stack, not the space between two groups.

    The scanner's numbering tells: it runs on between planned groups and jumps over slices that got lost.
    """
    lost = round(ratio) - 1
    is_whole = abs(ratio - round(ratio)) <= IRREGULAR_FRAC * max(1, lost)
    if before.instance is not None and after.instance is not None:
        jump = abs(after.instance - before.instance)
        if is_whole and jump == lost + 1:
            return True
        if jump == 1 and (n_runs > 2 or ratio > MISSING_LIMIT):
            return False
    return is_whole and ratio <= MISSING_LIMIT


def _run(slices: list[Slice], copies: list[Slice], normal: np.ndarray) -> Block:
    """Make the grid of evenly spaced slices, or say why there is none."""
    block = Block(slices, copies)
    if len(slices) == 1:
        return block.refused(Status.EXCLUDED, Reason.TOO_FEW_SLICES, "a single slice")
    positions = np.array([piece.position for piece in slices], dtype=np.float64)
    heights = positions @ normal
    spacing = float(heights[-1] - heights[0]) / (len(slices) - 1)
    regular = heights[0] + spacing * np.arange(len(slices))
    offset = float(np.abs(heights - regular).max())
    if offset > max(IRREGULAR_FRAC * spacing, POSITION_TOLERANCE_MM):
        return block.refused(Status.FAILED, Reason.SLICE_IRREGULAR, f"slices up to {offset:.2f} mm off a regular grid")
    drift = positions - positions[0] - np.outer(heights - heights[0], normal)
    if float(np.linalg.norm(drift, axis=1).max()) > max(SHEAR_FRAC * (heights[-1] - heights[0]), POSITION_TOLERANCE_MM):
        return block.refused(Status.FAILED, Reason.SLICE_IRREGULAR, "slices shifted in plane against each other")
    rows, columns = slices[0].shape
    between_rows, between_columns = slices[0].pixel_spacing  # type: ignore[misc]
    block.grid = Grid(
        size=(columns, rows, len(slices)),
        spacing_mm=(float(between_columns), float(between_rows), spacing),
        origin_mm=tuple(float(x) for x in positions[0]),  # type: ignore[arg-type]
        direction=tuple(float(x) for x in axes_of(slices[0]).reshape(-1)),
    )
    if copies:
        block.status, block.reason = Status.WARN, Reason.DUP_IDENTICAL
        block.detail = f"{len(copies)} identical copies left out"
    return block


def runs_around(block: Block) -> list[Block]:
    """Split a block with holes into its unbroken runs; used when what filled the holes is known to lie elsewhere."""
    normal = axes_of(block.slices[0])[:, 2]
    heights = np.array([_height(piece, normal) for piece in block.slices])
    steps = np.diff(heights)
    spacing = float(np.median(steps))
    bounds = [0, *(i + 1 for i, step in enumerate(steps) if step > GAP_RATIO * spacing), len(block.slices)]
    runs = [_run(block.slices[start:end], [], normal) for start, end in pairwise(bounds)]
    runs[0].copies += block.copies
    return runs
