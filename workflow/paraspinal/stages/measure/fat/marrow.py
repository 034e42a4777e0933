"""Fat fraction of the vertebral marrow, a tissue everybody has in view and that is never pure water nor pure fat."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import LevelScheme, Reason, Status
from paraspinal.stages.measure.fat.dixon import PAIR, stored_pair
from paraspinal.stages.measure.scan import Scan

RADIUS_MM = 8.0
"""Marrow is read in a ball of this size around the centre of a vertebral body: half the way to its nearest cortex."""
MIN_VOXELS = 20
"""Fewer voxels in the ball are no measurement."""
SOUND_FRAC = (0.05, 0.9)
"""Lumbar marrow holds 0.2 to 0.7 fat in adults, 0.1 to 0.85 between children and the very old (Baum et al., Quant
Imaging Med Surg 2018;8:409, and the studies compared there); beyond these limits one of the images is wrong."""


def marrow_of(scan: Scan) -> float | None:
    """Fat fraction of the marrow of a Dixon scan; None where it has no pair or no vertebra is in view."""
    slabs = [slab for slab in scan.row["slabs"] or [] if slab["centre_mm"] is not None]
    if not slabs or any(scan.row[column] is None for column in PAIR):
        return None
    pair = scan.once(stored_pair)
    return None if pair is None else marrow_ff_frac(slabs, *pair, scan.grid)


def judged_by_marrow(row: Row, marrow: float | None) -> Row:
    """Note the fat fraction of the marrow; where no marrow can have it, the fat of muscle is withheld."""
    row = {**row, "marrow_ff_frac": marrow}
    if marrow is None or SOUND_FRAC[0] <= marrow <= SOUND_FRAC[1] or row["fi_reason_code"] is not None:
        return row
    row["fi_reason_code"] = Reason.DIXON_SCALE_MISMATCH.value
    if row["status"] == Status.OK:
        detail = f"fat fraction {marrow:.2f} in the marrow of the vertebrae"
        row |= {"status": Status.WARN.value, "reason_code": Reason.DIXON_SCALE_MISMATCH.value, "detail": detail}
    return row


def marrow_ff_frac(slabs: Iterable[Row], water: NDArray, fat: NDArray, grid: Grid) -> float | None:
    """Median over the vertebrae in view of fat / (water + fat), as a ratio of sums; None where none is in view.

    ``slabs`` are the levels of a scan with ``centre_mm`` (LPS) of their vertebrae; images are (z, y, x) on ``grid``.
    """
    found = []
    for slab in slabs:
        if slab["level_scheme"] == LevelScheme.VERTEBRA_SLAB and slab["centre_mm"] is not None:
            ball = _ball(np.asarray(slab["centre_mm"]), grid)
            total = float(water[ball].sum(dtype=np.float64) + fat[ball].sum(dtype=np.float64))
            if ball[0].size >= MIN_VOXELS and total > 0:
                found.append(float(fat[ball].sum(dtype=np.float64)) / total)
    return float(np.median(found)) if found else None


def _ball(centre_mm: NDArray[np.float64], grid: Grid) -> tuple[NDArray[np.int64], ...]:
    """Index (z, y, x) the voxels whose centres lie in the ball; none where it leaves the grid."""
    at = grid.axes.T @ (centre_mm - np.asarray(grid.origin_mm)) / np.asarray(grid.spacing_mm)
    reach = RADIUS_MM / np.asarray(grid.spacing_mm)
    low, high = np.ceil(at - reach).astype(int), np.floor(at + reach).astype(int)
    if (low < 0).any() or (high >= np.asarray(grid.size)).any():
        return tuple(np.empty(0, dtype=np.int64) for _ in range(3))
    axes = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
    i, j, k = np.meshgrid(*axes, indexing="ij")
    offsets = (np.stack([i, j, k], axis=-1) - at) * np.asarray(grid.spacing_mm)
    inside = (offsets**2).sum(axis=-1) <= RADIUS_MM**2
    return k[inside], j[inside], i[inside]
