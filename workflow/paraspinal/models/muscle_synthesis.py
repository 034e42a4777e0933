"""Synthetic axial slices with the eight muscles: no patient's image is ever looked at.

Anatomy comes from two sources: slices of a label atlas with painted surroundings, and the procedural
3-D anatomy of :mod:`paraspinal.phantom`. Contrast, geometry and degradation are drawn far wider than
any scanner's, so that the network learns shapes instead of intensities.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from paraspinal.core.labels import all_labels
from paraspinal.models.atlas_bank import N_MUSCLES, AtlasBank, load_atlas_bank
from paraspinal.models.augmentation import Geometry, degrade, sample_field_of_view, sample_geometry
from paraspinal.models.contrast import Scene, sample_contrast
from paraspinal.models.normalise import N_CHANNELS, input_channels
from paraspinal.models.painter import Painter
from paraspinal.models.procedural import PROCEDURAL_CENTRE_MM, procedural_scene
from paraspinal.models.task import Sample

BACKGROUND = "background"
MUSCLE_CLASSES = (BACKGROUND, *(x.name for x in all_labels() if x.muscle))
"""Class names in the order of the network's output: the registry's muscles, left before right."""

SWAP_SIDES = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7])
"""Class index of the same muscle on the other side."""

SAMPLE_SHAPE = (112, 144)  # rows, columns: 224 x 288 mm at 2 mm
ATLAS_FRAC = 0.65  # share of samples from the atlas, where there is one: its muscles are a real shape
ATLAS_CENTRE_MM = (0.0, -30.0)  # of an average sample, in the atlas frame

OFFSET_SD_MM = 0.9  # each muscle grows or shrinks on its own
BULK_SD_MM = 1.2  # all muscles grow or shrink together
INTERFACE_SD_MM = 2.2  # the border between multifidus and erector moves


@dataclass(frozen=True)
class MuscleTask:
    """The muscles task; without ``data_folder`` (where the atlas lies) procedural anatomy only."""

    data_folder: Path | None = None
    atlas_frac: float = ATLAS_FRAC
    name: str = "muscles"
    n_inputs: int = N_CHANNELS
    class_names: tuple[str, ...] = MUSCLE_CLASSES
    heatmap_names: tuple[str, ...] = ()

    @property
    def atlas(self) -> AtlasBank | None:
        """The atlas shapes, read once per process."""
        return _atlas(self.data_folder) if self.data_folder else None

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw inputs (2, 112, 144), classes (112, 144) and no heatmaps."""
        image, labels = self.picture(rng)
        heatmaps = np.zeros((0, *labels.shape), dtype=np.float32)
        return input_channels(image), labels, heatmaps

    def picture(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Draw one magnitude image (H, W) and its classes (H, W), before normalisation."""
        if self.atlas is not None and rng.uniform() < self.atlas_frac:
            geometry = sample_geometry(rng, SAMPLE_SHAPE, ATLAS_CENTRE_MM)
            scene: Scene = atlas_scene(rng, self.atlas, geometry)
        else:
            geometry = sample_geometry(rng, SAMPLE_SHAPE, PROCEDURAL_CENTRE_MM)
            scene = procedural_scene(rng, geometry)
        image = degrade(rng, sample_contrast(rng).render(scene))
        labels = SWAP_SIDES[scene.labels] if geometry.is_mirrored else scene.labels
        visible = sample_field_of_view(rng, SAMPLE_SHAPE)
        return image * visible, np.where(visible, labels, 0)


@cache
def _atlas(data_folder: Path) -> AtlasBank:
    # Per process, not per task: a task travels to the workers with every sample it is asked for.
    return load_atlas_bank(data_folder)


def atlas_scene(rng: np.random.Generator, atlas: AtlasBank, geometry: Geometry) -> Scene:
    """Paint a slice around a random shape from the atlas."""
    shape = atlas.draw(rng)
    distances = atlas.sample(shape, geometry.x_mm, geometry.y_mm)
    return Painter(rng, geometry.x_mm, geometry.y_mm, vary_muscles(rng, distances), shape.height_frac).paint()


def vary_muscles(rng: np.random.Generator, distances_mm: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Change size and borders of muscles given as distances (8, H, W): bulk, each one, and MF against ES."""
    offsets = rng.normal(0, BULK_SD_MM) + rng.normal(0, OFFSET_SD_MM, N_MUSCLES)
    varied = distances_mm + offsets[:, None, None].astype(np.float32)
    common = rng.normal(0, INTERFACE_SD_MM)
    for side in (0, 1):
        multifidus, erector = varied[side], varied[2 + side]
        together = np.minimum(multifidus, erector)
        border = 0.5 * (multifidus - erector) + np.float32(common + rng.normal(0, INTERFACE_SD_MM / 2))
        varied[side], varied[2 + side] = np.maximum(together, border), np.maximum(together, -border)
    return varied
