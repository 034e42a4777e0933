"""The trunk in a pair of water and fat images: where its surface, its middle and its pure tissues lie.

Everything here is found from water and fat each divided by its own brightness, so that a wrong factor on one of them
moves no border.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]

WORKING_PIXEL_MM = 2.0
"""Pixels are thinned to about this size; all structures looked at are larger."""
RING_MM = (3.0, 10.0)
"""Depth below the surface where subcutaneous fat is looked for: under the skin and its partial volume, above the
muscles of lean people."""
DEEP_SHARE = 0.5
"""Deeper than this share of the greatest depth of a slice lie muscles, spine and organs, more water than fat."""
BODY_FRAC = 0.15
"""A voxel belongs to the body above this share of the 95th percentile of the whole."""
BRIGHT = 95.0
"""Percentile of the positive voxels taken as the brightness of an image."""
PURE = 0.2
"""A voxel is nearly pure when the other substance has less than this share, brightnesses evened out."""
MIN_VOXELS = 300
"""With fewer voxels a region tells nothing."""
MIN_AREA_MM2 = 15_000.0
"""A cross-section smaller than this (14 cm across) is no trunk: nothing is known of where its fat lies."""
AIR_MARGIN_MM = 10.0
"""Air counts as background farther than this from the body, clear of its blur."""


@dataclass(frozen=True)
class Trunk:
    """Water and fat (z, y, x), thinned in plane, negative values cut; ``spacing_mm`` is (x, y, z)."""

    water: Floats
    fat: Floats
    spacing_mm: Spacing

    @classmethod
    def of(cls, water: NDArray, fat: NDArray, spacing_mm: Spacing) -> Trunk:
        """Thin a pair on one grid."""
        step = steps_of(spacing_mm)
        thin_water, thin_fat = (np.clip(thinned(part, spacing_mm), 0, None) for part in (water, fat))
        return cls(thin_water, thin_fat, (spacing_mm[0] * step[0], spacing_mm[1] * step[1], spacing_mm[2]))

    @cached_property
    def even(self) -> tuple[Floats, Floats]:
        """Water and fat, each over its own brightness."""
        return evened(self.water), evened(self.fat)

    @cached_property
    def body(self) -> Mask:
        """Outline of the body."""
        water, fat = self.even
        return body_mask(water + fat)

    @cached_property
    def share(self) -> Floats:
        """Share of fat with both brightnesses evened out: 0 to 1, and the same whatever factor a part carries."""
        water, fat = self.even
        return fraction(water, fat)

    @cached_property
    def fat_frac(self) -> Floats:
        """Fat fraction of the images as they are."""
        return fraction(self.water, self.fat)

    @cached_property
    def depth_mm(self) -> Floats:
        """Distance of each voxel to the surface in its slice; the border of the image is no surface."""
        sampling = self.spacing_mm[1::-1]
        return np.stack(
            [
                np.full(plane.shape, np.inf) if plane.all() else ndimage.distance_transform_edt(plane, sampling)
                for plane in self.body
            ]
        )

    @cached_property
    def ring(self) -> Mask:
        """Layer under the skin."""
        return self.body & (self.depth_mm >= RING_MM[0]) & (self.depth_mm <= RING_MM[1])

    @cached_property
    def deep(self) -> Mask:
        """Deep inside."""
        deepest = self.depth_mm.max(axis=(1, 2), keepdims=True)
        return np.asarray(self.body & (self.depth_mm >= DEEP_SHARE * deepest))

    @cached_property
    def pure_fat(self) -> Mask:
        """Nearly pure fat."""
        return self.body & (self.share > 1 - PURE)

    @cached_property
    def pure_water(self) -> Mask:
        """Nearly pure water."""
        return self.body & (self.share < PURE)

    @cached_property
    def air(self) -> Mask:
        """Background well away from the body."""
        clear = [ndimage.distance_transform_edt(~plane, self.spacing_mm[1::-1]) > AIR_MARGIN_MM for plane in self.body]
        return np.stack([where if plane.any() else ~plane for where, plane in zip(clear, self.body, strict=True)])

    @property
    def is_whole(self) -> bool:
        """Whether the cross-sections are as large as a trunk's, and its surface is in view."""
        pixel_mm2 = self.spacing_mm[0] * self.spacing_mm[1]
        area_mm2 = float(np.median(self.body.sum(axis=(1, 2)))) * pixel_mm2
        return area_mm2 >= MIN_AREA_MM2 and int(self.ring.sum()) >= MIN_VOXELS


def steps_of(spacing_mm: Spacing) -> tuple[int, int]:
    """Every how many-th column and row is kept."""
    return max(1, int(WORKING_PIXEL_MM / spacing_mm[0])), max(1, int(WORKING_PIXEL_MM / spacing_mm[1]))


def thinned(image: NDArray, spacing_mm: Spacing) -> Floats:
    """Thin an image (z, y, x) in plane."""
    columns, rows = steps_of(spacing_mm)
    return np.asarray(image[:, ::rows, ::columns], dtype=np.float64)


def evened(image: Floats) -> Floats:
    """Divide an image by its brightness; an empty one stays empty."""
    positive = image[image > 0]
    return image / float(np.percentile(positive, BRIGHT)) if positive.size else image


def fraction(water: Floats, fat: Floats) -> Floats:
    """Fat over water plus fat, 0 where there is neither."""
    total = water + fat
    return np.divide(fat, total, out=np.zeros_like(fat), where=total > 0)


def body_mask(total: Floats) -> Mask:
    """Outline the body in water plus fat, (z, y, x): the largest bright piece of each slice without holes."""
    positive = total[total > 0]
    if positive.size == 0:
        return np.zeros(total.shape, dtype=bool)
    bright = total > BODY_FRAC * np.percentile(positive, BRIGHT)
    mask = np.zeros(total.shape, dtype=bool)
    for number, plane in enumerate(bright):
        opened = ndimage.binary_opening(np.pad(plane, 1, mode="edge"))[1:-1, 1:-1]
        pieces, count = ndimage.label(opened)
        if count:
            largest = 1 + int(np.bincount(pieces.ravel())[1:].argmax())
            mask[number] = ndimage.binary_fill_holes(pieces == largest)
    return mask
