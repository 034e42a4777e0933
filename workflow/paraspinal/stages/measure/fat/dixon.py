"""Fat fraction from Dixon images: water and fat, or a fat-fraction map of the scanner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.vocab import FiMethod, Reason
from paraspinal.stages.measure.fat.profile import FatMethod, Parts
from paraspinal.stages.measure.regions import Voxels


def ratio_of_sums(water: NDArray, fat: NDArray) -> FatMethod:
    """Sum of fat over sum of fat and water in the mask; images (z, y, x) on one scale."""

    def parts(_: int, voxels: Voxels) -> Parts:
        f, w = _values(fat, voxels), _values(water, voxels)
        return f, f + w

    return FatMethod(FiMethod.DIXON_FF_RATIO_OF_SUMS, parts, out_of_range=Reason.DIXON_SCALE_MISMATCH)


def voxel_mean(water: NDArray, fat: NDArray) -> FatMethod:
    """Mean over voxels of fat / (fat + water); voxels without signal are left out, not counted as lean."""

    def parts(_: int, voxels: Voxels) -> Parts:
        f, w = _values(fat, voxels), _values(water, voxels)
        total = f + w
        has_signal = total > 0
        return np.divide(f, total, out=np.zeros_like(f), where=has_signal), has_signal.astype(np.float64)

    return FatMethod(FiMethod.DIXON_FF_VOXEL_MEAN, parts, out_of_range=Reason.DIXON_SCALE_MISMATCH)


def pdff_map(fat_fraction: NDArray, full_scale: float) -> FatMethod:
    """Mean of a fat-fraction map (z, y, x) in which ``full_scale`` means 100 % fat."""

    def parts(_: int, voxels: Voxels) -> Parts:
        value = _values(fat_fraction, voxels) / full_scale
        return value, np.ones_like(value)

    return FatMethod(FiMethod.DIXON_PDFF_MAP, parts, out_of_range=Reason.DIXON_SCALE_MISMATCH)


def _values(image: NDArray, voxels: Voxels) -> NDArray[np.float64]:
    values: NDArray[np.float64] = image[voxels].astype(np.float64)
    return values
