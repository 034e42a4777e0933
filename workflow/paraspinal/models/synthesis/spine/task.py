"""Synthetic sagittal lumbar images of any contrast, with exact classes and centre heatmaps: the spine task.

Rows run caudally and columns posteriorly, 2 mm each: the picture a radiologist sees. No real image is involved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from paraspinal.models.input.spine_input import N_CHANNELS, Field, network_inputs
from paraspinal.models.synthesis.ingredients import ALL_SPINE_INGREDIENTS, SpineIngredient, SpineIngredients
from paraspinal.models.synthesis.spine.painter import paint
from paraspinal.models.synthesis.spine.phantom import phantom_picture
from paraspinal.models.synthesis.spine.scene import Slice, Tissue, sample_scene
from paraspinal.models.synthesis.spine.view import (
    HEATMAP_NAMES,
    SHAPE,
    Picture,
    centre_heatmaps,
    place,
    slice_positions,
    value_noise,
)
from paraspinal.models.training.task import Sample
from paraspinal.vertebrae.answer import SpineClass

PHANTOM_SHARE = 0.1
"""Share of samples cut from the procedural three-dimensional body instead of the painted column."""

LAST_SLICE_SHARE = 0.15
"""Share of samples that are the first or last slice of a stack: one neighbour is missing."""

T = Tissue
CONTRASTS: dict[str, dict[Tissue, tuple[float, float]]] = {
    "t1": {
        T.FAT: (0.8, 1),
        T.VISCERAL: (0.5, 0.95),
        T.MUSCLE: (0.22, 0.42),
        T.MARROW: (0.35, 0.75),
        T.ANNULUS: (0.18, 0.4),
        T.NUCLEUS: (0.22, 0.45),
        T.CSF: (0.06, 0.25),
        T.CORD: (0.25, 0.45),
        T.CAUDA: (0.2, 0.4),
        T.EPIDURAL_FAT: (0.7, 1),
        T.LIGAMENT: (0.1, 0.4),
        T.VESSEL: (0.05, 0.6),
        T.ORGAN: (0.3, 0.6),
        T.BOWEL: (0.15, 0.5),
        T.NERVE: (0.2, 0.4),
        T.FLUID: (0.05, 0.25),
    },
    "t2": {
        T.FAT: (0.55, 0.95),
        T.VISCERAL: (0.35, 0.8),
        T.MUSCLE: (0.08, 0.25),
        T.MARROW: (0.22, 0.6),
        T.ANNULUS: (0.05, 0.2),
        T.NUCLEUS: (0.15, 0.9),
        T.CSF: (0.75, 1.1),
        T.CORD: (0.25, 0.5),
        T.CAUDA: (0.2, 0.5),
        T.EPIDURAL_FAT: (0.5, 0.9),
        T.LIGAMENT: (0.05, 0.35),
        T.VESSEL: (0.02, 0.3),
        T.ORGAN: (0.15, 0.45),
        T.BOWEL: (0.1, 0.6),
        T.NERVE: (0.2, 0.4),
        T.FLUID: (0.7, 1.1),
    },
    "stir": {
        T.FAT: (0.03, 0.2),
        T.VISCERAL: (0.05, 0.25),
        T.MUSCLE: (0.15, 0.35),
        T.MARROW: (0.1, 0.4),
        T.ANNULUS: (0.05, 0.25),
        T.NUCLEUS: (0.2, 0.9),
        T.CSF: (0.8, 1.1),
        T.CORD: (0.3, 0.5),
        T.CAUDA: (0.25, 0.5),
        T.EPIDURAL_FAT: (0.03, 0.2),
        T.LIGAMENT: (0.05, 0.3),
        T.VESSEL: (0.05, 0.8),
        T.ORGAN: (0.2, 0.5),
        T.BOWEL: (0.15, 0.7),
        T.NERVE: (0.3, 0.6),
        T.FLUID: (0.7, 1.1),
    },
    "water": {
        T.FAT: (0.02, 0.15),
        T.VISCERAL: (0.04, 0.25),
        T.MUSCLE: (0.35, 0.65),
        T.MARROW: (0.2, 0.55),
        T.ANNULUS: (0.2, 0.6),
        T.NUCLEUS: (0.4, 0.95),
        T.CSF: (0.2, 1),
        T.CORD: (0.4, 0.7),
        T.CAUDA: (0.4, 0.7),
        T.EPIDURAL_FAT: (0.02, 0.2),
        T.LIGAMENT: (0.1, 0.5),
        T.VESSEL: (0.1, 1),
        T.ORGAN: (0.4, 0.8),
        T.BOWEL: (0.2, 0.7),
        T.NERVE: (0.4, 0.7),
        T.FLUID: (0.2, 1),
    },
    "fat": {
        T.FAT: (0.8, 1),
        T.VISCERAL: (0.6, 0.95),
        T.MUSCLE: (0.02, 0.15),
        T.MARROW: (0.25, 0.65),
        T.ANNULUS: (0.01, 0.1),
        T.NUCLEUS: (0.01, 0.1),
        T.CSF: (0.01, 0.1),
        T.CORD: (0.01, 0.1),
        T.CAUDA: (0.02, 0.2),
        T.EPIDURAL_FAT: (0.6, 1),
        T.LIGAMENT: (0.02, 0.3),
        T.VESSEL: (0.01, 0.1),
        T.ORGAN: (0.02, 0.15),
        T.BOWEL: (0.02, 0.3),
        T.NERVE: (0.02, 0.2),
        T.FLUID: (0.01, 0.08),
    },
    "opposed": {
        T.FAT: (0.6, 0.95),
        T.VISCERAL: (0.4, 0.8),
        T.MUSCLE: (0.35, 0.6),
        T.MARROW: (0.08, 0.4),
        T.ANNULUS: (0.25, 0.5),
        T.NUCLEUS: (0.3, 0.6),
        T.CSF: (0.1, 0.8),
        T.CORD: (0.35, 0.55),
        T.CAUDA: (0.25, 0.5),
        T.EPIDURAL_FAT: (0.4, 0.8),
        T.LIGAMENT: (0.1, 0.4),
        T.VESSEL: (0.1, 0.9),
        T.ORGAN: (0.3, 0.6),
        T.BOWEL: (0.2, 0.6),
        T.NERVE: (0.2, 0.5),
        T.FLUID: (0.1, 0.8),
    },
    "gradient": {
        T.FAT: (0.25, 0.9),
        T.VISCERAL: (0.2, 0.7),
        T.MUSCLE: (0.3, 0.55),
        T.MARROW: (0.15, 0.45),
        T.ANNULUS: (0.35, 0.7),
        T.NUCLEUS: (0.5, 0.95),
        T.CSF: (0.5, 1.1),
        T.CORD: (0.4, 0.7),
        T.CAUDA: (0.5, 0.9),
        T.EPIDURAL_FAT: (0.2, 0.8),
        T.LIGAMENT: (0.15, 0.5),
        T.VESSEL: (0.2, 1.1),
        T.ORGAN: (0.3, 0.6),
        T.BOWEL: (0.1, 0.6),
        T.NERVE: (0.35, 0.6),
        T.FLUID: (0.4, 1),
    },
}
"""Intensity range of each tissue per contrast family; `random` draws every tissue from the whole range."""

CONTRAST_WEIGHTS = {
    "t1": 0.17,
    "t2": 0.26,
    "stir": 0.1,
    "water": 0.1,
    "fat": 0.06,
    "opposed": 0.06,
    "gradient": 0.12,
    "random": 0.13,
}


@dataclass(frozen=True)
class SpineTask:
    """Sagittal spine: classes of `SpineClass`, heatmaps of `HEATMAP_NAMES`, channels of `network_inputs`.

    ``family`` keeps to one of `CONTRASTS` (for trials); by default all are drawn.
    """

    phantom_share: float = PHANTOM_SHARE
    use: SpineIngredients = ALL_SPINE_INGREDIENTS
    family: str | None = None
    name: str = "spine"
    n_inputs: int = N_CHANNELS
    class_names: tuple[str, ...] = tuple(c.name.lower() for c in SpineClass)
    heatmap_names: tuple[str, ...] = HEATMAP_NAMES

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw one sample: inputs (4, 160, 112), classes (160, 112), heatmaps (3, 160, 112)."""
        value = draw_intensities(rng, self.family)
        noise = np.stack([value_noise(rng, cell).ravel() for cell in (3, 8, 30)])
        draw = phantom_picture if rng.random() < self.phantom_share else _painted_picture
        picture = draw(rng, value, noise, self.use)
        view = picture.view
        classes = np.where(view, picture.classes.reshape(SHAPE), 0)
        heatmaps = np.where(view, picture.heatmaps.reshape(-1, *SHAPE), np.float32(0)).astype(np.float32)
        stack = scan_slices(rng, picture.image.reshape(-1, *SHAPE), picture.depth_mm.reshape(SHAPE), view, self.use)
        if rng.random() < LAST_SLICE_SHARE and SpineIngredient.EDGE_SLICES in self.use:
            stack[rng.choice([0, 2])] = 0.0
        return network_inputs(stack, [1])[0], classes.astype(np.int64), heatmaps


