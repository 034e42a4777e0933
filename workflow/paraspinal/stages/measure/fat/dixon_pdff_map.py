"""Mean of the fat-fraction map that the scanner made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.vocab import Reason, Sequence
from paraspinal.stages.measure.fat.dixon import values
from paraspinal.stages.measure.fat.method import FatMethod
from paraspinal.stages.measure.fat.profile import FatReading, Parts
from paraspinal.stages.measure.regions import Voxels
from paraspinal.stages.measure.scan import Scan


def pdff_map(fat_fraction: NDArray, full_scale: float) -> FatReading:
    """Mean of a fat-fraction map (z, y, x) in which ``full_scale`` means 100 % fat."""

    def parts(_: int, voxels: Voxels) -> Parts:
        value = values(fat_fraction, voxels) / full_scale
        return value, np.ones_like(value)

    return FatReading(parts, out_of_range=Reason.DIXON_SCALE_MISMATCH)


def _read(scan: Scan) -> FatReading | Reason:
    fraction = scan.image("fat_fraction_path")
    return Reason.DIXON_GRID_MISMATCH if fraction is None else pdff_map(fraction, scan.row["fat_fraction_scale"])


METHOD = FatMethod(
    name="dixon_pdff_map",
    title="Fat-fraction map",
    short_name="pd",
    definition="mean of the vendor or multi-echo fat-fraction map inside the mask",
    sequences=(Sequence.DIXON,),
    needs=("fat_fraction_path", "fat_fraction_scale"),
    read=_read,
)
