"""The card of the shipped muscles model, apart from what training and evaluation fill in."""

from __future__ import annotations

from paraspinal.core.imaging.slice_grid import PIXEL_MM
from paraspinal.models.card import Accuracy, ModelCard, card_labels
from paraspinal.models.input.muscle_input import MuscleInput
from paraspinal.models.synthesis.ingredients import ALL_INGREDIENTS
from paraspinal.models.synthesis.muscles.layout import MUSCLE_CLASSES
from paraspinal.models.synthesis.muscles.task import ATLAS_FRAC, ONE_SLICE

NAME, VERSION, LICENCE = "muscles", "0.2.0", "Apache-2.0"
"""The model that is shipped."""

TRAINED_VERSION = "0.3.0"
"""What the recipe makes; shipped once its weights have passed their bars."""

ATLAS_SOURCE = "MuscleMap abdomen_template_dseg (MIT): label map of one atlas, no image"
OUTLINES_SOURCE = "3Shot-LPM-Seg (Apache-2.0): 826 outlines of multifidus and erector at L4/5, no image"
PROCEDURAL_SOURCE = "procedural 3-D anatomy paraspinal.phantom (this project): no image"


def muscles_card(
    with_atlas: bool,
    accuracy: tuple[Accuracy, ...] = (),
    code: str | None = None,
    *,
    with_outlines: bool = False,
    shown: MuscleInput = ONE_SLICE,
    version: str = VERSION,
) -> ModelCard:
    """Compose the card.

    ``with_atlas`` and ``with_outlines`` tell what was among the training anatomy, ``code`` names the revision of
    this project each phase of the training ran with, ``shown`` what the network takes.
    """
    sources = [ATLAS_SOURCE] * with_atlas + [OUTLINES_SOURCE] * with_outlines + [PROCEDURAL_SOURCE]
    slices = "each slice with its neighbours" if shown.has_neighbours else "slice by slice"
    return ModelCard(
        name=NAME,
        version=version,
        task="muscles",
        licence=LICENCE,
        summary="Eight paraspinal muscles in axial lumbar MR of any contrast; 2-D U-Net, " + slices + ".",
        input={
            "plane": "axial (within about 20 degrees)",
            "orientation": "rows to posterior, columns to the patient's left",
            "pixel_mm": PIXEL_MM,
            **shown.to_card(),
            "dixon_part": "water",
        },
        network={},
        labels=card_labels(MUSCLE_CLASSES),
        heatmaps=(),
        training={
            "data": sources,
            "atlas_frac": ATLAS_FRAC if with_atlas else 0.0,
            "real_images": 0,
            "code": code,
            "ingredients": sorted(ALL_INGREDIENTS),
            "note": "synthetic images only; drawn on the fly with random contrast, geometry and degradation",
        },
        intended_use=(
            "Research: size and fat infiltration of the lumbar paraspinal muscles in cohorts, L1 to L5, with the "
            "quality flags of this pipeline and a visual check of a sample. Not a medical device."
        ),
        limits=(
            "The border between multifidus and erector spinae at L4-L5 is uncertain where no septum shows.",
            "Slices at and below S1 and above L1 are outside the intended use: restrict measures to L1-L5.",
            "Psoas can include iliacus low in the pelvis; the cranial end of quadratus lumborum is uncertain.",
            "Strong coil shading together with noise costs several points of Dice.",
            "Measured on one labelled person only; psoas and quadratus lumborum have no reference there.",
            "Confidence intervals on that person resample slices; they say nothing about other people.",
            "Disagreement with the mirror image finds some wrong outlines, not all: see benchmarks/models.md.",
            "Never trained or tested on children, post-operative spines, metal or severe scoliosis.",
        ),
        accuracy=accuracy,
    )