def _painted_picture(rng: np.random.Generator, value: Field, noise: Field, use: SpineIngredients) -> Picture:
    """Paint neighbouring slices of a drawn chain of vertebrae."""
    scene = sample_scene(rng, use)
    chain = scene.chain
    lumbar, first = chain.lumbar, chain.first_sacral
    points, view = place(rng, chain.centre_mm[first], use)
    cut = Slice(scene, points)
    positions = slice_positions(rng, points)
    canvases = [paint(scene, cut, lateral, value, noise) for lateral in positions]
    image = np.stack([canvas.image for canvas in canvases])
    thickness = rng.uniform(0, 5)
    if thickness > 2.5 and SpineIngredient.THICK_SLICES in use:  # thick slices average what lies across them
        aside = np.float32(rng.choice([-0.5, 0.5]) * thickness)
        image = 0.5 * (image + np.stack([paint(scene, cut, x + aside, value, noise).image for x in positions]))
    heatmaps = centre_heatmaps(points, view, positions[1] - cut.sway, chain.centre_mm[lumbar], chain.centre_mm[first])
    return Picture(image, canvases[1].classes, heatmaps, cut.v, view)


def draw_intensities(rng: np.random.Generator, family: str | None = None) -> Field:
    """Draw the intensity of every tissue in one contrast, of ``family`` where it is given."""
    name = family or str(rng.choice(list(CONTRAST_WEIGHTS), p=list(CONTRAST_WEIGHTS.values())))
    value = np.zeros(len(Tissue), np.float32)
    for tissue in Tissue:
        low, high = CONTRASTS[name].get(tissue, (0.02, 0.3)) if name in CONTRASTS else (0.03, 1.0)
        value[tissue] = rng.uniform(low, high)
    value[T.AIR] = 0.0
    value[T.CORTEX] = rng.uniform(0.0, 0.6) * value[T.MARROW]
    value[T.SKIN] = rng.uniform(0.5, 1.2) * value[T.FAT]
    value[T.SACRAL_MARROW] = value[T.MARROW] * rng.uniform(0.9, 1.12)
    value[T.POSTERIOR_BONE] = value[T.MARROW] * rng.uniform(0.8, 1.25)
    if name == "random" and abs(value[T.MARROW] - value[T.ANNULUS]) < 0.08:
        # Some edge must exist between body and disc.
        value[T.ANNULUS] *= 0.5
        value[T.CORTEX] = 0.02
    return value


