"""Agreement of two masks: overlap, distance of their surfaces, and volume.

Surface distances follow DeepMind's `surface-distance` (Nikolov et al. 2021, doi 10.2196/26151): the surface runs
between voxels, its elements are weighted by their area in mm2, so that thick slices do not weigh more than thin ones.
`hd95_mm` is the maximum of the two directed 95th percentiles. Other libraries take voxel centres, leave out the
weights, or pool both directions, and find up to twice as much on the same masks.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal.core.paths import RESOURCES

Mask = NDArray[np.bool_]

SURFELS_FILE = RESOURCES / "surfels.tsv"
"""Triangles of the surface in a cell of 2x2x2 voxels by which of them are inside (marching cubes): |normal|, length
equal to the area, in eighths of a voxel face. From the table of `surface-distance` (Apache-2.0, Google)."""
KERNEL = np.array([[[128, 64], [32, 16]], [[8, 4], [2, 1]]], dtype=np.uint8)
"""Weights that turn a cell of 2x2x2 voxels into its code."""
PERCENTILE = 0.95


@dataclass(frozen=True)
class Surfaces:
    """Distances from the elements of each surface to the other (mm), their areas (mm2) and slices.

    ``*_plane`` is the place of an element along the first axis: k lies between slice k - 1 and slice k.
    """

    to_prediction_mm: NDArray[np.float64]
    reference_area_mm2: NDArray[np.float64]
    reference_plane: NDArray[np.int64]
    to_reference_mm: NDArray[np.float64]
    prediction_area_mm2: NDArray[np.float64]
    prediction_plane: NDArray[np.int64]

    def within(self, first: int, last: int) -> Surfaces:
        """Keep the elements that touch slices ``first`` to ``last``; distances are still to the whole surface."""
        a = (self.reference_plane >= first) & (self.reference_plane <= last + 1)
        b = (self.prediction_plane >= first) & (self.prediction_plane <= last + 1)
        return Surfaces(
            self.to_prediction_mm[a],
            self.reference_area_mm2[a],
            self.reference_plane[a],
            self.to_reference_mm[b],
            self.prediction_area_mm2[b],
            self.prediction_plane[b],
        )


def dice(a: Mask, b: Mask) -> float | None:
    """Dice similarity of two masks, 2 |a and b| / (|a| + |b|); None where both are empty."""
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2.0 * int(np.count_nonzero(a & b)) / total if total else None


def surfaces(reference: Mask, prediction: Mask, spacing_mm: tuple[float, float, float]) -> Surfaces:
    """Find both surfaces; masks are non-empty, with axes (z, y, x), ``spacing_mm`` in the same order."""
    union = reference | prediction
    box = tuple(slice(int(found.min()), int(found.max()) + 1) for found in np.nonzero(union))
    codes = [_codes(mask[box]) for mask in (reference, prediction)]
    borders = [(code > 0) & (code < 255) for code in codes]
    maps = [ndimage.distance_transform_edt(~border, sampling=spacing_mm) for border in borders]
    areas = _areas(spacing_mm)
    planes = [np.nonzero(border)[0] + box[0].start for border in borders]
    return Surfaces(
        maps[1][borders[0]],
        areas[codes[0][borders[0]]],
        planes[0],
        maps[0][borders[1]],
        areas[codes[1][borders[1]]],
        planes[1],
    )


def hd95_mm(found: Surfaces) -> float:
    """Maximum of the two directed 95th percentiles of the distances, weighted by area."""
    return max(
        _percentile(found.to_prediction_mm, found.reference_area_mm2),
        _percentile(found.to_reference_mm, found.prediction_area_mm2),
    )


def assd_mm(found: Surfaces) -> float:
    """Average symmetric surface distance: over both surfaces together, weighted by area."""
    total = (found.to_prediction_mm * found.reference_area_mm2).sum()
    total += (found.to_reference_mm * found.prediction_area_mm2).sum()
    return float(total / (found.reference_area_mm2.sum() + found.prediction_area_mm2.sum()))


def nsd(found: Surfaces, tolerance_mm: float) -> float:
    """Normalised surface Dice: share of both surfaces within ``tolerance_mm`` of the other, weighted by area."""
    near = found.reference_area_mm2[found.to_prediction_mm <= tolerance_mm].sum()
    near += found.prediction_area_mm2[found.to_reference_mm <= tolerance_mm].sum()
    return float(near / (found.reference_area_mm2.sum() + found.prediction_area_mm2.sum()))


def _percentile(distance: NDArray[np.float64], area: NDArray[np.float64]) -> float:
    order = np.lexsort((area, distance))
    share = np.cumsum(area[order]) / area.sum()
    return float(distance[order][min(int(np.searchsorted(share, PERCENTILE)), len(distance) - 1)])


def _codes(mask: Mask) -> NDArray[np.uint8]:
    """Code of each cell of 2x2x2 voxels: one more along each axis than voxels."""
    padded = np.pad(mask.astype(np.uint8), ((0, 1), (0, 1), (0, 1)))
    codes: NDArray[np.uint8] = ndimage.correlate(padded, KERNEL, mode="constant", cval=0)
    return codes


@cache
def _normals() -> tuple[NDArray[np.float64], ...]:
    """Triangles by code, (t, 3) each, in voxel faces; a cell and its complement have the same surface."""
    with SURFELS_FILE.open(newline="", encoding="utf-8") as handle:
        rows = [row["normals_eighths"].split() for row in csv.DictReader(handle, delimiter="\t")]
    half = [np.array([text.split(",") for text in row], dtype=np.float64).reshape(-1, 3) / 8.0 for row in rows]
    return tuple(half + half[::-1])


def _areas(spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """Area of the surface in a cell, by code, (256,), mm2."""
    a, b, c = spacing_mm
    faces = np.array([b * c, a * c, a * b])
    return np.array([np.linalg.norm(normals * faces, axis=1).sum() for normals in _normals()])
