"""Fat infiltration from the brightness of T1w and T2w images, where muscle and fat can be told apart at all."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal.core.geometry import Grid
from paraspinal.core.subcutaneous import MIN_FAT_RATIO, subcutaneous_fat_intensity
from paraspinal.core.vocab import FiMethod, Reason
from paraspinal.stages.measure.fat import FatMethod, Parts
from paraspinal.stages.measure.mixture import Mixture, fit
from paraspinal.stages.measure.regions import Edge, Region, Voxels

Floats = NDArray[np.float64]

MIN_ASHMAN_D = 2.0
"""Two components nearer than this are not cleanly separate (Ashman et al. 1994)."""
MIN_DELTA_BIC = 10.0
"""Evidence for two components over one that counts as very strong."""
MIN_CONTRAST_FRAC = 0.5
"""Fat must be brighter than muscle by this share of the muscle's intensity."""
N_BINS = 256
"""Bins of the intensity histogram."""
TOP_PERCENTILE = 99.9
"""The histogram ends at this percentile of the brightest muscle; the few brighter voxels go to the last bin."""
MODE_SMOOTHING_BINS = 4.0
"""Standard deviation of the smoothing before the mode is read off."""
LEAN_PERCENTILE = 10.0
"""This percentile of all muscle voxels is lean muscle even where most of a muscle is fat."""
MIN_VOXELS = 50
"""Fewer voxels cannot show two components."""


@dataclass(frozen=True)
class Muscles:
    """Intensities of the muscles of one scan as histograms: bin centres (n,) and counts (n,) by label code."""

    centres: Floats
    counts: Mapping[int, Floats]

    @classmethod
    def of(cls, image: NDArray, regions: Mapping[int, Region]) -> Muscles:
        """Count the voxels of every muscle that is not empty."""
        values = {code: image[r.voxels[Edge.AS_SEGMENTED]] for code, r in regions.items() if not r.is_empty}
        top = max((float(np.percentile(v, TOP_PERCENTILE)) for v in values.values()), default=1.0)
        edges = np.linspace(0.0, max(top, float(np.finfo(np.float32).tiny)), N_BINS + 1)
        counts = {code: np.histogram(np.minimum(v, edges[-1]), edges)[0].astype(float) for code, v in values.items()}
        return cls((edges[:-1] + edges[1:]) / 2, counts)

    @property
    def pooled(self) -> Floats:
        """Counts of all muscles together."""
        total: Floats = np.sum(list(self.counts.values()), axis=0)
        return total


def is_bimodal(one: Mixture, two: Mixture) -> bool:
    """Whether a muscle shows fat apart from muscle; otherwise any threshold would report about 50 % fat."""
    muscle, fat = two.means
    return (
        two.ashman_d(0, 1) > MIN_ASHMAN_D
        and one.bic - two.bic > MIN_DELTA_BIC
        and muscle > 0
        and (fat - muscle) / muscle >= MIN_CONTRAST_FRAC
    )


def gate(muscles: Muscles, invalid: Set[int]) -> dict[int, Reason]:
    """Say for every muscle that may not be measured by brightness why not; ``invalid`` codes never may."""
    reasons = {}
    for code, counts in muscles.counts.items():
        if code in invalid:
            reasons[code] = Reason.FI_METHOD_INVALID
        elif counts.sum() < MIN_VOXELS or not is_bimodal(
            fit(muscles.centres, counts, 1), fit(muscles.centres, counts, 2)
        ):
            reasons[code] = Reason.FI_UNIMODAL
    return reasons


def sat_anchored(
    image: NDArray, grid: Grid, muscles: Muscles, reasons: Mapping[int, Reason], posterior_to_mm: float | None
) -> FatMethod:
    """Linear mix between the mode of lean muscle and the median of the subcutaneous fat of the same scan.

    fi = mean((I - muscle) / (fat - muscle)) over the mask. Single voxels are not cut to [0, 1]: that would turn noise
    in lean muscle into fat.
    """
    lean = _percentile(muscles, LEAN_PERCENTILE)
    fat = subcutaneous_fat_intensity(image, grid, lean, posterior_to_mm)
    if fat is None:
        return FatMethod(FiMethod.T1T2_SAT_ANCHORED, _nothing, _all_for(muscles, reasons, Reason.FOV_TRUNCATED))
    muscle = lean_mode(muscles, below=(lean + fat) / 2)
    if fat < MIN_FAT_RATIO * muscle:
        return FatMethod(FiMethod.T1T2_SAT_ANCHORED, _nothing, _all_for(muscles, reasons, Reason.FATSUP_NO_FI))

    def parts(_: int, voxels: Voxels) -> Parts:
        mix = (image[voxels].astype(np.float64) - muscle) / (fat - muscle)
        return mix, np.ones_like(mix)

    return FatMethod(FiMethod.T1T2_SAT_ANCHORED, parts, reasons)


def gmm3(image: NDArray, muscles: Muscles, reasons: Mapping[int, Reason]) -> FatMethod:
    """Three-component Gaussian mixture of every muscle: muscle, undefined, fat (the components of MuscleMap).

    Voxels count as fat by their probability of the fat component. The undefined component counts by where its mean lies
    between the two others, unless it is not separate (Ashman D <= 2) from one of them: then it is part of that one.
    """
    shares = {
        code: _fat_share(fit(muscles.centres, counts, 3), muscles.centres)
        for code, counts in muscles.counts.items()
        if code not in reasons
    }

    def parts(code: int, voxels: Voxels) -> Parts:
        share = np.interp(image[voxels].astype(np.float64), muscles.centres, shares[code])
        return share, np.ones_like(share)

    return FatMethod(FiMethod.T1T2_GMM3_MUSCLEMAP, parts, reasons)


def lean_mode(muscles: Muscles, below: float) -> float:
    """Most frequent intensity of all muscles together, among those below a bound."""
    smooth = ndimage.gaussian_filter1d(muscles.pooled, MODE_SMOOTHING_BINS, mode="nearest")
    return float(muscles.centres[int(np.argmax(np.where(muscles.centres < below, smooth, -1.0)))])


def _fat_share(mixture: Mixture, values: Floats) -> Floats:
    muscle, middle, fat = mixture.means
    by_position = (middle - muscle) / (fat - muscle) if fat > muscle else 0.0
    if min(mixture.ashman_d(0, 1), mixture.ashman_d(1, 2)) <= MIN_ASHMAN_D:
        by_position = float(mixture.ashman_d(1, 2) < mixture.ashman_d(0, 1))
    share: Floats = mixture.responsibilities(values) @ np.array([0.0, by_position, 1.0])
    # A wide component outweighs a narrow one far out on both sides; what is darker than muscle is not fat.
    return np.where(values <= muscle, 0.0, np.where(values >= fat, 1.0, share))


def _percentile(muscles: Muscles, percent: float) -> float:
    cumulative = np.cumsum(muscles.pooled)
    return float(muscles.centres[int(np.searchsorted(cumulative, percent / 100.0 * cumulative[-1]))])


def _nothing(_: int, voxels: Voxels) -> Parts:
    zeros = np.zeros(voxels[0].size)
    return zeros, zeros


def _all_for(muscles: Muscles, reasons: Mapping[int, Reason], reason: Reason) -> dict[int, Reason]:
    return {code: reasons.get(code, reason) for code in muscles.counts}