def scan_slices(
    rng: np.random.Generator,
    stack: Field,
    depth_mm: Field,
    view: NDArray[np.bool_],
    use: SpineIngredients = ALL_SPINE_INGREDIENTS,
) -> Field:
    """Apply what a scanner does: coil fall-off, saturation bands, blur, noise, ghosts, windowing, field of view.

    ``stack`` (n, H, W) are slices of one scan: they share every defect and have noise of their own.
    """
    stack = np.maximum(stack, 0)
    if SpineIngredient.SHADING in use:
        stack = _shade(rng, stack, depth_mm)
    if SpineIngredient.GHOSTING in use and rng.random() < 0.2:  # pulsation ghosts along the phase direction
        step = int(rng.integers(8, 40))
        stack = stack + rng.uniform(0.02, 0.1) * np.roll(stack, step, axis=int(rng.integers(1, 3)))
    sigma = rng.uniform(0, 0.7, 2)
    stack = ndimage.gaussian_filter(stack, (0, *sigma)).astype(np.float32)
    reference = float(np.percentile(stack, 90)) + 1e-6
    noise = reference * rng.choice([0.01, 0.03, 0.07]) * rng.uniform(0.5, 1.5)
    grain = rng.standard_normal((2, *stack.shape), np.float32) * np.float32(noise)
    if rng.random() < 0.4:  # interpolated images carry smooth noise
        grain = ndimage.gaussian_filter(grain, (0, 0, 0.7, 0.7)) * 1.6
    stack = np.hypot(stack + grain[0], grain[1])
    if rng.random() < 0.3:
        stack = reference * (stack / reference) ** rng.uniform(0.7, 1.4)
    if rng.random() < 0.15:  # fold the brightest down, as a windowed export does
        stack = np.minimum(stack, np.percentile(stack, rng.uniform(93, 99.5)))
    return np.where(view, np.maximum(stack, 1e-6), 0).astype(np.float32)


def _shade(rng: np.random.Generator, stack: Field, depth_mm: Field) -> Field:
    """Light slices (n, H, W) unevenly, all alike."""
    rows, cols = np.meshgrid(np.linspace(-1, 1, SHAPE[0]), np.linspace(-1, 1, SHAPE[1]), indexing="ij")
    if rng.random() < 0.5:  # surface coil behind the back
        stack = stack * np.exp(np.clip(depth_mm - 40, -200, 40) / rng.uniform(40, 250)).astype(np.float32)
    field = rng.normal(0, 0.35) * rows + rng.normal(0, 0.5) * cols + rng.normal(0, 0.25) * rows**2
    field = field + 0.12 * rng.random() * value_noise(rng, 40)
    stack = stack * np.exp(field).astype(np.float32)
    if rng.random() < 0.3:  # saturation band before the column
        edge = -rng.uniform(38, 75)
        dark = special.expit((edge - depth_mm) / rng.uniform(2, 7))
        stack = stack * (1 - rng.uniform(0.4, 0.95) * dark).astype(np.float32)
    return stack
