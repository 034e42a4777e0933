"""What the synthesis is made of, ingredient by ingredient, so that each can be left out: muscles, then spine."""

from __future__ import annotations

from enum import StrEnum


class Ingredient(StrEnum):
    """One thing that varies between synthetic axial slices beyond shape, contrast, shading and noise."""

    INTERFACE = "interface"  # the border between multifidus and erector tilts and bows, and gives more to the former
    SEPTA = "septa"  # fat or fascia between the muscles, from none to thick, and inside them; else mere gaps
    ATROPHY = "atrophy"  # one muscle of one side far smaller than the other
    SEVERE_FAT = "severe_fat"  # muscles mostly replaced by fat
    BYSTANDERS = "bystanders"  # arms and ribs in view
    OBLIQUE = "oblique"  # slices not perpendicular to the atlas, people turned by scoliosis
    THICK_SLICES = "thick_slices"  # partial volume of neighbouring heights
    GHOSTING = "ghosting"  # shifted copies of the image, as breathing makes
    LOW_RESOLUTION = "low_resolution"  # coarse along one direction
    SWAP = "swap"  # water and fat exchanged in a part of the slice
    OUTLINES = "outlines"  # shapes of multifidus and erector that people drew at L4/5
    CAUDAL = "caudal"  # the erector thins to a wing towards the sacrum; slices from below the atlas
    FAT_LAYERS = "fat_layers"  # fat where lean muscle has withdrawn, and beside the spinous process
    DEEP_BORDER = "deep_border"  # quadratus against the erector, small muscles and processes in front of it
    COIL_RIM = "coil_rim"  # a bright rim near the surface coil


Ingredients = frozenset[Ingredient]

ALL_INGREDIENTS: Ingredients = frozenset(Ingredient)
"""What the shipped weights are taught with; what each is worth is measured in benchmarks/models.md."""


class SpineIngredient(StrEnum):
    """One thing that varies between synthetic sagittal slices beyond shape, contrast and noise."""

    NUMBERS = "numbers"  # four or six lumbar vertebrae, transitional ones
    SACRUM = "sacrum"  # how much S1 looks like a lumbar body: its taper and the disc below it
    DEGENERATION = "degeneration"  # thin discs, crushed bodies, slipped ones, osteophytes
    SCOLIOSIS = "scoliosis"  # curved and turned columns
    SURROUNDINGS = "surroundings"  # organs, bowel, gas and bladder before the column
    CUT = "cut"  # images whose lower border lies within S1 or above it
    SHADING = "shading"  # surface coils, uneven fields, saturation bands
    GHOSTING = "ghosting"  # shifted copies of the image
    THICK_SLICES = "thick_slices"  # slices that average what lies across them
    EDGE_SLICES = "edge_slices"  # slices at the end of a stack, without a neighbour


SpineIngredients = frozenset[SpineIngredient]

ALL_SPINE_INGREDIENTS: SpineIngredients = frozenset(SpineIngredient)
"""What the shipped spine weights are taught with."""
