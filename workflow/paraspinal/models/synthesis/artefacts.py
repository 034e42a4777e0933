"""What goes wrong while an image is acquired: ghosts, coarse phase encoding, water and fat exchanged.

Drawn first, then applied: the slices of one scan share what was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.models.synthesis.augmentation import SEEDS
from paraspinal.models.synthesis.contrast import Contrast, Scene, sample_contrast
from paraspinal.models.synthesis.ingredients import Ingredient, Ingredients
from paraspinal.models.synthesis.textures import smooth_noise

Image = npt.NDArray[np.float32]

GHOST_FRAC = 0.15
GHOST_STRENGTH = (0.03, 0.2)  # of the first ghost
COARSE_FRAC = 0.2
COARSE_SIGMA_PX = (0.9, 1.7)
SWAP_FRAC = 0.12  # of Dixon water and fat images
SWAP_CELL_PX = (25, 60)  # size of the exchanged regions
OTHER_PART = {"water": "fat", "fat": "water"}


@dataclass(frozen=True)
class Ghosts:
    """Faint copies along one image axis, shifted by a share of its length, added or subtracted (``sign``)."""

    axis: int
    shift_frac: float
    strength: float
    sign: float


@dataclass(frozen=True)
class Coarseness:
    """Blur along one image axis, as few phase-encoding steps do."""

    axis: int
    sigma_px: float


@dataclass(frozen=True)
class Swap:
    """Water and fat exchanged where a slow field of noise exceeds a threshold; ``other`` is what shows there."""

    other: Contrast
    cell_px: float
    threshold: float
    seed: int


@dataclass(frozen=True)
class Artefacts:
    """What went wrong with one scan; None for what did not."""

    ghosts: Ghosts | None
    coarseness: Coarseness | None
    swap: Swap | None


def draw_artefacts(rng: np.random.Generator, contrast: Contrast, use: Ingredients) -> Artefacts:
    """Draw the artefacts of a scan with ``contrast``; only of the kinds in use."""
    swap = draw_swap(rng, contrast) if Ingredient.SWAP in use else None
    ghosts = draw_ghosts(rng) if Ingredient.GHOSTING in use else None
    coarseness = draw_coarseness(rng) if Ingredient.LOW_RESOLUTION in use else None
    return Artefacts(ghosts, coarseness, swap)


def apply_artefacts(draw: Artefacts, scene: Scene, image: Image) -> Image:
    """Apply what was drawn to the image (H, W) of a scene."""
    if draw.swap:
        image = swap_water_and_fat(draw.swap, scene, image)
    if draw.ghosts:
        image = add_ghosts(draw.ghosts, image)
    return coarsen(draw.coarseness, image) if draw.coarseness else image


def draw_ghosts(rng: np.random.Generator) -> Ghosts | None:
    """Draw ghosts, mostly along the belly's movement (rows); mostly none."""
    if rng.uniform() >= GHOST_FRAC:
        return None
    axis = int(rng.uniform() < 0.25)
    return Ghosts(
        axis, float(rng.uniform(1 / 12, 1 / 2)), float(rng.uniform(*GHOST_STRENGTH)), float(rng.choice([-1.0, 1.0]))
    )


def add_ghosts(draw: Ghosts, image: Image) -> Image:
    """Add the copies to an image (H, W); they wrap around."""
    shift = int(draw.shift_frac * image.shape[draw.axis])
    once, twice = (np.roll(image, n * shift, draw.axis) + np.roll(image, -n * shift, draw.axis) for n in (1, 2))
    return np.asarray(np.abs(image + draw.sign * draw.strength * (once + 0.4 * twice)), dtype=np.float32)


def draw_coarseness(rng: np.random.Generator) -> Coarseness | None:
    """Draw a blur along rows or columns; mostly none."""
    if rng.uniform() >= COARSE_FRAC:
        return None
    return Coarseness(int(rng.integers(2)), float(rng.uniform(*COARSE_SIGMA_PX)))


def coarsen(draw: Coarseness, image: Image) -> Image:
    """Blur an image (H, W) along one axis."""
    return np.asarray(ndimage.gaussian_filter1d(image, draw.sigma_px, axis=draw.axis), dtype=np.float32)


def draw_swap(rng: np.random.Generator, contrast: Contrast) -> Swap | None:
    """Draw an exchange of water and fat for a contrast that shows one of them; mostly none."""
    if contrast.family not in OTHER_PART or rng.uniform() >= SWAP_FRAC:
        return None
    other = sample_contrast(rng, OTHER_PART[contrast.family])
    return Swap(other, float(rng.uniform(*SWAP_CELL_PX)), float(rng.uniform(0.2, 1.5)), int(rng.integers(SEEDS)))


def swap_water_and_fat(draw: Swap, scene: Scene, image: Image) -> Image:
    """Show the other part of the Dixon pair in a region of the image (H, W)."""
    noise = smooth_noise(np.random.default_rng(draw.seed), (image.shape[0], image.shape[1]), draw.cell_px)
    return np.where(noise > draw.threshold, draw.other.render(scene), image)
