"""Thin layers inside and between multifidus and erector: the septum that parts them and those that do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.models.synthesis.contrast import Paint
from paraspinal.models.synthesis.textures import smooth_noise

Field = npt.NDArray[np.float32]

NO_SEPTUM_FRAC = 0.3  # sides on which nothing can be seen between the two muscles
THICKNESS_MM = (0.3, 1.2, 5.0)  # of the septum where there is one: least, usual, most
FAT_FRAC = 0.75  # septa that are fat; the others are dark fascia
RIM_MM = 0.75  # of a thick septum this much on either side still counts as muscle: nobody draws sharper
DEPTH_MM = 18.0  # half the depth of the two muscles: unit of the coordinate along the septum


@dataclass(frozen=True)
class Sheet:
    """A layer of tissue: signed distance to its middle, its thickness pixel by pixel, and where it may lie."""

    distance_mm: Field
    thickness_mm: Field
    paint: Paint
    within: npt.NDArray[np.bool_]

    def opacity(self, edge_mm: float) -> Field:
        """Share of each pixel the sheet fills, for pixels of ``edge_mm``."""
        half = 0.5 * self.thickness_mm
        upper = np.clip(0.5 - (self.distance_mm - half) / edge_mm, 0.0, 1.0)
        lower = np.clip(0.5 - (self.distance_mm + half) / edge_mm, 0.0, 1.0)
        return np.where(self.within, upper - lower, 0.0).astype(np.float32)


def septum(rng: np.random.Generator, multifidus_mm: Field, erector_mm: Field, y_mm: Field) -> Sheet:
    """Draw what lies between the two muscles of a side: nothing, or fat or fascia that fades along its way."""
    border, within = _border(multifidus_mm, erector_mm)
    thickness = 0.0 if rng.uniform() < NO_SEPTUM_FRAC else _thickness(rng)
    along = rng.uniform(-0.4, 1.6) + rng.normal(0, 0.6) * y_mm / DEPTH_MM
    along = along + 0.4 * smooth_noise(rng, (y_mm.shape[0], y_mm.shape[1]), 6.0)
    return Sheet(border, (thickness * np.clip(along, 0.0, 1.0)).astype(np.float32), _paint(rng), within)


def inner_septa(rng: np.random.Generator, multifidus_mm: Field, erector_mm: Field, y_mm: Field) -> list[Sheet]:
    """Draw septa inside the muscles: between longissimus and iliocostalis, between fascicles of multifidus."""
    border, _ = _border(multifidus_mm, erector_mm)
    sheets = []
    for frac, reach, inside in ((0.5, (6.0, 24.0), erector_mm < 0), (0.35, (-10.0, -3.0), multifidus_mm < 0)):
        if rng.uniform() < frac:
            middle = rng.uniform(*reach) + rng.normal(0, 3.0) * y_mm / DEPTH_MM
            along = np.clip(rng.uniform(0.2, 1.6) + rng.normal(0, 0.6) * y_mm / DEPTH_MM, 0.0, 1.0)
            thickness = (rng.uniform(0.2, 1.8) * along).astype(np.float32)
            sheets.append(Sheet((border - middle).astype(np.float32), thickness, _paint(rng), inside))
    return sheets


def not_muscle_share(sheet: Sheet, pixel_mm: float) -> Field:
    """Share of each pixel (H, W) within a septum and too far from either muscle to be part of one."""
    half = 0.5 * sheet.thickness_mm - RIM_MM
    share = np.clip(0.5 - (np.abs(sheet.distance_mm) - half) / pixel_mm, 0.0, 1.0)
    # Of a layer thinner than a pixel no more than its thickness.
    share = np.minimum(share, np.clip(2.0 * half / pixel_mm, 0.0, 1.0))
    return np.where(sheet.within, share, 0.0).astype(np.float32)


def _border(multifidus_mm: Field, erector_mm: Field) -> tuple[Field, npt.NDArray[np.bool_]]:
    """Signed distance to the border (negative in multifidus) and the two muscles as one."""
    return 0.5 * (multifidus_mm - erector_mm), np.minimum(multifidus_mm, erector_mm) < 0


def _thickness(rng: np.random.Generator) -> float:
    least, usual, most = THICKNESS_MM
    return float(np.clip(usual * np.exp(rng.normal(0, 0.7)), least, most))


def _paint(rng: np.random.Generator) -> Paint:
    return Paint.VISCERAL_FAT if rng.uniform() < FAT_FRAC else Paint.FASCIA
