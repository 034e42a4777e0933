"""Fat infiltration from the brightness of T1w and T2w images, where muscle and fat can be told apart at all."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.imaging.subcutaneous import MIN_FAT_RATIO, subcutaneous_fat_intensity
from paraspinal.core.vocab import FiMethod, Reason
from paraspinal.stages.measure.fat.mixture import Mixture, fit
from paraspinal.stages.measure.fat.profile import FatMethod, Parts
from paraspinal.stages.measure.regions import Edge, Region, Voxels

Floats = NDArray[np.float64]

MIN_ASHMAN_D = 2.0
"""Two components nearer than this are not cleanly separate (Ashman et al. 1994)."""
MIN_DELTA_BIC = 10.0
"""Evidence for two components over one that counts as very strong."""
MIN_CONTRAST_FRAC = 0.5
"""Fat must be brighter than muscle by this share of the muscle's intensity."""
MIN_FAT_PLACE = 0.75
"""A component less than this far from lean muscle (0) to subcutaneous fat (1) is voxels that hold both, not fat."""
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


@dataclass(frozen=True)
class Anchors:
    """Intensity of lean muscle and of subcutaneous fat in one scan."""

    muscle: float
    fat: float

    def place(self, intensity: Any) -> Any:
        """Where intensities lie between lean muscle (0) and fat (1)."""
        return (intensity - self.muscle) / (self.fat - self.muscle)


def anchors_of(image: NDArray, grid: Grid, muscles: Muscles, posterior_to_mm: float | None) -> Anchors | Reason:
    """Find the mode of lean muscle and the median of the subcutaneous fat, or say why there is none to go by."""
    lean = _percentile(muscles, LEAN_PERCENTILE)
    fat = subcutaneous_fat_intensity(image, grid, lean, posterior_to_mm)
    if fat is None:
        return Reason.FOV_TRUNCATED
    muscle = lean_mode(muscles, below=(lean + fat) / 2)
    return Anchors(muscle, fat) if fat >= MIN_FAT_RATIO * muscle else Reason.FATSUP_NO_FI


def sat_anchored(
    image: NDArray, muscles: Muscles, reasons: Mapping[int, Reason], anchors: Anchors | Reason
) -> FatMethod:
    """Linear mix between the mode of lean muscle and the median of the subcutaneous fat of the same scan.

    fi = mean((I - muscle) / (fat - muscle)) over the mask. Single voxels are not cut to [0, 1]: that would turn noise
    in lean muscle into fat.
    """
    if isinstance(anchors, Reason):
        reasons = {code: reasons.get(code, anchors) for code in muscles.counts}

    def parts(_: int, voxels: Voxels) -> Parts:
        if isinstance(anchors, Reason):
            raise ValueError("no anchors to measure by")
        mix = np.asarray(anchors.place(image[voxels].astype(np.float64)))
        return mix, np.ones_like(mix)

    return FatMethod(FiMethod.T1T2_SAT_ANCHORED, parts, reasons)


def gmm3(image: NDArray, muscles: Muscles, reasons: Mapping[int, Reason], anchors: Anchors | Reason) -> FatMethod:
    """Three-component Gaussian mixture of every muscle: muscle, undefined, fat (the components of MuscleMap).

    Voxels count as fat by their probability of the fat component. The undefined component counts by where its mean lies
    between the two others, unless it is not separate (Ashman D <= 2) from one of them: then it is part of that one.
    A muscle whose brightest component is far from the brightness of fat has streaks finer than its voxels and is left
    out: the mixture would take voxels that hold some fat for pure fat (17 % read as 50 % in the anatomical phantom).
    """
    mixtures = {code: fit(muscles.centres, counts, 3) for code, counts in muscles.counts.items() if code not in reasons}
    blurred = {
        code: Reason.FI_UNIMODAL
        for code, mixture in mixtures.items()
        if isinstance(anchors, Anchors) and anchors.place(mixture.means[-1]) < MIN_FAT_PLACE
    }
    shares = {code: _fat_share(mixture, muscles.centres) for code, mixture in mixtures.items()}

    def parts(code: int, voxels: Voxels) -> Parts:
        share = np.interp(image[voxels].astype(np.float64), muscles.centres, shares[code])
        return share, np.ones_like(share)

    return FatMethod(FiMethod.T1T2_GMM3_MUSCLEMAP, parts, {**reasons, **blurred})


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
