"""The caudal end: towards the sacrum the erector thins to a lateral wing and multifidus is most of the pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.models.synthesis.muscles.atlas_bank import MAX_DISTANCE_MM, MuscleShape
from paraspinal.models.synthesis.muscles.changes import border_distance
from paraspinal.models.synthesis.muscles.layout import ERECTOR, MULTIFIDUS, PAIR, PSOAS, QUADRATUS

Field = npt.NDArray[np.float32]

CAUDAL_FRAC = 0.12  # slices from below the atlas
BELOW_MM = 30.0  # its end, the farthest
ATLAS_MM = 153.0  # length of the atlas, from height 0 to 1

TAPER_MEAN, TAPER_SD, TAPER_MOST = 0.9, 0.35, 1.3  # degree of tapering of a person
TAPER_BEGINS = 0.2  # height below which it sets in
TAPER_AT_END = 0.45  # share of it reached at the end of the atlas, the rest BELOW_MM farther down
MULTIFIDUS_SHARE = (0.6, 0.9)  # of the pair at the very end
NARROW_MM = (0.0, 4.0)  # by which the far side of the erector comes closer
PAIR_SHRINKS_MM, PSOAS_SHRINKS_MM = 1.5, 2.5  # at BELOW_MM
SMOOTHING_PX = 2.0  # of the border, which otherwise shows the outline of multifidus


@dataclass(frozen=True)
class Taper:
    """How one person's muscles end: degree, share of multifidus at the very end, narrowing of the erector."""

    degree: float
    multifidus_share: float
    narrow_mm: float


def draw_taper(rng: np.random.Generator) -> Taper:
    """Draw how the muscles of one person end."""
    degree = float(np.clip(rng.normal(TAPER_MEAN, TAPER_SD), 0.0, TAPER_MOST))
    return Taper(degree, float(rng.uniform(*MULTIFIDUS_SHARE)), float(rng.uniform(*NARROW_MM)))


def apply_taper(taper: Taper, shape: MuscleShape, below_mm: float) -> MuscleShape:
    """Taper the muscles of a shape; ``below_mm`` is how far below the end of the atlas the slice lies, 0 above it."""
    beyond = float(np.clip(below_mm / BELOW_MM, 0.0, 1.0))
    along = np.interp(shape.height_frac, (0.0, TAPER_BEGINS), (TAPER_AT_END, 0.0)) + (1.0 - TAPER_AT_END) * beyond
    degree = min(taper.degree * float(along), 1.0)
    if degree == 0.0 and beyond == 0.0:
        return shape
    fields = shape.distances_mm.copy()
    for m, e, pair in zip(MULTIFIDUS, ERECTOR, PAIR, strict=True):
        border = ndimage.gaussian_filter(border_distance(fields[m], fields[e]), SMOOTHING_PX)
        inside = fields[pair] < 0
        if not inside.any():
            continue
        now = float((border[inside] < 0).mean())
        wanted = now + max(taper.multifidus_share - now, 0.0) * degree
        border -= np.float32(np.quantile(border[inside], wanted))
        lateral = np.clip(border / 10.0, 0.0, 1.0)
        outline = fields[pair] + np.float32(taper.narrow_mm * degree) * lateral + np.float32(PAIR_SHRINKS_MM * beyond)
        fields[m], fields[e], fields[pair] = np.maximum(outline, border), np.maximum(outline, -border), outline
    if beyond > 0:
        fields[list(PSOAS)] += np.float32(PSOAS_SHRINKS_MM * beyond)
        fields[list(QUADRATUS)] = MAX_DISTANCE_MM
    return MuscleShape(fields, shape.height_frac - below_mm / ATLAS_MM)
