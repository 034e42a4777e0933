"""Random fields: smooth displacement, streaks of fat, coil shading."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Field = npt.NDArray[np.float32]

DRAWN_OUT_FRAC = 0.35  # textures whose streaks run along the rows or the columns


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell_px: float) -> Field:
    """Noise of about unit spread that varies over about ``cell_px`` pixels: a random coarse grid, cubic in between."""
    coarse = tuple(int(np.ceil(n / cell_px)) + 4 for n in shape)
    nodes = rng.normal(size=coarse)
    offsets = rng.uniform(0, 1, 2)
    rows, columns = (
        _cubic_weights(np.arange(n) / cell_px + 1 + offset, n_nodes)
        for n, offset, n_nodes in zip(shape, offsets, coarse, strict=True)
    )
    return np.asarray(rows @ nodes @ columns.T, dtype=np.float32)


def _cubic_weights(at: npt.NDArray[np.float64], n_nodes: int) -> npt.NDArray[np.float64]:
    """Weights (points, nodes) of cubic convolution (Keys 1981, a = -1/2), one node or more from the ends."""
    distance = np.abs(at[:, None] - np.arange(n_nodes)[None, :])
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1.0
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4.0 * distance + 2.0
    return np.where(distance < 1.0, near, np.where(distance < 2.0, far, 0.0))


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
