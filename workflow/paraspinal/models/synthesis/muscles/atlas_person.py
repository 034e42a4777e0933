"""People made from the atlas: drawn first (AtlasDraw), then shaped, changed, layered with fat and painted around."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from paraspinal.models.input.muscle_input import Convention
from paraspinal.models.synthesis.augmentation import SEEDS, Geometry
from paraspinal.models.synthesis.ingredients import ALL_INGREDIENTS, Ingredient, Ingredients
from paraspinal.models.synthesis.muscles.atlas_bank import AtlasBank, AtlasCut, MuscleShape
from paraspinal.models.synthesis.muscles.caudal import (
    ATLAS_MM,
    BELOW_MM,
    CAUDAL_FRAC,
    Taper,
    apply_taper,
    draw_taper,
)
from paraspinal.models.synthesis.muscles.changes import MuscleChanges, change_muscles, draw_changes
from paraspinal.models.synthesis.muscles.deep_border import QuadratusContact, apply_contact, draw_contact
from paraspinal.models.synthesis.muscles.fat_layers import FatLayers, apply_fat_layers, draw_fat_layers
from paraspinal.models.synthesis.muscles.outlines import OutlineBank, OutlineMix
from paraspinal.models.synthesis.muscles.painter import PaintedScene, Painter

Field = npt.NDArray[np.float32]

TILT_SD_DEG = 8.0  # of slices through the atlas
APART_FRAC = (0.4, 0.45, 0.15)  # slices whose neighbours lie one, two, three slices of the atlas off
LOWEST_SLICES = 4  # of the atlas, that slices from below it are made of


@dataclass(frozen=True)
class AtlasDraw:
    """One person made from the atlas and the slice shown of them; ``apart`` slices of the atlas to its neighbours."""

    cut: AtlasCut
    apart: int
    outline: OutlineMix | None
    taper: Taper | None
    below_mm: float
    changes: MuscleChanges
    contact: QuadratusContact | None
    fat_layers: FatLayers
    surroundings_seed: int


def draw_atlas_person(
    rng: np.random.Generator, atlas: AtlasBank, outlines: OutlineBank | None, use: Ingredients = ALL_INGREDIENTS
) -> AtlasDraw:
    """Draw a person made from the atlas, and which slice of them is shown."""
    tilt_deg = float(rng.normal(0, TILT_SD_DEG)) if Ingredient.OBLIQUE in use else 0.0
    cut = atlas.draw(rng, tilt_deg)
    below_mm = 0.0
    if Ingredient.CAUDAL in use and rng.uniform() < CAUDAL_FRAC:
        below_mm = float(rng.uniform(0.0, BELOW_MM))
        cut = replace(cut, first=min(cut.first, LOWEST_SLICES), second=min(cut.second, LOWEST_SLICES))
    height = atlas.height(cut) - below_mm / ATLAS_MM
    return AtlasDraw(
        cut,
        int(rng.choice(len(APART_FRAC), p=APART_FRAC)) + 1,
        outlines.draw(rng) if outlines else None,
        draw_taper(rng) if Ingredient.CAUDAL in use else None,
        below_mm,
        draw_changes(rng, use),
        draw_contact(rng) if Ingredient.DEEP_BORDER in use else None,
        draw_fat_layers(rng, height) if Ingredient.FAT_LAYERS in use else FatLayers(None, None),
        int(rng.integers(SEEDS)),
    )


def atlas_shape(draw: AtlasDraw, atlas: AtlasBank, outlines: OutlineBank | None, step: int = 0) -> MuscleShape:
    """Make the muscles and pairs of a person on the grid of the atlas, ``step`` slices above the one shown."""
    up = step * draw.apart
    shape = atlas.shape(draw.cut, up)
    if draw.outline:
        if outlines is None:
            raise ValueError("the sample was drawn from real outlines, which are not here")
        shape = outlines.apply(draw.outline, shape, atlas)
    if draw.taper:
        shape = apply_taper(draw.taper, shape, max(draw.below_mm - up * atlas.slice_mm, 0.0) if draw.below_mm else 0.0)
    return shape


def atlas_muscles(draw: AtlasDraw, shape: MuscleShape, atlas: AtlasBank, geometry: Geometry) -> Field:
    """Read a shape at the pixels of ``geometry`` and make the person's muscles and pairs (10, H, W) of it."""
    fields = atlas.sample(shape, geometry.x_mm, geometry.y_mm)
    fields = change_muscles(fields, draw.changes, geometry.y_mm, shape.height_frac)
    return apply_contact(draw.contact, fields) if draw.contact else fields


def atlas_scene(
    draw: AtlasDraw,
    atlas: AtlasBank,
    outlines: OutlineBank | None,
    geometry: Geometry,
    use: Ingredients = ALL_INGREDIENTS,
    convention: Convention = Convention.COMPARTMENT,
    step: int = 0,
) -> PaintedScene:
    """Paint a slice of a person made from the atlas, ``step`` slices above the one shown."""
    shape = atlas_shape(draw, atlas, outlines, step)
    fields = atlas_muscles(draw, shape, atlas, geometry)
    layered = apply_fat_layers(draw.fat_layers, fields, geometry.x_mm, geometry.y_mm, convention)
    seed, height = draw.surroundings_seed, shape.height_frac
    return Painter(seed, geometry.x_mm, geometry.y_mm, fields, height, use, layered).paint()
