"""The part of an axial volume that holds the spine."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from paraspinal.core.imaging.slice_grid import SAGITTAL_FRAME, slice_grid
from paraspinal.core.labels import muscle_labels
from paraspinal.core.vocab import Side

HALF_WIDTH_MM = 36.0
"""Half the width of what is looked at around the midline: a vertebral body and some more."""


def around_midline(image: sitk.Image, muscles: sitk.Image) -> sitk.Image:
    """Cut an axial volume to a hand's breadth around the middle between the left and the right muscles.

    ``muscles`` is the label map on the grid of ``image``; the cut keeps its place in the patient.
    """
    grid = slice_grid(image, SAGITTAL_FRAME)
    labels = grid.axes.forward(sitk.GetArrayViewFromImage(muscles))
    sides = [[code for (_, side), code in muscle_labels().items() if side is one] for one in Side]
    places = [np.nonzero(np.isin(labels, codes))[0] for codes in sides]
    middle = float(np.mean([place.mean() for place in places if place.size]))
    half = HALF_WIDTH_MM / grid.spacing_mm[0]
    low, high = max(0, int(np.floor(middle - half))), min(grid.native_shape[0], int(np.ceil(middle + half)) + 1)
    return grid.part(image, low, high)
