"""Even out the brightness of an image across the field of view (N4, Tustison et al., IEEE TMI 2010;29:1310)."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from paraspinal.core.imaging.geometry import Grid

WORKING_MM = 8.0
"""The field is smooth: it is found on pixels thinned to about this size."""
ITERATIONS = (30, 30, 20)
"""Most iterations per level, coarse to fine."""
TISSUE_FRAC = 0.1
"""What is darker than this share of the 99th percentile is air and says nothing of the field."""


class BiasCorrection(StrEnum):
    """What was done to the brightness of an image before fat was read off it."""

    NONE = "none"
    N4 = "n4"


def evened(image: NDArray, grid: Grid) -> NDArray[np.float64]:
    """Divide an image (z, y, x) on ``grid`` by its bias field, which has a mean of 1 over the tissue."""
    full = grid.image(image.astype(np.float32))
    factor = [max(1, int(WORKING_MM / s)) for s in grid.spacing_mm]
    thin = sitk.Shrink(full, factor)
    tissue = thin > TISSUE_FRAC * float(np.percentile(image, 99))
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfThreads(1)  # results of several threads differ in the last digits
    n4.SetMaximumNumberOfIterations(list(ITERATIONS))
    n4.Execute(thin, sitk.Cast(tissue, sitk.sitkUInt8))
    field = np.exp(sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(full)).astype(np.float64))
    seen = image > TISSUE_FRAC * float(np.percentile(image, 99))
    corrected: NDArray[np.float64] = image / (field / field[seen].mean())
    return corrected
