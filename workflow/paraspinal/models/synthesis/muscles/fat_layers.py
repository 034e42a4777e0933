"""Fat between lean muscle and what holds it: wedges where muscle has withdrawn from the bone, a layer at the midline.

Whether such fat counts as muscle is a matter of convention (Convention): people who outline lean muscle leave it out,
people who outline the compartment within the fascia count it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.core.imaging.slice_grid import PIXEL_MM
from paraspinal.models.input.muscle_input import Convention
from paraspinal.models.synthesis.augmentation import SEEDS
from paraspinal.models.synthesis.contrast import Paint
from paraspinal.models.synthesis.muscles.layout import ERECTOR, MULTIFIDUS, PAIR
from paraspinal.models.synthesis.textures import smooth_noise

Field = npt.NDArray[np.float32]

WITHDRAWN_HEIGHTS = (0.0, 0.4, 1.0)  # L5, L3/4 and L1
WITHDRAWN_FRAC = (0.45, 0.35, 0.2)  # people whose muscles have withdrawn at these heights
WITHDRAWN_MM = (1.0, 9.0)
WITHDRAWN_SHARE = (1.0, 0.85, 0.5)  # of that at these heights
MIDLINE_FRAC = 0.5  # people with a layer between multifidus and spinous process
MIDLINE_MM = (0.5, 3.5)
LIGAMENT_FRAC = 0.5  # of these layers are ligament, which is no muscle by either convention
LEAN_EDGE_MM = 0.6  # lean muscle is outlined this far within its visible edge: no pixel shared with fat is counted


@dataclass(frozen=True)
class Wedge:
    """Lean muscle withdrawn by up to ``reach_mm`` (left, right), most where its outline faces ``angle_deg``.

    The angle runs from medial (0) to deep (90); ``erector_share`` is how much of it the erector withdraws,
    ``sharpness`` how quickly it falls off with the angle.
    """

    reach_mm: tuple[float, float]
    angle_deg: float
    erector_share: float
    sharpness: float
    opacity: float
    seed: int


@dataclass(frozen=True)
class MidlineLayer:
    """A layer (left, right) beside the spinous process; ``deep`` of it also faces the lamina."""

    thickness_mm: tuple[float, float]
    deep: float
    is_ligament: bool


@dataclass(frozen=True)
class FatLayers:
    """The layers of one person; None where there is none."""

    wedge: Wedge | None
    midline: MidlineLayer | None


def draw_fat_layers(rng: np.random.Generator, height: float) -> FatLayers:
    """Draw the layers of one person about whom a slice at ``height`` is shown."""
    wedge = midline = None
    if rng.uniform() < np.interp(height, WITHDRAWN_HEIGHTS, WITHDRAWN_FRAC):
        most = float(rng.uniform(*WITHDRAWN_MM) * np.interp(height, WITHDRAWN_HEIGHTS, WITHDRAWN_SHARE))
        left, right = (float(most * np.exp(v)) for v in rng.normal(0, 0.25, 2))
        angle, share = float(rng.uniform(15, 80)), float(rng.uniform(0.0, 0.8))
        opacity = float(rng.uniform(0.8, 1.0))
        wedge = Wedge((left, right), angle, share, float(rng.uniform(0.5, 1.5)), opacity, int(rng.integers(SEEDS)))
    if rng.uniform() < MIDLINE_FRAC:
        most = float(rng.uniform(*MIDLINE_MM))
        left, right = (float(most * np.exp(v)) for v in rng.normal(0, 0.3, 2))
        midline = MidlineLayer((left, right), float(rng.uniform(0.0, 0.5)), bool(rng.uniform() < LIGAMENT_FRAC))
    return FatLayers(wedge, midline)


@dataclass(frozen=True)
class LayeredMuscles:
    """Muscles and pairs (10, H, W) as they are outlined, and what is painted over them: distance, tissue, opacity."""

    outlined_mm: Field
    layers: list[tuple[Field, Paint, float]]


def apply_fat_layers(
    draw: FatLayers, fields_mm: Field, x_mm: Field, y_mm: Field, convention: Convention
) -> LayeredMuscles:
    """Take off muscles and pairs (10, H, W) what the convention does not count, and tell what to paint."""
    is_lean = convention is Convention.LEAN
    outlined = fields_mm + np.float32(LEAN_EDGE_MM if is_lean else 0.0)
    layers: list[tuple[Field, Paint, float]] = []
    for side, (m, e, p) in enumerate(zip(MULTIFIDUS, ERECTOR, PAIR, strict=True)):
        multifidus, erector, pair = fields_mm[m], fields_mm[e], fields_mm[p]
        if draw.midline:
            reach = draw.midline.thickness_mm[side] * facing(multifidus, x_mm, y_mm, 1.0, draw.midline.deep)
            reach = np.where(multifidus < erector, reach, 0.0).astype(np.float32)
            paint = Paint.FASCIA if draw.midline.is_ligament else Paint.VISCERAL_FAT
            layers.append((_shell(pair, reach), paint, 1.0))
            if is_lean or draw.midline.is_ligament:
                outlined[p] = np.maximum(outlined[p], pair + reach)
        if draw.wedge:
            reach = _wedge_reach(draw.wedge, side, fields_mm, x_mm, y_mm)
            layers.append((_shell(pair, reach), Paint.VISCERAL_FAT, draw.wedge.opacity))
            if is_lean:
                outlined[p] = np.maximum(outlined[p], pair + reach)
        border = 0.5 * (multifidus - erector)  # stays: only the outline of the pair is another
        outlined[m], outlined[e] = np.maximum(outlined[p], border), np.maximum(outlined[p], -border)
    return LayeredMuscles(outlined, layers)


def _shell(outline: Field, reach: Field) -> Field:
    """Distance to what lies within ``reach`` of an outline, on its inner side, and just outside it."""
    return np.asarray(np.maximum(outline - 1.0, -(outline + reach)), dtype=np.float32)


def _wedge_reach(wedge: Wedge, side: int, fields: Field, x_mm: Field, y_mm: Field) -> Field:
    multifidus, erector, pair = (fields[k[side]] for k in (MULTIFIDUS, ERECTOR, PAIR))
    in_multifidus = ndimage.gaussian_filter(np.where(multifidus < erector, 1.0, wedge.erector_share), 1.5)
    angle = np.deg2rad(wedge.angle_deg)
    towards = facing(pair, x_mm, y_mm, float(np.cos(angle)), float(np.sin(angle))) ** wedge.sharpness
    noise = smooth_noise(np.random.default_rng([wedge.seed, side]), (x_mm.shape[0], x_mm.shape[1]), 12.0 / PIXEL_MM)
    reach = wedge.reach_mm[side] * towards * in_multifidus * np.clip(1.0 + 0.3 * noise, 0.0, 2.0)
    return np.asarray(reach, dtype=np.float32)


def facing(distance: Field, x_mm: Field, y_mm: Field, medial: float, deep: float) -> Field:
    """How far (0..1) the nearest outline of ``distance`` faces a mixture of medial and deep."""
    outwards, lateral, back = (_unit(field) for field in (ndimage.gaussian_filter(distance, 1.5), np.abs(x_mm), y_mm))
    cosine = -(outwards * (medial * lateral + deep * back)).sum(axis=0) / np.hypot(medial, deep)
    return np.asarray(ndimage.gaussian_filter(np.clip(cosine, 0.0, 1.0), 1.0), dtype=np.float32)


def _unit(field: Field) -> npt.NDArray[np.floating]:
    """Direction (2, H, W) in which a field rises, of length 1."""
    rows, columns = np.gradient(field)
    gradient = np.stack([rows, columns])
    return np.asarray(gradient / (np.linalg.norm(gradient, axis=0) + 1e-6))
