"""The network's answer as numbering reads it: sagittal slices and where they lie in the patient.

Rows run caudally and columns posteriorly; points are (lateral, caudal, posterior) in mm from the first pixel ("stack
mm") unless they are said to be LPS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from paraspinal.core.imaging.slice_grid import SliceGrid
from paraspinal.vertebrae.answer import unpacked

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """A plane in LPS mm; the unit normal points cranially."""

    point_mm: Floats
    normal: Floats


@dataclass(frozen=True)
class SagittalStack:
    """What the network said about a stack of sagittal slices.

    ``probabilities`` (n, 5, H, W) of `SpineClass` and ``heatmaps`` (n, 3, H, W) of `Heatmap`, float32 in [0, 1];
    ``spacing_mm`` (3,) between slices, rows and columns; ``axes`` (3, 3) whose columns are the LPS directions of slice,
    row and column, rows running caudally and columns posteriorly; ``origin_mm`` (3,) the LPS centre of the first pixel;
    ``rows_in_view`` first and last row that show image and not padding.
    """

    probabilities: NDArray[np.float32]
    heatmaps: NDArray[np.float32]
    spacing_mm: Floats
    axes: Floats
    origin_mm: Floats
    rows_in_view: tuple[int, int]

    def to_world(self, point_mm: Floats) -> Floats:
        """Map stack mm (..., 3) to LPS mm."""
        return np.asarray(point_mm @ self.axes.T + self.origin_mm)

    def plane(self, point_mm: Floats, normal: Floats) -> Plane:
        """Express a plane of the stack in LPS."""
        return Plane(self.to_world(point_mm), np.asarray(self.axes @ normal))


def stack_of(answer: sitk.Image, grid: SliceGrid) -> SagittalStack:
    """Read the answer image to a scan whose sagittal slices are ``grid``."""
    probabilities, heatmaps = unpacked(sitk.GetArrayViewFromImage(answer).swapaxes(0, 1))
    axes = np.array(answer.GetDirection()).reshape(4, 4)[:3, 2::-1]
    rows = (grid.padding[0], grid.padding[0] + grid.inner[0] - 1)
    spacing, origin = np.array(answer.GetSpacing()[2::-1]), np.array(answer.GetOrigin()[:3])
    return SagittalStack(probabilities, heatmaps, spacing, axes, origin, rows)
