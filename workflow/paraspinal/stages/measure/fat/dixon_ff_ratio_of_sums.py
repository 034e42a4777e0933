"""Fat fraction of a Dixon pair, as a ratio of sums."""

from __future__ import annotations

from numpy.typing import NDArray

from paraspinal.core.vocab import Reason, Sequence
from paraspinal.stages.measure.fat.dixon import PAIR, read_pair, values
from paraspinal.stages.measure.fat.method import FatMethod
from paraspinal.stages.measure.fat.profile import FatReading, Parts
from paraspinal.stages.measure.regions import Voxels


def ratio_of_sums(water: NDArray, fat: NDArray) -> FatReading:
    """Sum of fat over sum of fat and water in the mask; images (z, y, x) on one scale."""

    def parts(_: int, voxels: Voxels) -> Parts:
        f, w = values(fat, voxels), values(water, voxels)
        return f, f + w

    return FatReading(parts, out_of_range=Reason.DIXON_SCALE_MISMATCH)


METHOD = FatMethod(
    name="dixon_ff_ratio_of_sums",
    title="Dixon, ratio of sums",
    short_name="rs",
    definition="sum F / sum (F + W) inside the mask",
    sequences=(Sequence.DIXON,),
    needs=PAIR,
    read=lambda scan: read_pair(scan, ratio_of_sums),
)
