"""Synthetic axial slices with the eight muscles: no patient's image is ever looked at.

Anatomy comes from three sources: slices of a label atlas with painted surroundings, outlines people drew at L4/5 in
their place, and the procedural 3-D anatomy of :mod:`paraspinal.phantom`. Contrast, geometry and degradation are drawn
far wider than any scanner's, so that the network learns shapes instead of intensities.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from paraspinal.models.input.muscle_input import Convention, MuscleInput
from paraspinal.models.synthesis.artefacts import apply_artefacts, draw_artefacts
from paraspinal.models.synthesis.augmentation import (
    Geometry,
    apply_degradation,
    apply_field_of_view,
    apply_geometry,
    draw_degradation,
    draw_field_of_view,
    draw_geometry,
)
from paraspinal.models.synthesis.contrast import Scene, ThickScene, sample_contrast
from paraspinal.models.synthesis.ingredients import ALL_INGREDIENTS, Ingredient, Ingredients
from paraspinal.models.synthesis.muscles.atlas_bank import AtlasBank, load_atlas_bank
from paraspinal.models.synthesis.muscles.atlas_person import AtlasDraw, atlas_scene, draw_atlas_person
from paraspinal.models.synthesis.muscles.layout import MUSCLE_CLASSES, SWAP_SIDES
from paraspinal.models.synthesis.muscles.outlines import OUTLINE_FILE, OutlineBank, load_outlines
from paraspinal.models.synthesis.muscles.procedural import PROCEDURAL_CENTRE_MM, draw_procedural, procedural_scene
from paraspinal.models.synthesis.muscles.record import SampleDraw
from paraspinal.models.training.task import Sample

ONE_SLICE = MuscleInput()
"""What the networks up to 0.2 take."""

SAMPLE_SHAPE = (112, 144)  # rows, columns: 224 x 288 mm at 2 mm
ATLAS_FRAC = 0.8  # share of samples from the atlas, where there is one: its muscles are a real shape
ATLAS_CENTRE_MM = (0.0, -30.0)  # of an average sample, in the atlas frame
THICK_FRAC = 0.25  # slices so thick that their neighbourhood shows
TURNED_FRAC, TURNED_SD_DEG = 0.12, 12.0  # people turned about their length, by scoliosis or on the table
DRIFT_SD = (0.06, 0.2)  # by which the body moves sideways and backwards from slice to slice, per mm
END_FRAC = 0.06  # slices without a neighbour below, and without one above
LEAN_FRAC = 0.5  # samples outlined by the lean convention


@dataclass(frozen=True)
class MuscleTask:
    """The muscles task; without ``data_folder`` (where atlas and outlines lie) procedural anatomy only.

    ``family`` keeps to the contrasts of one family of sequences (for trials); by default all are drawn.
    ``shown`` is what the network takes; with ``has_shares`` it is taught the share of each pixel that a class fills,
    else the class that fills most of it.
    """

    data_folder: Path | None = None
    atlas_frac: float = ATLAS_FRAC
    use: Ingredients = ALL_INGREDIENTS
    family: str | None = None
    shown: MuscleInput = ONE_SLICE
    has_shares: bool = False
    name: str = "muscles"
    class_names: tuple[str, ...] = MUSCLE_CLASSES
    heatmap_names: tuple[str, ...] = ()

    @property
    def n_inputs(self) -> int:
        """Number of input channels."""
        return self.shown.n_channels

    @property
    def atlas(self) -> AtlasBank | None:
        """The atlas shapes, read once per process."""
        return _atlas(self.data_folder) if self.data_folder else None

    @property
    def outlines(self) -> OutlineBank | None:
        """The outlines at L4/5, read once per process; None where they are not in the data folder."""
        has_them = self.data_folder and Ingredient.OUTLINES in self.use and (self.data_folder / OUTLINE_FILE).exists()
        return _outlines(self.data_folder) if self.data_folder and has_them else None

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw inputs (C, 112, 144), shares (9, 112, 144) float16 or classes (112, 144) int64, and no heatmaps."""
        return self.apply(self.draw(rng))

    def picture(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Draw one magnitude image (H, W) and its classes (H, W), before normalisation."""
        images, shares = self.stack(replace(self.draw(rng), has_neighbours=(False, False)))
        return images[1], shares.argmax(axis=0)

    def draw(self, rng: np.random.Generator) -> SampleDraw:
        """Decide everything about a sample."""
        use = self.use
        atlas = self.atlas if rng.uniform() < self.atlas_frac else None
        is_turned = Ingredient.OBLIQUE in use and rng.uniform() < TURNED_FRAC
        geometry = draw_geometry(rng, float(rng.normal(0, TURNED_SD_DEG)) if is_turned else 0.0)
        is_thick = Ingredient.THICK_SLICES in use and bool(rng.uniform() < THICK_FRAC)
        anatomy = draw_atlas_person(rng, atlas, self.outlines, use) if atlas else draw_procedural(rng)
        contrast = sample_contrast(rng, self.family)
        degradation = draw_degradation(rng)
        if Ingredient.COIL_RIM not in use:
            degradation = replace(degradation, rim=0.0)
        # The muscles of the procedural people reach to their visible edge.
        is_lean = self.shown.has_convention and isinstance(anatomy, AtlasDraw) and rng.uniform() < LEAN_FRAC
        return SampleDraw(
            anatomy,
            geometry,
            (float(rng.normal(0, DRIFT_SD[0])), float(rng.normal(0, DRIFT_SD[1]))),
            is_thick,
            contrast,
            draw_artefacts(rng, contrast, use),
            degradation,
            draw_field_of_view(rng, SAMPLE_SHAPE),
            (bool(rng.uniform() >= END_FRAC), bool(rng.uniform() >= END_FRAC)),
            Convention.LEAN if is_lean else Convention.COMPARTMENT,
        )

    def apply(self, draw: SampleDraw) -> Sample:
        """Make the sample that was drawn."""
        images, shares = self.stack(draw)
        inputs = self.shown.inputs(images, (1,), 1, draw.convention)[0]
        for is_there, channel in zip(draw.has_neighbours, (2, 3), strict=True):
            if self.shown.has_neighbours and not is_there:
                inputs[channel] = 0.0
        target = shares.astype(np.float16) if self.has_shares else shares.argmax(axis=0)
        return inputs, target, np.zeros((0, *SAMPLE_SHAPE), dtype=np.float32)

    def stack(self, draw: SampleDraw) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Make the magnitude images (3, H, W) of the slice and its neighbours, caudal first, and its shares (9, H, W).

        Neighbours nobody looks at are left empty.
        """
        scenes = {step: self._scene(draw, step) for step in self._steps(draw)}
        visible = apply_field_of_view(draw.field_of_view, SAMPLE_SHAPE)
        images = np.zeros((3, *SAMPLE_SHAPE), dtype=np.float32)
        for step, scene in scenes.items():
            if step == 0 or self.shown.has_neighbours:
                beside = [scenes[s] for s in (step - 1, step + 1) if s in scenes]
                whole = ThickScene(scene, tuple(beside)) if draw.is_thick and beside else scene
                image = apply_artefacts(draw.artefacts, whole, draw.contrast.render(whole))
                images[1 + step] = apply_degradation(draw.degradation, image, scene.depth_mm, step + 1) * visible
        shares = scenes[0].shares[SWAP_SIDES] if draw.geometry.is_mirrored else scenes[0].shares
        shares = np.where(visible, shares, 0.0).astype(np.float32)
        shares[0] = np.where(visible, shares[0], 1.0)
        return images, shares

    def _steps(self, draw: SampleDraw) -> list[int]:
        """Slices to make: the middle one, and the neighbours that are shown or mixed into a thick one."""
        is_shown = [has and self.shown.has_neighbours for has in draw.has_neighbours]
        return [0, *(step for step, shown in zip((-1, 1), is_shown, strict=True) if shown or draw.is_thick)]

    def _scene(self, draw: SampleDraw, step: int) -> Scene:
        if not isinstance(draw.anatomy, AtlasDraw):
            return procedural_scene(
                draw.anatomy, apply_geometry(draw.geometry, SAMPLE_SHAPE, PROCEDURAL_CENTRE_MM), step
            )
        if self.atlas is None:
            raise ValueError("the sample was drawn from the atlas, which is not here")
        geometry = apply_geometry(draw.geometry, SAMPLE_SHAPE, ATLAS_CENTRE_MM)
        up_mm = step * draw.anatomy.apart * self.atlas.slice_mm
        x, y = (at + np.float32(d * up_mm) for at, d in zip((geometry.x_mm, geometry.y_mm), draw.drift, strict=True))
        moved = Geometry(x, y, geometry.is_mirrored)
        return atlas_scene(draw.anatomy, self.atlas, self.outlines, moved, self.use, draw.convention, step)


@cache
def _atlas(data_folder: Path) -> AtlasBank:
    # Per process, not per task: a task travels to the workers with every sample it is asked for.
    return load_atlas_bank(data_folder)


@cache
def _outlines(data_folder: Path) -> OutlineBank:
    return load_outlines(data_folder)
