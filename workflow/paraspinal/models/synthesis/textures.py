"""Random fields: smooth displacement, streaks of fat, coil shading."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Field = npt.NDArray[np.float32]

DRAWN_OUT_FRAC = 0.35  # textures whose streaks run along the rows or the columns


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell_px: float) -> Field:
    """Noise of unit spread that varies over about ``cell_px`` pixels: a random coarse grid, cubic in between."""
    coarse = tuple(int(np.ceil(n / cell_px)) + 3 for n in shape)
    nodes = rng.normal(size=coarse)
    offset = rng.uniform(0, 1, 2)
    axes = [np.arange(n) / cell_px + 1 + o for n, o in zip(shape, offset, strict=True)]
    # Separable cubic interpolation: first along rows, then along columns.
    rows = ndimage.map_coordinates(
        nodes, np.meshgrid(axes[0], np.arange(coarse[1]), indexing="ij"), order=3, mode="nearest"
    )
    field = ndimage.map_coordinates(
        rows, np.meshgrid(np.arange(shape[0]), axes[1], indexing="ij"), order=3, mode="nearest"
    )
    return np.asarray(field, dtype=np.float32)


def streaks(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Noise of unit spread with streaks and lobules, as fat lies inside muscle."""
    white = rng.normal(size=shape).astype(np.float32)
    sigma = rng.uniform(0.6, 1.2, 2)
    if rng.uniform() < DRAWN_OUT_FRAC:
        sigma[int(rng.integers(2))] = rng.uniform(1.5, 5.0)
    fine = ndimage.gaussian_filter(white, sigma)
    coarse = ndimage.gaussian_filter(rng.normal(size=shape).astype(np.float32), rng.uniform(1.5, 4.0, 2))
    mix = rng.uniform(0.2, 0.8)
    field = mix * fine / fine.std() + (1 - mix) * coarse / coarse.std()
    return np.asarray(field / field.std(), dtype=np.float32)
