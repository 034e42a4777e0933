"""Are water and fat on one scale? What the pair shows by itself, and what a fat-fraction map says of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal.stages.harmonize.trunk import MIN_VOXELS, Floats, Mask, Trunk

NOISE_RATIO = 1.4
"""Noise of fat over noise of water, either way. Both are made of the same echoes with equal weights, so that their
noise is equal (Glover & Schneider, Magn Reson Med 1991;18:371; Reeder et al., Magn Reson Med 2004;51:35)."""
ALIKE = 0.15
"""The two noises are compared when their coefficients of variation agree within this: magnitudes taken before the
separation give sums and differences, whose noise differs in kind and in size."""
NOISE_CV = (0.35, 0.7)
"""Coefficient of variation of noise alone: 0.52 from one coil (Rayleigh), less from several; else it is no noise."""
BLOCK = 8
"""Pixels across the blocks of background; those in ghosts of breathing and flow stand out ..."""
QUIET = 25.0
"""... and this percentile of the blocks, sorted by brightness, is clear of them."""
MIN_BLOCKS = 12
"""Fewer blocks of air tell nothing."""
MAX_ZEROS = 0.02
"""Air with more zeros than this has been masked or cut, and its noise is not that of the image."""
MIN_LEVELS = 3.0
"""Noise below this many steps between stored values is rounded away."""
NEAR_MM = (3.0, 20.0)
"""Fat and water this far apart are compared with each other, for coils see near tissue brighter."""
MAP_RATIO = (0.7, 3.0)
"""Fat over water against what the vendor's map says: it may correct for T1, which makes fat less, never more."""
MAP_RANGE = (0.05, 0.95)
"""Fractions of the map that tell the proportion of fat to water."""
SCALES = ((1.5, 1.0), (150.0, 100.0), (1500.0, 1000.0))
"""Largest value of a fat-fraction map, with room for noise, and the value that then means 100 %."""


def fat_to_water(trunk: Trunk) -> float | None:
    """Brightness of pure fat over that of the pure water near it; None where there is too little of either."""
    fat, water = trunk.pure_fat, trunk.pure_water
    near_fat, near_water = _within(water, fat, trunk), _within(fat, water, trunk)
    if min(near_fat.sum(), near_water.sum()) < MIN_VOXELS:
        return None
    bright_fat, bright_water = float(np.median(trunk.fat[near_fat])), float(np.median(trunk.water[near_water]))
    return bright_fat / bright_water if bright_water > 0 else None


def _within(source: Mask, target: Mask, trunk: Trunk) -> Mask:
    """Voxels of ``target`` that lie in the range of `NEAR_MM` from a voxel of ``source`` in their slice."""
    near = np.zeros_like(target)
    for k, plane in enumerate(source):
        if plane.any():
            distance = ndimage.distance_transform_edt(~plane, trunk.spacing_mm[1::-1])
            near[k] = target[k] & (distance >= NEAR_MM[0]) & (distance <= NEAR_MM[1])
    return near


def noise_ratio(trunk: Trunk, step_water: float | None, step_fat: float | None) -> float | None:
    """Noise of the fat over that of the water image in the air around the body; None where there is none to compare."""
    found = [_noise(part, trunk.air) for part in (trunk.water, trunk.fat)]
    if found[0] is None or found[1] is None:
        return None
    (water, cv_water), (fat, cv_fat) = found[0], found[1]
    if water < MIN_LEVELS * (step_water or 0.0) or fat < MIN_LEVELS * (step_fat or 0.0):
        return None
    if not all(NOISE_CV[0] <= cv <= NOISE_CV[1] for cv in (cv_water, cv_fat)) or abs(cv_water / cv_fat - 1) > ALIKE:
        return None
    return fat / water


def _noise(image: Floats, air: Mask) -> tuple[float, float] | None:
    """Level and coefficient of variation of the noise in the quieter blocks of air; None where air is no noise."""
    values = image[air]
    if values.size < MIN_VOXELS or float((values <= 0).mean()) > MAX_ZEROS:
        return None
    shape = (len(image), *(n // BLOCK for n in image.shape[1:]))
    cut = (slice(None), slice(shape[1] * BLOCK), slice(shape[2] * BLOCK))

    def blocks(array: NDArray) -> NDArray:
        parts = array[cut].reshape(shape[0], shape[1], BLOCK, shape[2], BLOCK)
        return parts.transpose(0, 1, 3, 2, 4).reshape(-1, BLOCK * BLOCK)

    pure = blocks(image)[blocks(air).all(axis=1)]
    if len(pure) < MIN_BLOCKS:
        return None
    order = np.argsort(np.median(pure, axis=1))
    quiet = pure[order[: max(MIN_BLOCKS // 2, int(len(pure) * QUIET / 100 * 2))]].ravel()
    level = float(quiet.mean())
    return (level, float(quiet.std()) / level) if level > 0 else None


def map_factor(trunk: Trunk, map_frac: Floats) -> float | None:
    """How many times more fat over water the pair shows than the map; None where the map tells too little.

    ``map_frac`` (0 to 1) is thinned like the trunk.
    """
    mixed = trunk.body & (map_frac > MAP_RANGE[0]) & (map_frac < MAP_RANGE[1]) & (trunk.water > 0) & (trunk.fat > 0)
    if mixed.sum() < MIN_VOXELS:
        return None
    stated = map_frac[mixed] / (1.0 - map_frac[mixed])
    return float(np.median(trunk.fat[mixed] / trunk.water[mixed] / stated))


def is_map_inverted(trunk: Trunk, map_frac: Floats) -> bool:
    """Whether a map (thinned like the trunk) says less fat of pure fat than of pure water, as a water fraction does."""
    fat, water = map_frac[trunk.pure_fat], map_frac[trunk.pure_water]
    return min(fat.size, water.size) >= MIN_VOXELS and float(np.median(fat)) < float(np.median(water))


def map_scale(values: NDArray) -> float:
    """Tell which value of a fat-fraction map means 100 %: 1, 100 or 1000."""
    finite = values[np.isfinite(values) & (values > 0)]
    top = float(np.percentile(finite, 95)) if finite.size else 1.0
    return next((scale for limit, scale in SCALES if top <= limit), 1000.0)
