"""Slices of the procedural 3-D anatomy as training scenes: any height, any tilt, below S1 and above L1 too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.core.imaging.slice_grid import PIXEL_MM
from paraspinal.models.synthesis.augmentation import Geometry
from paraspinal.models.synthesis.contrast import Image, Paint, Values
from paraspinal.models.synthesis.muscles.layout import CLASS_OF_CODE, MUSCLE_CLASSES
from paraspinal.phantom.anatomy import Anatomy, Tissue, sample_parameters

N_PEOPLE = 320
"""Different people; a sample draws one of them. More would cost memory and building time."""

PEOPLE_SEED = 7_1000

Z_RANGE_MM = (-165.0, 115.0)
"""Heights of slice centres: from well below S1 to T11, relative to the centre of L3."""

LUMBAR_FRAC = 0.7  # share of slices between S1 and L1
LUMBAR_Z_MM = (-100.0, 78.0)
TILT_SD_DEG = 8.0  # slices are seldom exactly perpendicular to the table
APART_MM = (3.0, 9.0)  # between a slice and its neighbours
SHARE_BLUR_PX = 0.4  # about what averaging over a pixel does to an outline
BACK_SMOOTHING_PX = 4.0  # of the line of the back
PROCEDURAL_CENTRE_MM = (0.0, 18.0)  # of an average sample

_PAINT_OF_TISSUE = {
    "AIR": Paint.AIR,
    "SKIN": Paint.SKIN,
    "SUBCUTANEOUS_FAT": Paint.SUBCUTANEOUS_FAT,
    "FASCIA": Paint.VISCERAL_FAT,  # the phantom's fascia are fat planes
    "MUSCLE": Paint.MUSCLE,
    "OTHER_MUSCLE": Paint.OTHER_MUSCLE,
    "VERTEBRAL_BODY": Paint.MARROW,
    "CORTICAL_BONE": Paint.CORTICAL_BONE,
    "DISC": Paint.ANNULUS,
    "NUCLEUS": Paint.NUCLEUS,
    "POSTERIOR_ELEMENTS": Paint.MARROW,
    "LIGAMENT": Paint.FASCIA,
    "CSF": Paint.CSF,
    "CORD_OR_CAUDA": Paint.NERVE,
    "EPIDURAL_FAT": Paint.VISCERAL_FAT,
    "SACRUM": Paint.MARROW,
    "ILIUM": Paint.MARROW,
    "RIB": Paint.MARROW,
    "VISCERAL_FAT": Paint.VISCERAL_FAT,
    "BOWEL": Paint.BOWEL,
    "BOWEL_GAS": Paint.GAS,
    "KIDNEY": Paint.KIDNEY,
    "RENAL_SINUS": Paint.VISCERAL_FAT,
    "VESSEL": Paint.VESSEL,
    "LIVER_OR_SPLEEN": Paint.LIVER,
}
_PAINTS = np.zeros(max(Tissue) + 1, dtype=np.uint8)
for _tissue in Tissue:  # a tissue without a paint raises here, at import
    _PAINTS[_tissue] = _PAINT_OF_TISSUE[_tissue.name]


@dataclass(frozen=True)
class ProceduralScene:
    """A slice as tissue map, classes, and fat inside the muscles."""

    labels: npt.NDArray[np.int64]
    paints: npt.NDArray[np.uint8]
    fat_frac: npt.NDArray[np.float32]

    @cached_property
    def shares(self) -> Image:
        """Shares (L, H, W): the classes, blurred as pixels that average over their area would."""
        hard = (self.labels == np.arange(len(MUSCLE_CLASSES))[:, None, None]).astype(np.float32)
        return np.asarray(ndimage.gaussian_filter(hard, (0, SHARE_BLUR_PX, SHARE_BLUR_PX)), dtype=np.float32)

    @cached_property
    def depth_mm(self) -> Image:
        """Depth (H, W) below the skin of the back, column by column; a back out of view ends just below."""
        body = self.paints != Paint.AIR
        n = len(body)
        last = np.where(body.any(axis=0), n - body[::-1].argmax(axis=0), n).astype(np.float32)
        last = ndimage.gaussian_filter1d(last, BACK_SMOOTHING_PX, mode="nearest")
        return np.asarray(np.maximum(PIXEL_MM * (last[None] - np.arange(n)[:, None]), 0.0), dtype=np.float32)

    def render(self, values: Values) -> Image:
        """Look every pixel's intensity up; muscle is mixed with fat."""
        image = values[self.paints]
        image += self.fat_frac * (values[Paint.SUBCUTANEOUS_FAT] - image)
        return image


@dataclass(frozen=True)
class ProceduralDraw:
    """A slice of a procedural person: centre height, tilts (deg) about both axes, and how thick or apart slices are."""

    person: int
    z_mm: float
    tilts_deg: tuple[float, float]
    apart_mm: float


def draw_procedural(rng: np.random.Generator) -> ProceduralDraw:
    """Draw one of ``N_PEOPLE`` at a random height and tilt, with its neighbours."""
    person = int(rng.integers(N_PEOPLE))
    heights = LUMBAR_Z_MM if rng.uniform() < LUMBAR_FRAC else Z_RANGE_MM
    tilts = rng.normal(0.0, TILT_SD_DEG, 2)
    return ProceduralDraw(
        person, float(rng.uniform(*heights)), (float(tilts[0]), float(tilts[1])), float(rng.uniform(*APART_MM))
    )


def procedural_scene(draw: ProceduralDraw, geometry: Geometry, step: int = 0) -> ProceduralScene:
    """Cut the person along the in-plane coordinates of ``geometry``, ``step`` slices above the middle one."""
    tilts = np.tan(np.deg2rad(draw.tilts_deg))
    z_mm = draw.z_mm + step * draw.apart_mm + tilts[0] * geometry.y_mm + 0.4 * tilts[1] * geometry.x_mm
    points = np.stack([geometry.x_mm, geometry.y_mm, z_mm.astype(np.float32)], axis=-1)
    person = _person(draw.person)
    tissue, label = person.tissue_and_label(points)
    fat = person.fat_of(points, label).astype(np.float32)
    classes = CLASS_OF_CODE[label]
    return ProceduralScene(classes, _PAINTS[tissue], np.where(classes > 0, fat, np.float32(0.0)))


@lru_cache(maxsize=N_PEOPLE)
def _person(number: int) -> Anatomy:
    # Built when first met, about 0.2 s and 5 MB each.
    return Anatomy(sample_parameters(np.random.default_rng([PEOPLE_SEED, number])))
