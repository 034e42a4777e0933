"""Whole synthetic people with known outlines, cut from the atlas: to choose and to check, never trained on as volumes.

One person is one set of random numbers for every slice, so contrast and shading hang together from slice to
slice as in a scan, and so do the surroundings except where something (kidney, rib, pelvis) begins or ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from paraspinal.core.imaging.slice_grid import PIXEL_MM
from paraspinal.models.synthesis.augmentation import SEEDS, apply_degradation, draw_degradation, sample_geometry
from paraspinal.models.synthesis.contrast import sample_contrast
from paraspinal.models.synthesis.muscles.atlas_bank import AtlasBank
from paraspinal.models.synthesis.muscles.changes import change_muscles, draw_changes
from paraspinal.models.synthesis.muscles.layout import MUSCLE_CLASSES, SWAP_SIDES
from paraspinal.models.synthesis.muscles.painter import Painter
from paraspinal.models.synthesis.muscles.task import ATLAS_CENTRE_MM, SAMPLE_SHAPE

SEED = 8_1000  # another stream than training's
SLICE_STEP = 2  # of the atlas' slices: one every 6 mm, L5/S1 to L1
NOISE_SD = 0.01  # that differs from slice to slice, of the brightest tissue
FAMILIES = ("t1", "t2", "water", "fat", "opposed", "stir")


@dataclass(frozen=True)
class SyntheticPerson:
    """An axial image (magnitude, LPS, caudal slice first) and the class of every voxel (z, y, x)."""

    family: str
    image: sitk.Image
    classes: npt.NDArray[np.int64]

    def mask(self, name: str) -> npt.NDArray[np.bool_]:
        """Voxels of the class called ``name``."""
        return np.asarray(self.classes == MUSCLE_CLASSES.index(name))


def synthetic_person(atlas: AtlasBank, number: int, family: str | None = None) -> SyntheticPerson:
    """Build person ``number``, always the same one; ``family`` is the contrast, by default it goes with the number."""
    family = family or FAMILIES[number % len(FAMILIES)]
    rng = np.random.default_rng([SEED, number])
    geometry = sample_geometry(rng, SAMPLE_SHAPE, ATLAS_CENTRE_MM)
    changes = draw_changes(rng)
    contrast = sample_contrast(rng, family)
    paint_seed, degradation = int(rng.integers(SEEDS)), draw_degradation(rng)
    images, classes = [], []
    for index in range(0, len(atlas.distances_mm), SLICE_STEP):
        shape = atlas.slice(index)
        distances = atlas.sample(shape, geometry.x_mm, geometry.y_mm)
        muscles = change_muscles(distances, changes, geometry.y_mm, shape.height_frac)
        scene = Painter(paint_seed, geometry.x_mm, geometry.y_mm, muscles, shape.height_frac).paint()
        image = apply_degradation(degradation, contrast.render(scene), scene.depth_mm)
        images.append(np.hypot(image, rng.normal(0, NOISE_SD, image.shape)))
        classes.append(SWAP_SIDES[scene.labels] if geometry.is_mirrored else scene.labels)
    volume = sitk.GetImageFromArray(np.stack(images).astype(np.float32))
    volume.SetSpacing((PIXEL_MM, PIXEL_MM, SLICE_STEP * atlas.slice_mm))
    return SyntheticPerson(family, volume, np.stack(classes))
