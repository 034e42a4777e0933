"""Is a Dixon pair what it says? Fat lies under the skin, and water plus fat makes the in-phase image.

Nothing is repaired: a swap or a wrong scale is suspected, and the fat infiltration withheld.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from paraspinal.core.vocab import Reason

RING_MM = (3.0, 10.0)
"""Depth below the surface where subcutaneous fat is looked for: under the skin and its partial volume, above the
muscles of lean people."""
FAT_HALF = 75.0
"""Percentile of the ring that is the median of its fattier half: where the layer is thin, muscle fills the other."""
DEEP_SHARE = 0.5
"""Deeper than this share of the greatest depth of a slice lie muscles, spine and organs, more water than fat."""
MAX_DEEP_FF_FRAC = 0.9
"""Nobody is fatter than this in the middle, muscles and organs included."""
MIN_WATER_SHARE = 0.02
"""Everybody has at least this share of voxels that are nearly pure water: muscle, blood, cerebrospinal fluid."""
BODY_FRAC = 0.15
"""A voxel belongs to the body above this share of the 95th percentile of water plus fat."""
MAX_SLICES = 12
"""Slices looked at, spread evenly; the medians below need no more."""
MIN_RING_VOXELS = 300
"""With fewer voxels the ring is not in the field of view and tells nothing."""
SUM_RATIO = 2.0
"""In-phase = a water + b fat with a and b alike; beyond this ratio one part is on another scale."""
MIN_EXPLAINED = 0.8
"""The fit of the in-phase image counts as evidence when it explains this share of its variance."""
FAT_TO_WATER = (0.15, 10.0)
"""Brightness of pure fat over pure water in any usual weighting; beyond it one part is on another scale."""
MAP_RATIO = 3.0
"""Fat over water may differ from what the vendor's map says by this factor, for the map corrects for T1."""
MAP_RANGE = (0.05, 0.95)
"""Fractions of the map that tell the proportion of fat to water."""
SCALES = ((1.5, 1.0), (150.0, 100.0), (1500.0, 1000.0))
"""Largest value of a fat-fraction map, with room for noise, and the value that then means 100 %."""


@dataclass(frozen=True)
class Finding:
    """What the checks of a pair say; ``reason`` is None when nothing speaks against it."""

    ring_ff_frac: float | None
    reason: Reason | None = None
    detail: str = ""


def check_pair(
    water: np.ndarray,
    fat: np.ndarray,
    spacing_mm: tuple[float, float, float],
    min_ring_ff_frac: float,
    in_phase: np.ndarray | None = None,
    map_frac: np.ndarray | None = None,
) -> Finding:
    """Check a water and a fat image, (z, y, x) on one grid; ``spacing_mm`` is (x, y, z).

    ``in_phase`` and ``map_frac`` (fat fraction, 0 to 1) sharpen the verdict where they are given on the same grid.
    """
    picked = np.unique(np.linspace(0, len(water) - 1, min(MAX_SLICES, len(water))).round().astype(int))
    water, fat = (np.clip(part[picked].astype(np.float64), 0, None) for part in (water, fat))
    body = body_mask(water + fat)
    fraction = np.divide(fat, water + fat, out=np.zeros_like(fat), where=(water + fat) > 0)
    depth = _depth(body, spacing_mm)
    ring = body & (depth >= RING_MM[0]) & (depth <= RING_MM[1])
    deep = body & (depth >= DEEP_SHARE * depth.max(axis=(1, 2), keepdims=True))
    ring_ff = float(np.percentile(fraction[ring], FAT_HALF)) if ring.sum() >= MIN_RING_VOXELS else None
    if ring_ff is not None and deep.sum() >= MIN_RING_VOXELS:
        # Under the skin there is always more fat than deep inside, unless the images bear each other's names.
        outside, inside = float(np.median(fraction[ring])), float(np.median(fraction[deep]))
        numbers = f"fat fraction {outside:.2f} under the skin, {inside:.2f} deep inside"
        if outside < 0.5 < inside:
            return Finding(ring_ff, Reason.DIXON_SWAP_SUSPECTED, numbers)
        if inside > MAX_DEEP_FF_FRAC:
            return Finding(ring_ff, Reason.DIXON_SCALE_MISMATCH, numbers)
    if ring_ff is not None and ring_ff < min_ring_ff_frac:
        return Finding(ring_ff, Reason.DIXON_SCALE_MISMATCH, f"fat fraction {ring_ff:.2f} under the skin")
    if ring_ff is not None and (share := float((fraction[body] < 0.2).mean())) < MIN_WATER_SHARE:
        return Finding(ring_ff, Reason.DIXON_SCALE_MISMATCH, f"only {share:.1%} of the body looks like water")
    if detail := _scale_fault(water, fat, fraction, body):
        return Finding(ring_ff, Reason.DIXON_SCALE_MISMATCH, detail)
    if in_phase is not None and (detail := _sum_fault(water, fat, in_phase[picked].astype(np.float64), body)):
        return Finding(ring_ff, Reason.DIXON_SCALE_MISMATCH, detail)
    if map_frac is not None and (detail := _map_fault(water, fat, map_frac[picked], body)):
        return Finding(ring_ff, Reason.DIXON_SCALE_MISMATCH, detail)
    return Finding(ring_ff, None, "" if ring_ff is not None else "the skin is not in the field of view")


