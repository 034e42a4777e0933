"""Makes other people's muscles out of the atlas': bulk, atrophy, and where multifidus ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.models.synthesis.ingredients import ALL_INGREDIENTS, Ingredient, Ingredients
from paraspinal.models.synthesis.muscles.layout import ERECTOR, MULTIFIDUS, N_MUSCLES, PAIR
from paraspinal.models.synthesis.muscles.septa import DEPTH_MM

Field = npt.NDArray[np.float32]

OFFSET_SD_MM = 0.9  # each muscle grows or shrinks on its own
BULK_SD_MM = 1.2  # all muscles grow or shrink together
ATROPHY_FRAC = 0.15  # people of whom one muscle has wasted
ATROPHY_MM = (1.0, 4.5)
OFFSET_BLEND_MM = 6.0  # about the border the offset of one muscle goes over into that of the other

SHIFT_SD_MM = 2.2  # the border between multifidus and erector moves, both sides alike
TILT_SD_MM = 1.5  # and turns, by this much at the deep and the superficial end
BOW_SD_MM = 0.8  # and bends
SIDE_FRAC = 0.5  # spread between the sides, as a share of the above

UPPER_SHIFT_MM = -1.0
"""The atlas has little multifidus above L5: 17 % of both at L3 and 25 % at L4, where the normal adult of
:mod:`paraspinal.phantom.muscles` has 23 and 33 %. Half of that difference is this much of the border."""

UPPER_BEGINS = (0.05, 0.25)  # heights between which this shift sets in: at L5 the two sources agree


@dataclass(frozen=True)
class MuscleChanges:
    """How one person differs from the atlas; the border's terms are (shift, tilt, bow) per side in mm."""

    offsets_mm: npt.NDArray[np.float64]  # (8,), positive shrinks
    border_mm: npt.NDArray[np.float64]  # (2, 3), positive moves the border into multifidus
    upper_shift_mm: float  # a further shift above L5


def draw_changes(rng: np.random.Generator, use: Ingredients = ALL_INGREDIENTS) -> MuscleChanges:
    """Draw the changes of one person."""
    offsets = rng.normal(0, BULK_SD_MM) + rng.normal(0, OFFSET_SD_MM, N_MUSCLES)
    if Ingredient.ATROPHY in use and rng.uniform() < ATROPHY_FRAC:
        offsets[int(rng.integers(N_MUSCLES))] += rng.uniform(*ATROPHY_MM)
    spread = np.array([SHIFT_SD_MM, TILT_SD_MM, BOW_SD_MM])
    border = spread * (rng.normal(size=3) + SIDE_FRAC * rng.normal(size=(2, 3)))
    if Ingredient.INTERFACE in use:
        return MuscleChanges(offsets, border, UPPER_SHIFT_MM)
    border[:, 1:] = 0.0
    return MuscleChanges(offsets, border, 0.0)


def change_muscles(fields_mm: Field, changes: MuscleChanges, y_mm: Field, height: float) -> Field:
    """Apply ``changes`` to muscles and pairs given as distances (10, H, W); returns the same of that person.

    The pair keeps its shape but for the offsets of its two muscles, each near its own part of the outline; the border
    then parts it, so multifidus and erector neither overlap nor leave a gap, wherever the border lies.
    """
    offsets = changes.offsets_mm[:, None, None].astype(np.float32)
    varied = fields_mm.copy()
    varied[:N_MUSCLES] += offsets
    depth = np.clip(y_mm / DEPTH_MM, -1.5, 1.5)
    upper_shift = changes.upper_shift_mm * float(np.interp(height, UPPER_BEGINS, (0.0, 1.0)))
    for side, (m, e, pair) in enumerate(zip(MULTIFIDUS, ERECTOR, PAIR, strict=True)):
        shift, tilt, bow = changes.border_mm[side]
        move = (shift + upper_shift + tilt * depth + bow * (depth**2 - 0.5)).astype(np.float32)
        border = border_distance(fields_mm[m], fields_mm[e]) + move
        in_erector = np.clip(0.5 + border / OFFSET_BLEND_MM, 0.0, 1.0)
        outline = fields_mm[pair] + offsets[m] + in_erector * (offsets[e] - offsets[m])
        varied[m], varied[e], varied[pair] = np.maximum(outline, border), np.maximum(outline, -border), outline
    return varied


def border_distance(multifidus_mm: Field, erector_mm: Field) -> Field:
    """Distance (H, W) to the border between two muscles that touch, negative on the side of multifidus.

    In either muscle it is the distance from the other, which grows all the way to the far side; half the difference of
    the two does not grow beyond the middle of a muscle.
    """
    return np.maximum(multifidus_mm, 0.0) - np.maximum(erector_mm, 0.0)
