"""What lies at the deep border of the erector: a quadratus that touches it, transverse processes, small muscles.

On real images hardly any fat is seen there: quadratus lies against the erector behind a thin fascia that fades in
places, and between the transverse processes there are ligaments and small muscles, grey and mottled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.core.imaging.slice_grid import PIXEL_MM
from paraspinal.models.synthesis.contrast import Paint
from paraspinal.models.synthesis.muscles.fat_layers import facing
from paraspinal.models.synthesis.muscles.layout import PAIR, QUADRATUS
from paraspinal.models.synthesis.muscles.septa import Sheet
from paraspinal.models.synthesis.textures import smooth_noise

Field = npt.NDArray[np.float32]
Layer = tuple[Field, Paint, float]

CONTACT_FRAC = 0.65  # sides on which quadratus lies against the erector
CONTACT_GAP_MM = (0.0, 1.2)
CONTACT_REACH_MM = (2.0, 6.0)  # by which quadratus is wider towards the erector
CONTACT_FADES_MM = 8.0  # distance from the erector over which it is

SMALL_MUSCLES_FRAC = 0.7  # slices with small muscles and ligaments in front of the erector
PROCESS_FRAC = 0.5  # sides with a transverse process along the erector
LAMINA_FRAC = 0.5  # sides with a lamina along multifidus
MIDLINE_MM = 20.0  # multifidus lies medially of this, the erector laterally


@dataclass(frozen=True)
class QuadratusContact:
    """Gap to the erector and gain in width, left and right; None where quadratus lies apart."""

    sides: tuple[tuple[float, float] | None, tuple[float, float] | None]


def draw_contact(rng: np.random.Generator) -> QuadratusContact:
    """Draw how quadratus lies in one person."""
    left, right = (
        (float(rng.uniform(*CONTACT_GAP_MM)), float(rng.uniform(*CONTACT_REACH_MM)))
        if rng.uniform() < CONTACT_FRAC
        else None
        for _ in range(2)
    )
    return QuadratusContact((left, right))


def apply_contact(contact: QuadratusContact, fields_mm: Field) -> Field:
    """Bring quadratus to the erector in muscles and pairs (10, H, W); it never overlaps it."""
    changed = fields_mm.copy()
    for q, pair, side in zip(QUADRATUS, PAIR, contact.sides, strict=True):
        if side is not None:
            gap, reach = side
            near = np.exp(-np.maximum(fields_mm[pair], 0.0) / CONTACT_FADES_MM)
            changed[q] = np.maximum(fields_mm[q] - np.float32(reach) * near, gap - fields_mm[pair])
    return changed


def deep_layers(rng: np.random.Generator, fields_mm: Field, x_mm: Field, y_mm: Field, edge_mm: float) -> list[Layer]:
    """Draw what is painted in front of the pairs, before the muscles: opacity, tissue, gain."""
    u = rng.uniform
    layers: list[Layer] = []
    shape = (x_mm.shape[0], x_mm.shape[1])
    lateral = np.abs(x_mm)
    has_small_muscles = u() < SMALL_MUSCLES_FRAC
    depth_mm, end_mm = u(4.0, 14.0), u(30.0, 50.0)
    least, most, gain = u(0.2, 0.6), u(0.7, 1.0), u(0.7, 1.05)
    mottle = smooth_noise(rng, shape, u(3.0, 8.0) / PIXEL_MM)
    for pair in (fields_mm[p] for p in PAIR):
        in_front = 4.0 * (0.4 - facing(pair, x_mm, y_mm, 0.0, 1.0))  # negative where the outline faces forward
        if has_small_muscles:
            region = _all(pair - depth_mm, lateral - end_mm, 8.0 - lateral, in_front)
            opacity = np.clip(0.5 - region / edge_mm, 0.0, 1.0) * np.clip(
                least + (most - least) * (0.5 + mottle), 0.0, 1.0
            )
            layers.append((opacity.astype(np.float32), Paint.OTHER_MUSCLE, gain))
        if u() < PROCESS_FRAC:
            gap, thick, medial, length = u(0.0, 2.0), u(2.5, 7.0), u(14.0, 22.0), u(12.0, 30.0)
            bone = _all(gap - pair, pair - gap - thick, medial - lateral, lateral - medial - length, in_front)
            layers += _bone(bone, u(0.8, 2.0), edge_mm, u(0.5, 1.1))
        if u() < LAMINA_FRAC:
            gap, thick = u(-0.5, 1.5), u(2.0, 5.0)
            bone = _all(gap - pair, pair - gap - thick, lateral - MIDLINE_MM, in_front)
            layers += _bone(bone, u(0.8, 2.0), edge_mm, u(0.4, 1.1))
    return layers


def middle_fascia(rng: np.random.Generator, fields_mm: Field, side: int) -> Sheet:
    """Draw the thin layer between quadratus and erector; it fades along its way."""
    quadratus, pair = fields_mm[QUADRATUS[side]], fields_mm[PAIR[side]]
    shape = (pair.shape[0], pair.shape[1])
    along = np.clip(rng.uniform(-0.2, 1.4) + 0.5 * smooth_noise(rng, shape, 8.0), 0.0, 1.0)
    thickness = rng.uniform(0.1, 1.2) * along
    paint = Paint.VISCERAL_FAT if rng.uniform() < 0.5 else Paint.FASCIA
    within = (quadratus < 4.0) & (pair < 4.0)
    return Sheet(0.5 * (pair - quadratus), thickness.astype(np.float32), paint, within)


def _all(*distances: npt.NDArray[np.floating]) -> Field:
    """Distance to where all of several shapes overlap."""
    return np.asarray(np.maximum.reduce(distances), dtype=np.float32)


def _bone(distance: Field, shell_mm: float, edge_mm: float, gain: float) -> list[Layer]:
    shell, marrow = (np.clip(0.5 - d / edge_mm, 0.0, 1.0).astype(np.float32) for d in (distance, distance + shell_mm))
    return [(shell, Paint.CORTICAL_BONE, 1.0), (marrow, Paint.MARROW, gain)]
