"""The muscles of one label map: areas per slice, contact with the border, voxels of the mask and its two neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal.core.labels import muscles_among
from paraspinal.core.records.tables import Row

Voxels = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
"""Indices (slice, row, column) of voxels of the whole image."""

IN_PLANE_CROSS = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], dtype=bool)
"""One voxel in plane, none across slices: slices are many times thicker than pixels."""


class Edge(Enum):
    """Which mask: as segmented, or one voxel smaller or larger in plane."""

    AS_SEGMENTED = "as_segmented"
    ERODED = "eroded"
    DILATED = "dilated"


@dataclass(frozen=True)
class Region:
    """One muscle of one side.

    ``area_mm2`` and ``touches_border`` have one value per slice in stored order; ``voxels`` holds the mask, the eroded
    and the dilated mask. Dilation takes unlabelled voxels only, erosion does not eat from the border of the image.
    """

    area_mm2: NDArray[np.float64]
    touches_border: NDArray[np.bool_]
    voxels: Mapping[Edge, Voxels]

    @property
    def is_empty(self) -> bool:
        """Whether the label map has no voxel of this muscle."""
        return not self.area_mm2.any()


def regions_of(labels: NDArray[np.unsignedinteger], codes: list[int], pixel_area_mm2: float) -> dict[int, Region]:
    """Take the muscles with these label codes out of a label map (z, y, x)."""
    return dict(_regions(labels, codes, pixel_area_mm2))


def areas_of(regions: Mapping[int, Region]) -> list[Row]:
    """Cross-sections of every muscle slice by slice; null, never 0, where the label map shows none."""
    return [
        {
            "muscle": muscle.value,
            "side": side.value,
            "csa_mm2": [mm2 or None for mm2 in regions[code].area_mm2.tolist()],
        }
        for (muscle, side), code in muscles_among(regions).items()
    ]


def _regions(
    labels: NDArray[np.unsignedinteger], codes: list[int], pixel_area_mm2: float
) -> Iterator[tuple[int, Region]]:
    ranks = np.zeros(int(labels.max()) + 1, dtype=np.uint8)
    for rank, code in enumerate(codes, start=1):
        if code < ranks.size:
            ranks[code] = rank
    boxes = ndimage.find_objects(ranks[labels], max_label=len(codes))
    for code, box in zip(codes, boxes, strict=True):
        yield code, _empty(labels.shape[0]) if box is None else _region(labels, code, box, pixel_area_mm2)


def _empty(n_slices: int) -> Region:
    none = np.zeros(0, dtype=np.intp)
    return Region(np.zeros(n_slices), np.zeros(n_slices, dtype=bool), dict.fromkeys(Edge, (none, none, none)))


def _region(labels: NDArray[np.unsignedinteger], code: int, box: tuple[slice, ...], pixel_area_mm2: float) -> Region:
    # One voxel around the muscle, inside the image, is room for the dilation.
    window = (box[0], *(slice(max(s.start - 1, 0), s.stop + 1) for s in box[1:]))
    offset = [s.start for s in window]
    found = labels[window]
    mask = found == code
    masks = {
        Edge.AS_SEGMENTED: mask,
        Edge.ERODED: ndimage.binary_erosion(mask, IN_PLANE_CROSS, border_value=1),
        Edge.DILATED: mask | (ndimage.binary_dilation(mask, IN_PLANE_CROSS) & (found == 0)),
    }
    voxels = {edge: _voxels(m, offset) for edge, m in masks.items()}
    n_slices, n_rows, n_columns = labels.shape
    k, j, i = voxels[Edge.AS_SEGMENTED]
    at_border = (j == 0) | (j == n_rows - 1) | (i == 0) | (i == n_columns - 1)
    return Region(
        area_mm2=np.bincount(k, minlength=n_slices).astype(np.float64) * pixel_area_mm2,
        touches_border=np.bincount(k[at_border], minlength=n_slices) > 0,
        voxels=voxels,
    )


def _voxels(mask: NDArray[np.bool_], offset: list[int]) -> Voxels:
    k, j, i = np.nonzero(mask)
    return k + offset[0], j + offset[1], i + offset[2]
