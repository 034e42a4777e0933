"""Areas of discs, from the label map of a spine and their mid-planes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from paraspinal.core.imaging.geometry import Grid
from paraspinal.vertebrae.numbering import DiscGeometry
from paraspinal.vertebrae.stack import Plane

SLAB_MM = 4.0
"""Thickness of the slab at the middle of a disc in which its area is taken; lumbar discs are 7 to 12 mm high."""

MAX_CUT_FRAC = 0.5
"""A disc whose length in an outermost slice of the image exceeds this share of its greatest is cut by the image: an
ellipse as long as that has less than 3 % of its area beyond."""


def disc_areas_mm2(label_map: sitk.Image, discs: Iterable[DiscGeometry]) -> dict[int, float | None]:
    """Cross-sections of named discs along their mid-planes, by label code, from a label map of the spine.

    The volume of a slab around the mid-plane over its thickness, voxels counted by the share of their height inside.
    None for a disc that is not in the label map, is thinner than the slab, or is cut by the sides of the image.
    """
    grid, labels = Grid.of(label_map), sitk.GetArrayViewFromImage(label_map)
    return {disc.label: _area_mm2(labels, grid, disc.label, disc.mid) for disc in discs if disc.label is not None}


def _area_mm2(labels: NDArray[np.unsignedinteger], grid: Grid, code: int, mid: Plane) -> float | None:
    k, j, i = np.nonzero(labels == code)
    if not k.size:
        return None
    height = (grid.to_world(np.stack([i, j, k], axis=-1)) - mid.point_mm) @ mid.normal
    if min(-height.min(), height.max()) < SLAB_MM / 2:
        return None
    voxel = float((np.abs(grid.axes.T @ mid.normal) * np.asarray(grid.spacing_mm)).max())
    share = np.clip((SLAB_MM / 2 + voxel / 2 - np.abs(height)) / voxel, 0.0, 1.0)
    lateral = int(np.abs(grid.axes[0]).argmax())
    per_slice = np.bincount((i, j, k)[lateral], share, grid.size[lateral])
    if max(per_slice[0], per_slice[-1]) > MAX_CUT_FRAC * per_slice.max():
        return None
    return float(share.sum()) * grid.voxel_volume_mm3 / SLAB_MM
