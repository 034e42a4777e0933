"""Brightness of a muscle between lean muscle and the fat under the skin."""

from __future__ import annotations

import numpy as np

from paraspinal.core.vocab import Reason
from paraspinal.stages.measure.fat.brightness import GATE, SEQUENCES, Brightness, brightness_of
from paraspinal.stages.measure.fat.method import FatMethod
from paraspinal.stages.measure.fat.profile import FatReading, Parts
from paraspinal.stages.measure.regions import Voxels


def sat_anchored(scan: Brightness) -> FatReading:
    """Linear mix between the mode of lean muscle and the median of the subcutaneous fat of the same scan.

    fi = mean((I - muscle) / (fat - muscle)) over the mask. Single voxels are not cut to [0, 1]: that would turn noise
    in lean muscle into fat.
    """
    anchors, reasons = scan.anchors, scan.reasons
    if isinstance(anchors, Reason):
        reasons = {code: reasons.get(code, anchors) for code in scan.muscles.counts}

    def parts(_: int, voxels: Voxels) -> Parts:
        if isinstance(anchors, Reason):
            raise ValueError("no anchors to measure by")
        mix = np.asarray(anchors.place(scan.image[voxels].astype(np.float64)))
        return mix, np.ones_like(mix)

    return FatReading(parts, reasons, bias_correction=scan.bias_correction)


METHOD = FatMethod(
    name="t1t2_sat_anchored",
    title="T1/T2, anchored",
    short_name="sa",
    definition="mean place between the mode of lean muscle (0) and the median of subcutaneous fat (1)",
    gate=GATE,
    sequences=SEQUENCES,
    needs=("image_path",),
    read=lambda scan: sat_anchored(scan.once(brightness_of)),
    uses_n4=True,
)