def body_mask(total: np.ndarray) -> np.ndarray:
    """Outline the body in water plus fat, (z, y, x): the largest bright piece of each slice without holes."""
    positive = total[total > 0]
    if positive.size == 0:
        return np.zeros(total.shape, dtype=bool)
    bright = total > BODY_FRAC * np.percentile(positive, 95)
    mask = np.zeros(total.shape, dtype=bool)
    for number, plane in enumerate(bright):
        opened = ndimage.binary_opening(np.pad(plane, 1, mode="edge"))[1:-1, 1:-1]
        pieces, count = ndimage.label(opened)
        if count:
            largest = 1 + int(np.bincount(pieces.ravel())[1:].argmax())
            mask[number] = ndimage.binary_fill_holes(pieces == largest)
    return mask


def _depth(body: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Distance of each voxel to the surface in its slice, millimetres; the border of the image is no surface."""
    sampling = spacing_mm[1::-1]
    return np.stack(
        [
            np.full(plane.shape, np.inf) if plane.all() else ndimage.distance_transform_edt(plane, sampling=sampling)
            for plane in body
        ]
    )


def _scale_fault(water: np.ndarray, fat: np.ndarray, fraction: np.ndarray, body: np.ndarray) -> str:
    """Compare the brightness of nearly pure fat with that of nearly pure water."""
    pure_fat, pure_water = body & (fraction > 0.8), body & (fraction < 0.2)
    if min(pure_fat.sum(), pure_water.sum()) < MIN_RING_VOXELS:
        return ""
    ratio = float(np.median(fat[pure_fat]) / np.median(water[pure_water]))
    return (
        "" if FAT_TO_WATER[0] <= ratio <= FAT_TO_WATER[1] else f"pure fat is {ratio:.2f} times as bright as pure water"
    )


def _sum_fault(water: np.ndarray, fat: np.ndarray, in_phase: np.ndarray, body: np.ndarray) -> str:
    """Fit in-phase = a water + b fat over the body by least squares; a and b should be alike."""
    if body.sum() < MIN_RING_VOXELS:
        return ""
    columns, target = np.stack([water[body], fat[body]], axis=1), in_phase[body]
    (a, b), *_ = np.linalg.lstsq(columns, target, rcond=None)
    explained = 1.0 - float(np.var(target - columns @ np.array([a, b])) / max(float(np.var(target)), 1e-12))
    if explained < MIN_EXPLAINED or min(a, b) <= 0:
        return ""
    ratio = float(a / b)
    return "" if 1 / SUM_RATIO <= ratio <= SUM_RATIO else f"in-phase is {a:.2f} water + {b:.2f} fat"


def _map_fault(water: np.ndarray, fat: np.ndarray, map_frac: np.ndarray, body: np.ndarray) -> str:
    """Compare the proportion of fat to water with the one the map states."""
    mixed = body & (map_frac > MAP_RANGE[0]) & (map_frac < MAP_RANGE[1]) & (water > 0) & (fat > 0)
    if mixed.sum() < MIN_RING_VOXELS:
        return ""
    stated = map_frac[mixed] / (1.0 - map_frac[mixed])
    factor = float(np.median(fat[mixed] / water[mixed] / stated))
    if 1 / MAP_RATIO <= factor <= MAP_RATIO:
        return ""
    return f"fat over water is {factor:.2f} times what the fat-fraction map says"


def map_scale(values: np.ndarray) -> float:
    """Tell which value of a fat-fraction map means 100 %: 1, 100 or 1000."""
    finite = values[np.isfinite(values) & (values > 0)]
    top = float(np.percentile(finite, 95)) if finite.size else 1.0
    return next((scale for limit, scale in SCALES if top <= limit), 1000.0)
