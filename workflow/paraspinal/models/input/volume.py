"""Which images a network is given at all; importable without torch."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from paraspinal.core.errors import DataError
from paraspinal.core.vocab import Reason

MAX_VOXELS = 120_000_000
"""An image with more voxels than this (a 400 x 400 x 60 scan has 9.6 million) is no lumbar scan and fits no memory."""

MIN_IN_PLANE_PIXELS = 16
"""An image with fewer pixels than this along two of its axes holds no recognisable anatomy."""


def require_possible(image: sitk.Image) -> None:
    """Raise DataError, with its reason, for an image too large for a scan of the lumbar spine."""
    if image.GetNumberOfPixels() > MAX_VOXELS:
        raise DataError(Reason.SEG_IMPLAUSIBLE, f"more than {MAX_VOXELS // 10**6} million voxels")


def require_anatomy(image: sitk.Image) -> None:
    """Raise DataError, with its reason, for an image no network could find a muscle in."""
    if image.GetDimension() < 3:
        raise DataError(Reason.TOO_FEW_SLICES, f"{image.GetDimension()}-D image")
    if image.GetDimension() > 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise DataError(Reason.FOURD_UNEXPECTED, "the network needs one scalar volume")
    require_possible(image)
    if sorted(image.GetSize())[-2] < MIN_IN_PLANE_PIXELS:
        raise DataError(Reason.TOO_FEW_SLICES, "too few pixels in a plane")
    values = sitk.GetArrayViewFromImage(image)
    if not np.isfinite(values).all() or values.max() == values.min():
        raise DataError(Reason.CONSTANT_IMAGE, "the image has no contrast")
