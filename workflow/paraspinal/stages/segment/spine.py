"""What the spine needs besides its model: the part of an axial volume that holds it, and the areas of the discs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.labels import muscle_labels
from paraspinal.core.vocab import Side

Vector = NDArray[np.float64]
Disc = tuple[int | None, Vector, Vector]
"""Label code, if the disc has a name, and a point (LPS mm) and the unit normal of its mid-plane."""

HALF_WIDTH_MM = 36.0
"""Half the width of what is looked at around the midline: a vertebral body and some more."""

SLAB_MM = 4.0
"""Thickness of the slab at the middle of a disc in which its area is taken; lumbar discs are 7 to 12 mm high."""

MAX_CUT_FRAC = 0.5
"""A disc whose length in an outermost slice of the image exceeds this share of its greatest is cut by the image: an
ellipse as long as that has less than 3 % of its area beyond."""


def around_midline(image: sitk.Image, muscles: sitk.Image) -> sitk.Image:
    """Cut an axial volume to a hand's breadth around the middle between the left and the right muscles.

    ``muscles`` is the label map on the grid of ``image``; the cut keeps its place in the patient.
    """
    grid = Grid.of(image)
    axis = int(np.abs(grid.axes[0]).argmax())
    labels = sitk.GetArrayViewFromImage(muscles)
    sides = [[code for (_, side), code in muscle_labels().items() if side is one] for one in Side]
    places = [np.nonzero(np.isin(labels, codes))[2 - axis] for codes in sides]
    middle = float(np.mean([place.mean() for place in places if place.size]))
    half = HALF_WIDTH_MM / grid.spacing_mm[axis]
    low, high = max(0, int(np.floor(middle - half))), min(grid.size[axis], int(np.ceil(middle + half)) + 1)
    start, size = [0, 0, 0], list(grid.size)
    start[axis], size[axis] = low, high - low
    return sitk.RegionOfInterest(image, size, start)


def disc_areas_mm2(label_map: sitk.Image, discs: Iterable[Disc]) -> dict[int, float | None]:
    """Cross-sections of discs along their mid-planes, by label code, from a label map of the spine.

    The volume of a slab around the mid-plane over its thickness, voxels counted by the share of their height inside.
    None for a disc that is not in the label map, is thinner than the slab, or is cut by the sides of the image.
    """
    grid, labels = Grid.of(label_map), sitk.GetArrayViewFromImage(label_map)
    return {code: _area_mm2(labels, grid, code, point, normal) for code, point, normal in discs if code is not None}


def _area_mm2(
    labels: NDArray[np.unsignedinteger], grid: Grid, code: int, point_mm: Vector, normal: Vector
) -> float | None:
    k, j, i = np.nonzero(labels == code)
    if not k.size:
        return None
    height = (grid.to_world(np.stack([i, j, k], axis=-1)) - point_mm) @ normal
    if min(-height.min(), height.max()) < SLAB_MM / 2:
        return None
    voxel = float((np.abs(grid.axes.T @ normal) * np.asarray(grid.spacing_mm)).max())
    share = np.clip((SLAB_MM / 2 + voxel / 2 - np.abs(height)) / voxel, 0.0, 1.0)
    lateral = int(np.abs(grid.axes[0]).argmax())
    per_slice = np.bincount((i, j, k)[lateral], share, grid.size[lateral])
    if max(per_slice[0], per_slice[-1]) > MAX_CUT_FRAC * per_slice.max():
        return None
    return float(share.sum()) * grid.voxel_volume_mm3 / SLAB_MM
