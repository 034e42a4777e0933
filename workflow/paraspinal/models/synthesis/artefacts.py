"""What goes wrong while an image is acquired: ghosts, coarse phase encoding, water and fat exchanged."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.models.synthesis.contrast import Contrast, Scene, sample_contrast
from paraspinal.models.synthesis.textures import smooth_noise

Image = npt.NDArray[np.float32]

GHOST_FRAC = 0.15
GHOST_STRENGTH = (0.03, 0.2)  # of the first ghost
COARSE_FRAC = 0.2
COARSE_SIGMA_PX = (0.9, 1.7)
SWAP_FRAC = 0.12  # of Dixon water and fat images
OTHER_PART = {"water": "fat", "fat": "water"}


def add_ghosts(rng: np.random.Generator, image: Image) -> Image:
    """Add faint copies shifted along one image axis, wrapping around, to some images (H, W)."""
    if rng.uniform() >= GHOST_FRAC:
        return image
    axis = int(rng.uniform() < 0.25)  # mostly along the belly's movement
    shift = int(rng.integers(image.shape[axis] // 12, image.shape[axis] // 2))
    strength = rng.uniform(*GHOST_STRENGTH)
    ghosts = strength * (np.roll(image, shift, axis) + np.roll(image, -shift, axis))
    ghosts += 0.4 * strength * (np.roll(image, 2 * shift, axis) + np.roll(image, -2 * shift, axis))
    return np.asarray(np.abs(image + rng.choice([-1.0, 1.0]) * ghosts), dtype=np.float32)


def coarsen(rng: np.random.Generator, image: Image) -> Image:
    """Blur some images (H, W) along one axis, as few phase-encoding steps do."""
    if rng.uniform() >= COARSE_FRAC:
        return image
    sigma = rng.uniform(*COARSE_SIGMA_PX)
    return np.asarray(ndimage.gaussian_filter1d(image, sigma, axis=int(rng.integers(2))), dtype=np.float32)


def swap_water_and_fat(rng: np.random.Generator, contrast: Contrast, scene: Scene, image: Image) -> Image:
    """Exchange water and fat in a part of some Dixon images (H, W) that shows one of them."""
    if contrast.family not in OTHER_PART or rng.uniform() >= SWAP_FRAC:
        return image
    other = sample_contrast(rng, OTHER_PART[contrast.family]).render(scene)
    region = smooth_noise(rng, (image.shape[0], image.shape[1]), rng.uniform(25, 60)) > rng.uniform(0.2, 1.5)
    return np.where(region, other, image)
