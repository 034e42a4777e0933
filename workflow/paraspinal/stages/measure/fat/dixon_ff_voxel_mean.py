"""Fat fraction of a Dixon pair, as the mean over voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.vocab import Reason, Sequence
from paraspinal.stages.measure.fat.dixon import PAIR, read_pair, values
from paraspinal.stages.measure.fat.method import FatMethod
from paraspinal.stages.measure.fat.profile import FatReading, Parts
from paraspinal.stages.measure.regions import Voxels


def voxel_mean(water: NDArray, fat: NDArray) -> FatReading:
    """Mean over voxels of fat / (fat + water); voxels without signal are left out, not counted as lean."""

    def parts(_: int, voxels: Voxels) -> Parts:
        f, w = values(fat, voxels), values(water, voxels)
        total = f + w
        has_signal = total > 0
        return np.divide(f, total, out=np.zeros_like(f), where=has_signal), has_signal.astype(np.float64)

    return FatReading(parts, out_of_range=Reason.DIXON_SCALE_MISMATCH)


METHOD = FatMethod(
    name="dixon_ff_voxel_mean",
    title="Dixon, voxel mean",
    short_name="vm",
    definition="mean of F / (F + W) over the voxels of the mask with F + W > 0",
    sequences=(Sequence.DIXON,),
    needs=PAIR,
    read=lambda scan: read_pair(scan, voxel_mean),
)
