"""Find the subcutaneous fat: the layer under the skin that serves as the fat reference of a scan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal.core.imaging.geometry import Grid

WORKING_PIXEL_MM = 2.0
"""Pixels are thinned to about this size; the layer is centimetres thick."""
WORKING_SLICES = 12
"""Slices looked at, spread evenly over the scan; enough for a median."""
SKIN_MM = 3.0
"""Depth of the skin and its partial volume, left out."""
LAYER_MM = 25.0
"""Depth down to which subcutaneous fat is looked for."""
AIR_FRAC = 0.35
"""Anything darker than this share of the muscle's intensity is taken for air outside the body."""
MIN_FAT_RATIO = 1.5
"""Fat must be brighter than muscle by this ratio to be told from it."""
MIN_VOXELS = 100
"""Fewer voxels of the thinned image give no reference."""
MIN_LAYER_FRAC = 0.05
"""Nor do voxels that fill less than this share of the layer: they are the bright tail of something else."""


def subcutaneous_fat_intensity(
    volume: NDArray, grid: Grid, muscle_intensity: float, posterior_to_mm: float | None = None
) -> float | None:
    """Median intensity of the subcutaneous fat; None if too little of it is in view or it is no brighter than muscle.

    ``volume`` is (z, y, x) on ``grid``; ``muscle_intensity`` is typical of lean muscle in the same image. With
    ``posterior_to_mm`` only fat behind this LPS y coordinate counts: it is as near to a spine coil as the muscles are.
    Air that touches the body within the image marks the skin; the border of the image does not.
    """
    layer, values, points_y_mm = _layer(volume, grid, muscle_intensity)
    if posterior_to_mm is not None:
        layer &= points_y_mm >= posterior_to_mm
    fat = values[layer & (values > MIN_FAT_RATIO * muscle_intensity)]
    if fat.size < max(MIN_VOXELS, MIN_LAYER_FRAC * np.count_nonzero(layer)):
        return None
    # The first median is pulled down by the seams to muscle and skin; what lies nearer to muscle is left out.
    fat = fat[fat > (muscle_intensity + float(np.median(fat))) / 2]
    return float(np.median(fat))


def _layer(volume: NDArray, grid: Grid, muscle_intensity: float) -> tuple[NDArray[np.bool_], NDArray, NDArray]:
    """Mark the layer under the skin in a thinned image; returns it with the intensities and LPS y coordinates (mm)."""
    slices = np.unique(np.linspace(0, volume.shape[0] - 1, WORKING_SLICES).round().astype(int))
    step = [max(1, int(WORKING_PIXEL_MM / s)) for s in grid.spacing_mm[:2]]
    thin = volume[slices][:, :: step[1], :: step[0]].astype(np.float64)
    sampling = (grid.spacing_mm[1] * step[1], grid.spacing_mm[0] * step[0])
    layer = np.zeros(thin.shape, dtype=bool)
    for k, picture in enumerate(thin):
        body = _largest(ndimage.gaussian_filter(picture, 1.0) > AIR_FRAC * muscle_intensity)
        body = ndimage.binary_fill_holes(body)
        if not body.any() or body.all():
            continue
        depth_mm = ndimage.distance_transform_edt(body, sampling=sampling)
        layer[k] = body & (depth_mm > SKIN_MM) & (depth_mm < LAYER_MM)
    k, j, i = np.meshgrid(slices, np.arange(thin.shape[1]) * step[1], np.arange(thin.shape[2]) * step[0], indexing="ij")
    return layer, thin, grid.to_world(np.stack([i, j, k], axis=-1))[..., 1]


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, count = ndimage.label(mask)
    if count <= 1:
        return mask
    largest: NDArray[np.bool_] = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return largest
