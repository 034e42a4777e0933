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

from paraspinal.models.input.normalise import N_CHANNELS, input_channels
from paraspinal.models.synthesis.artefacts import add_ghosts, coarsen, swap_water_and_fat
from paraspinal.models.synthesis.augmentation import Geometry, degrade, sample_field_of_view, sample_geometry
from paraspinal.models.synthesis.contrast import Scene, ThickScene, sample_contrast
from paraspinal.models.synthesis.ingredients import ALL_INGREDIENTS, Ingredient, Ingredients
from paraspinal.models.synthesis.muscles.atlas_bank import AtlasBank, load_atlas_bank
from paraspinal.models.synthesis.muscles.changes import change_muscles, draw_changes
from paraspinal.models.synthesis.muscles.layout import MUSCLE_CLASSES, SWAP_SIDES
from paraspinal.models.synthesis.muscles.painter import Painter
from paraspinal.models.synthesis.muscles.procedural import PROCEDURAL_CENTRE_MM, procedural_scene
from paraspinal.models.training.task import Sample

SAMPLE_SHAPE = (112, 144)  # rows, columns: 224 x 288 mm at 2 mm
ATLAS_FRAC = 0.65  # share of samples from the atlas, where there is one: its muscles are a real shape
ATLAS_CENTRE_MM = (0.0, -30.0)  # of an average sample, in the atlas frame
THICK_FRAC = 0.25  # slices so thick that their neighbourhood shows
TILT_SD_DEG = 8.0  # of slices through the atlas
TURNED_FRAC, TURNED_SD_DEG = 0.12, 12.0  # people turned about their length, by scoliosis or on the table


@dataclass(frozen=True)
class MuscleTask:
    """The muscles task; without ``data_folder`` (where the atlas lies) procedural anatomy only.

    ``family`` keeps to the contrasts of one family of sequences (for trials); by default all are drawn.
    """

    data_folder: Path | None = None
    atlas_frac: float = ATLAS_FRAC
    use: Ingredients = ALL_INGREDIENTS
    family: str | None = None
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
        is_atlas = self.atlas is not None and rng.uniform() < self.atlas_frac
        centre = ATLAS_CENTRE_MM if is_atlas else PROCEDURAL_CENTRE_MM
        is_turned = Ingredient.OBLIQUE in self.use and rng.uniform() < TURNED_FRAC
        turn_deg = rng.normal(0, TURNED_SD_DEG) if is_turned else 0.0
        geometry = sample_geometry(rng, SAMPLE_SHAPE, centre, turn_deg)
        is_thick = Ingredient.THICK_SLICES in self.use and rng.uniform() < THICK_FRAC
        if self.atlas is not None and is_atlas:
            scene = atlas_scene(rng, self.atlas, geometry, self.use, is_thick)
        else:
            scene = procedural_scene(rng, geometry, is_thick)
        image = degrade(rng, self._acquire(rng, scene))
        labels = SWAP_SIDES[scene.labels] if geometry.is_mirrored else scene.labels
        visible = sample_field_of_view(rng, SAMPLE_SHAPE)
        return image * visible, np.where(visible, labels, 0)

    def _acquire(self, rng: np.random.Generator, scene: Scene) -> npt.NDArray[np.float32]:
        contrast = sample_contrast(rng, self.family)
        image = contrast.render(scene)
        if Ingredient.SWAP in self.use:
            image = swap_water_and_fat(rng, contrast, scene, image)
        if Ingredient.GHOSTING in self.use:
            image = add_ghosts(rng, image)
        if Ingredient.LOW_RESOLUTION in self.use:
            image = coarsen(rng, image)
        return image


@cache
def _atlas(data_folder: Path) -> AtlasBank:
    # Per process, not per task: a task travels to the workers with every sample it is asked for.
    return load_atlas_bank(data_folder)


def atlas_scene(
    rng: np.random.Generator,
    atlas: AtlasBank,
    geometry: Geometry,
    use: Ingredients = ALL_INGREDIENTS,
    is_thick: bool = False,
) -> Scene:
    """Paint a slice around a random shape from the atlas; a thick one is mixed with those above and below."""
    tilt_deg = rng.normal(0, TILT_SD_DEG) if Ingredient.OBLIQUE in use else 0.0
    cut = atlas.draw(rng, tilt_deg)
    changes = draw_changes(rng, use)
    seed = int(rng.integers(2**62))

    def painted(steps_up: int) -> Scene:
        shape = atlas.shape(cut, steps_up)
        distances = atlas.sample(shape, geometry.x_mm, geometry.y_mm)
        muscles = change_muscles(distances, changes, geometry.y_mm, shape.height_frac)
        # The same random numbers at every height: one person, not three.
        return Painter(
            np.random.default_rng(seed), geometry.x_mm, geometry.y_mm, muscles, shape.height_frac, use
        ).paint()

    if not is_thick:
        return painted(0)
    reach = int(rng.integers(1, 3))
    return ThickScene(painted(0), (painted(-reach), painted(reach)))
