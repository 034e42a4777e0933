"""Fat infiltration from the brightness of T1w and T2w images, where muscle and fat can be told apart at all."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal.core.errors import DataError
from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.imaging.subcutaneous import MIN_FAT_RATIO, subcutaneous_fat_intensity
from paraspinal.core.labels import muscles_among
from paraspinal.core.vocab import Muscle, Reason, Sequence
from paraspinal.stages.measure.fat.mixture import Mixture, fit
from paraspinal.stages.measure.fat.n4 import BiasCorrection, evened
from paraspinal.stages.measure.regions import Edge, Region
from paraspinal.stages.measure.scan import Scan

Floats = NDArray[np.float64]

SEQUENCES = (Sequence.T1W, Sequence.T2W)
"""Sequences in which the brightness of a voxel tells fat from muscle."""
INVALID = (Muscle.PSOAS_MAJOR,)
"""Thresholds do not measure the fat of the psoas on T1w and T2w: published agreement is nil (ICC <= 0.01)."""
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
GATE = (
    "on T1w and T2w images, only where muscle holds two populations: Ashman's D of the two-component mixture above "
    f"{MIN_ASHMAN_D:g}, BIC better than that of one component by more than {MIN_DELTA_BIC:g}, and the mean of fat at "
    f"least {MIN_CONTRAST_FRAC:.0%} brighter than that of muscle; else null with FI_UNIMODAL"
)
"""When the methods give a value, for the data dictionary."""


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


@dataclass(frozen=True)
class Brightness:
    """A T1w or T2w scan as the brightness methods see it.

    ``image`` (z, y, x) is evened out where ``bias_correction`` says so; ``reasons`` are for the muscles, by label code,
    that may not be measured by brightness.
    """

    image: NDArray
    bias_correction: BiasCorrection
    muscles: Muscles
    reasons: Mapping[int, Reason]
    anchors: Anchors | Reason


def brightness_of(scan: Scan) -> Brightness:
    """Read the image of a scan; raises DataError if it is not on the grid of the label map."""
    image = scan.image("image_path")
    if image is None:
        raise DataError(Reason.AFFINE_MISMATCH, "image and label map")
    bias_correction = BiasCorrection.N4 if scan.work.settings.measure.n4 else BiasCorrection.NONE
    if bias_correction is BiasCorrection.N4:
        image = evened(image, scan.grid)
    muscles = Muscles.of(image, scan.regions)
    invalid = {code for (muscle, _), code in muscles_among(scan.regions).items() if muscle in INVALID}
    anchors = anchors_of(image, scan.grid, muscles, _centre_y_mm(scan))
    return Brightness(image, bias_correction, muscles, gate(muscles, invalid), anchors)


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


def lean_mode(muscles: Muscles, below: float) -> float:
    """Most frequent intensity of all muscles together, among those below a bound."""
    smooth = ndimage.gaussian_filter1d(muscles.pooled, MODE_SMOOTHING_BINS, mode="nearest")
    return float(muscles.centres[int(np.argmax(np.where(muscles.centres < below, smooth, -1.0)))])


def _percentile(muscles: Muscles, percent: float) -> float:
    cumulative = np.cumsum(muscles.pooled)
    return float(muscles.centres[int(np.searchsorted(cumulative, percent / 100.0 * cumulative[-1]))])


def _centre_y_mm(scan: Scan) -> float:
    """Mean LPS y of the back muscles (or of all, if there are none)."""
    regions = scan.regions
    back = [c for (m, _), c in muscles_among(regions).items() if m in (Muscle.MULTIFIDUS, Muscle.ERECTOR_SPINAE)]
    found = [regions[c] for c in back if not regions[c].is_empty] or [r for r in regions.values() if not r.is_empty]
    voxels = [np.stack(r.voxels[Edge.AS_SEGMENTED][::-1], axis=-1).mean(axis=0) for r in found]
    return float(scan.grid.to_world(np.mean(voxels, axis=0))[1])
