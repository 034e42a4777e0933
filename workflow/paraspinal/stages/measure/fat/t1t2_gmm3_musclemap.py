"""Share of fat by a mixture of three Gaussians, as MuscleMap has it."""

from __future__ import annotations

import numpy as np

from paraspinal.core.vocab import Reason
from paraspinal.stages.measure.fat.brightness import (
    GATE,
    MIN_ASHMAN_D,
    SEQUENCES,
    Anchors,
    Brightness,
    Floats,
    brightness_of,
)
from paraspinal.stages.measure.fat.method import FatMethod
from paraspinal.stages.measure.fat.mixture import Mixture, fit
from paraspinal.stages.measure.fat.profile import FatReading, Parts
from paraspinal.stages.measure.regions import Voxels

MIN_FAT_PLACE = 0.75
"""A component less than this far from lean muscle (0) to subcutaneous fat (1) is voxels that hold both, not fat."""


def gmm3(scan: Brightness) -> FatReading:
    """Three-component Gaussian mixture of every muscle: muscle, undefined, fat (the components of MuscleMap).

    Voxels count as fat by their probability of the fat component. The undefined component counts by where its mean lies
    between the two others, unless it is not separate (Ashman D <= 2) from one of them: then it is part of that one.
    A muscle whose brightest component is far from the brightness of fat has streaks finer than its voxels and is left
    out: the mixture would take voxels that hold some fat for pure fat (17 % read as 50 % in the anatomical phantom).
    """
    muscles, anchors = scan.muscles, scan.anchors
    measurable = {code: counts for code, counts in muscles.counts.items() if code not in scan.reasons}
    mixtures = {code: fit(muscles.centres, counts, 3) for code, counts in measurable.items()}
    blurred = {
        code: Reason.FI_UNIMODAL
        for code, mixture in mixtures.items()
        if isinstance(anchors, Anchors) and anchors.place(mixture.means[-1]) < MIN_FAT_PLACE
    }
    shares = {code: _fat_share(mixture, muscles.centres) for code, mixture in mixtures.items()}

    def parts(code: int, voxels: Voxels) -> Parts:
        share = np.interp(scan.image[voxels].astype(np.float64), muscles.centres, shares[code])
        return share, np.ones_like(share)

    return FatReading(parts, {**scan.reasons, **blurred}, bias_correction=scan.bias_correction)


def _fat_share(mixture: Mixture, values: Floats) -> Floats:
    muscle, middle, fat = mixture.means
    by_position = (middle - muscle) / (fat - muscle) if fat > muscle else 0.0
    if min(mixture.ashman_d(0, 1), mixture.ashman_d(1, 2)) <= MIN_ASHMAN_D:
        by_position = float(mixture.ashman_d(1, 2) < mixture.ashman_d(0, 1))
    share: Floats = mixture.responsibilities(values) @ np.array([0.0, by_position, 1.0])
    # A wide component outweighs a narrow one far out on both sides; what is darker than muscle is not fat.
    return np.where(values <= muscle, 0.0, np.where(values >= fat, 1.0, share))


METHOD = FatMethod(
    name="t1t2_gmm3_musclemap",
    title="T1/T2, mixture",
    short_name="gm",
    definition="3-component Gaussian mixture of the muscle: share of the brightest, plus the middle one's "
    "by where its mean lies between the two others (all or nothing where it is not separate from one)",
    gate=GATE,
    sequences=SEQUENCES,
    needs=("image_path",),
    read=lambda scan: gmm3(scan.once(brightness_of)),
    uses_n4=True,
)
