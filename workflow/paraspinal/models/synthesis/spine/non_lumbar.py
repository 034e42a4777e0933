"""Pictures without a lumbar spine: limbs, heads, pelves, phantoms. What the spine model must not number."""

from __future__ import annotations

import numpy as np

from paraspinal.core.imaging.slice_grid import PIXEL_MM
from paraspinal.models.input.spine_input import Field
from paraspinal.models.synthesis.spine.scene import Tissue
from paraspinal.models.synthesis.spine.view import HEATMAP_NAMES, SHAPE, Picture, value_noise
from paraspinal.vertebrae.stack import Floats

INSIDE = (
    Tissue.MUSCLE,
    Tissue.MARROW,
    Tissue.CORTEX,
    Tissue.FLUID,
    Tissue.VESSEL,
    Tissue.ORGAN,
    Tissue.FAT,
    Tissue.AIR,
)
SHARES = (0.25, 0.25, 0.1, 0.08, 0.1, 0.1, 0.07, 0.05)


def foreign_picture(rng: np.random.Generator, value: Field, noise: Field) -> Picture:
    """Draw a body part that is no spine: an outline filled with up to fifteen rounded shapes, bones with a rim."""
    rows, cols = np.meshgrid(*(PIXEL_MM * (np.arange(n) - n / 2) for n in SHAPE), indexing="ij")
    z, y = (field.ravel() + 4.0 * value_noise(rng, 25).ravel() for field in (rows, cols))
    reach = np.array([rng.uniform(50, 200), rng.uniform(40, 110)])
    outline = _blob(z, y, np.zeros(2), reach, rng.uniform(2, 6), rng.normal(0, 0.15))
    image = np.where(outline < 0, value[Tissue.FAT], value[Tissue.AIR]).astype(np.float32)
    flesh = _blob(z, y, np.zeros(2), reach - rng.uniform(3, 20), rng.uniform(2, 6), 0.0)
    image[flesh < 0] = (value[rng.choice([Tissue.MUSCLE, Tissue.VISCERAL])] * (1 + 0.1 * noise[1]))[flesh < 0]
    for _ in range(int(rng.integers(0, 16))):
        centre = rng.uniform(-1, 1, 2) * reach
        size = rng.gamma(2.5, 9.0, 2) + 4.0
        shape = _blob(z, y, centre, size, rng.uniform(2, 8), rng.uniform(0, np.pi))
        tissue = Tissue(int(rng.choice(INSIDE, p=SHARES)))
        covered = (shape < 0) & (outline < 0)
        if tissue is Tissue.MARROW:
            image[covered] = value[Tissue.CORTEX]
            covered = (shape < -rng.uniform(1, 4) / size.min()) & (outline < 0)
        image[covered] = (value[tissue] * (1 + 0.1 * noise[0]))[covered]
    view = np.ones(SHAPE, bool)
    empty = np.zeros(len(image), np.int64)
    heatmaps = np.zeros((len(HEATMAP_NAMES), len(image)), np.float32)
    return Picture(np.stack([image] * 3), empty, heatmaps, np.full(len(image), rng.uniform(-40, 40), np.float32), view)


def _blob(z: Field, y: Field, centre: Floats, size: Floats, power: float, tilt: float) -> Field:
    """Negative inside a superellipse (power 2: ellipse, 8: nearly a box) turned by ``tilt`` radians."""
    c, s = np.cos(tilt), np.sin(tilt)
    dz, dy = z - centre[0], y - centre[1]
    along, across = np.abs(dz * c + dy * s) / size[0], np.abs(dy * c - dz * s) / size[1]
    field: Field = (along**power + across**power - 1.0).astype(np.float32)
    return field
