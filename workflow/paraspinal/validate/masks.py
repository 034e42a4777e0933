"""Two label maps of one scan on one grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from paraspinal.core.errors import DataError, InputError
from paraspinal.core.imaging.geometry import Grid, same_grid
from paraspinal.core.imaging.images import array_of, read_image
from paraspinal.core.vocab import Reason

SHARE_OF_PIXEL = 0.1
"""Grids that differ by less than this share of a pixel are one: coordinates were rounded on the way."""
MIN_SHARED = 0.5
"""Share of the reference's outline that must lie inside the prediction's image; below it they show different places."""


@dataclass(frozen=True)
class Aligned:
    """Label maps (z, y, x) on the reference's grid; ``detail`` says how the prediction came there, empty if it was.

    ``is_native`` tells whether the slices are those of the prediction.
    """

    reference: NDArray
    prediction: NDArray
    grid: Grid
    is_native: bool
    detail: str = ""


def read_labels(path: Path, what: str) -> sitk.Image:
    """Read a label map; raises DataError if it cannot be read, or holds anything but whole numbers."""
    try:
        image = read_image(path)
    except InputError:
        raise DataError(Reason.SEG_IMPLAUSIBLE, f"the {what} cannot be read") from None
    values = sitk.GetArrayViewFromImage(image)
    if not np.issubdtype(values.dtype, np.integer):
        if not np.isfinite(values).all() or (values != np.rint(values)).any():
            raise DataError(Reason.SEG_IMPLAUSIBLE, f"the {what} is no label map")
        image = sitk.Cast(image, sitk.sitkInt32)
    return image


def align(prediction: sitk.Image, reference: sitk.Image) -> Aligned:
    """Bring the prediction to the reference's grid: as it is where they are one, else by nearest neighbour.

    Axes that are only turned or mirrored lose nothing on the way. Raises DataError (AFFINE_MISMATCH) where less than
    half of what the reference outlines is inside the prediction's image.
    """
    grid, own = Grid.of(reference), Grid.of(prediction)
    labels = array_of(reference)
    if same_grid(own, grid, SHARE_OF_PIXEL * min(grid.spacing_mm)):
        return Aligned(labels, array_of(prediction), grid, is_native=True)
    inside = _share_inside(labels, grid, own)
    if inside < MIN_SHARED:
        detail = f"{100 * inside:.0f} % of the reference inside the prediction's image"
        raise DataError(
            Reason.AFFINE_MISMATCH, detail + (", same size: has an affine been lost?" * (own.size == grid.size))
        )
    moved = sitk.Resample(prediction, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0, prediction.GetPixelID())
    detail = f"resampled to the reference's grid, {100 * inside:.0f} % of the reference inside"
    return Aligned(labels, array_of(moved), grid, is_native=False, detail=detail)


def _share_inside(labels: NDArray, grid: Grid, other: Grid) -> float:
    """Share of labelled voxels whose centre lies inside another image; 1 where nothing is labelled."""
    index = np.argwhere(labels != 0)[:, ::-1]
    if not len(index):
        return 1.0
    place = other.to_index(grid.to_world(index))
    return float(((place > -0.5) & (place < np.asarray(other.size) - 0.5)).all(axis=1).mean())
