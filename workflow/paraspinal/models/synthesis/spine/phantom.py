"""The second source of anatomy for the spine task: sagittal cuts through the procedural three-dimensional body."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from paraspinal.models.input.spine_input import Field
from paraspinal.models.synthesis.ingredients import ALL_SPINE_INGREDIENTS, SpineIngredients
from paraspinal.models.synthesis.spine.scene import Tissue
from paraspinal.models.synthesis.spine.view import Picture, centre_heatmaps, place, slice_positions
from paraspinal.phantom.anatomy import Anatomy, sample_parameters
from paraspinal.phantom.tissue import Tissue as Body
from paraspinal.vertebrae.answer import SpineClass

TISSUES = {
    Body.AIR: Tissue.AIR,
    Body.SKIN: Tissue.SKIN,
    Body.SUBCUTANEOUS_FAT: Tissue.FAT,
    Body.FASCIA: Tissue.VISCERAL,
    Body.MUSCLE: Tissue.MUSCLE,
    Body.OTHER_MUSCLE: Tissue.MUSCLE,
    Body.VERTEBRAL_BODY: Tissue.MARROW,
    Body.CORTICAL_BONE: Tissue.CORTEX,
    Body.DISC: Tissue.ANNULUS,
    Body.NUCLEUS: Tissue.NUCLEUS,
    Body.POSTERIOR_ELEMENTS: Tissue.POSTERIOR_BONE,
    Body.LIGAMENT: Tissue.LIGAMENT,
    Body.CSF: Tissue.CSF,
    Body.CORD_OR_CAUDA: Tissue.CORD,
    Body.EPIDURAL_FAT: Tissue.EPIDURAL_FAT,
    Body.SACRUM: Tissue.SACRAL_MARROW,
    Body.ILIUM: Tissue.POSTERIOR_BONE,
    Body.RIB: Tissue.POSTERIOR_BONE,
    Body.VISCERAL_FAT: Tissue.VISCERAL,
    Body.BOWEL: Tissue.BOWEL,
    Body.BOWEL_GAS: Tissue.AIR,
    Body.KIDNEY: Tissue.ORGAN,
    Body.RENAL_SINUS: Tissue.FAT,
    Body.VESSEL: Tissue.VESSEL,
    Body.LIVER_OR_SPLEEN: Tissue.ORGAN,
}
"""Which intensity each tissue of the procedural body takes."""

_INTENSITY_OF = np.array([TISSUES[tissue] for tissue in Body])

HALF_BODY_MM = 17.0
"""From the centre of a body to its posterior wall, roughly."""

CANAL_LABEL, SACRUM_LABEL, MAX_SPINE_LABEL = 2, 50, 100
"""Codes of TotalSpineSeg: vertebrae lie below the sacrum's, discs above it; codes above the last are muscles."""


def phantom_picture(
    rng: np.random.Generator, value: Field, noise: Field, use: SpineIngredients = ALL_SPINE_INGREDIENTS
) -> Picture:
    """Cut neighbouring slices through a newly drawn body; `value` and `noise` as for the painter.

    The body is drawn as it is; ``use`` tells how it may be placed.
    """
    anatomy = Anatomy(sample_parameters(rng))
    planes = anatomy.level_planes()
    s1 = planes["S1"].centre_mm
    lumbar = np.array([planes[name].centre_mm for name in sorted(planes, reverse=True) if name.startswith("L")])
    points, view = place(rng, s1[1:], use)
    positions = slice_positions(rng, points)
    cuts = [anatomy.tissue_and_label(np.column_stack([lateral, points])) for lateral in positions]
    centre_y = np.interp(points[:, 1], anatomy.axis.z_mm, anatomy.centre_y)
    centre_x = np.interp(points[:, 1], anatomy.axis.z_mm, anatomy.centre_x)
    texture = 1 + 0.1 * noise[0] + 0.1 * noise[1]
    image = np.stack([value[_INTENSITY_OF[tissue]] * texture for tissue, _ in cuts])
    top = max(plane.superior_point_mm[2] for plane in planes.values())
    view &= (points[:, 1] < top).reshape(view.shape)  # the column ends there
    away = (positions[1] - centre_x).astype(np.float32)
    heatmaps = centre_heatmaps(points, view, away, lumbar[:, 1:], s1[1:])
    depth = (points[:, 0] - centre_y - HALF_BODY_MM).astype(np.float32)
    return Picture(image.astype(np.float32), _classes(cuts[1][1]), heatmaps, depth, view)


def _classes(label: NDArray[np.uint16]) -> NDArray[np.int64]:
    conditions = [label == CANAL_LABEL, label == SACRUM_LABEL, label > MAX_SPINE_LABEL, label > SACRUM_LABEL, label > 0]
    meanings = [SpineClass.CANAL, SpineClass.SACRUM, SpineClass.BACKGROUND, SpineClass.DISC, SpineClass.VERTEBRAL_BODY]
    return np.select(conditions, [int(m) for m in meanings], int(SpineClass.BACKGROUND))
