"""Paint one sagittal slice of a synthetic spine, back to front: what is painted later covers what was there.

Intensities and classes come from the same signed distances, so the classes are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paraspinal.models.input.spine_input import Field
from paraspinal.models.synthesis.spine.anatomy import Region
from paraspinal.models.synthesis.spine.scene import Scene, Slice, Tissue
from paraspinal.vertebrae.answer import SpineClass

EDGE_MM = 2.0
"""Width over which two tissues blend: one pixel of the 2 mm grid."""


def soft(sdf: NDArray[Any], edge_mm: float = EDGE_MM) -> Field:
    """Coverage of a shape from its signed distance (negative inside)."""
    cover: Field = np.clip(0.5 - sdf / edge_mm, 0.0, 1.0).astype(np.float32)
    return cover


def _ellipse(x: NDArray[Any], y: NDArray[Any], rx: float, ry: float) -> NDArray[Any]:
    """Roughly the signed distance to an ellipse around the origin."""
    distance = (np.sqrt((x / rx) ** 2 + (y / ry) ** 2) - 1.0) * min(rx, ry)
    return np.asarray(distance)


def _body_sdf(scene: Scene, k: NDArray[np.int64], a: Field, h: Field, lateral: Field) -> Field:
    """Signed distance to the body of unit k; kidney-shaped in cross-section, hollow end-plates, waist and lips."""
    chain = scene.chain
    half = (chain.height_mm / 2)[k]
    slope = np.tan(chain.wedge_rad / 2)[k]
    bottom, top = chain.depth_bottom_mm[k], chain.depth_top_mm[k]
    depth = (bottom + top) / 2 + (top - bottom) * np.clip(h / (2 * half), -0.6, 0.6)
    rise = np.clip(h / half, -1.2, 1.2)
    sacral = chain.region[k] <= Region.SACRUM
    waist = np.where(sacral, 0.3, scene.waist) * (1 - rise**2)
    xi = np.abs(lateral) / (chain.half_width_mm[k] - 0.8 * waist)
    inside = np.clip(xi, 0, 1)
    front = -depth + waist - scene.lip[k] * np.exp(-(((1 - np.abs(rise)) * half / 3) ** 2)) * ~sacral
    front = front + depth * 0.5 * (1 - np.sqrt(1 - inside**2.4))
    back = 0.35 * waist - depth * 0.5 * inside**6
    hollow = chain.concavity_mm[k] * np.clip(1 - ((a + depth / 2) / (depth / 2)) ** 2, 0, 1)
    shoulder = np.where(sacral, 0.5 * np.clip(np.abs(lateral) - 24, 0, None), 0)
    upper = half - slope * a - hollow - shoulder
    lower = -half + slope * a + hollow
    dx = np.abs(a - (front - back) / 2) - (-front - back) / 2
    dy = np.abs(h - (upper + lower) / 2) - (upper - lower) / 2
    radius = np.minimum(1.5, half / 3)
    outside = np.hypot(np.clip(dx + radius, 0, None), np.clip(dy + radius, 0, None))
    sdf = outside + np.minimum(np.maximum(dx, dy) + radius, 0) - radius
    distance: Field = np.maximum(sdf, (xi - 1) * chain.half_width_mm[k]).astype(np.float32)
    return distance


@dataclass
class Canvas:
    """Intensities and classes of one slice under construction."""

    image: Field
    classes: NDArray[np.int64]
    value: Field

    def paint(self, cover: Field, tissue: Tissue | NDArray[np.int64], factor: Field | float = 1.0) -> None:
        """Blend a tissue in by its coverage."""
        self.image += cover * (self.value[tissue] * factor - self.image)


def paint(scene: Scene, cut: Slice, lateral_mm: Field, value: Field, noise: NDArray[np.float32]) -> Canvas:
    """Paint the slice whose pixels lie `lateral_mm` (N,) from the midline of the room.

    `value` holds one intensity per `Tissue`; `noise` (3, N) are smooth random fields of unit variance (fine,
    middle, coarse) shared by all tissues.
    """
    lateral = (lateral_mm - cut.sway).astype(np.float32)
    count = len(cut.y)
    canvas = Canvas(np.full(count, value[Tissue.VISCERAL], np.float32), np.zeros(count, np.int64), value)
    canvas.image *= 1 + 0.25 * noise[1]
    for y, z, x, ry, rz, rx, tilt, tissue in scene.blobs:
        size = 1 - float(((np.mean(lateral_mm) - x) / rx) ** 2)
        if size > 0:
            c, sn = np.cos(tilt), np.sin(tilt)
            dy, dz = cut.y - y, cut.z - z
            ring = _ellipse(dy * c + dz * sn + 2 * noise[1], dz * c - dy * sn, ry * size**0.5, rz * size**0.5)
            canvas.paint(soft(ring, 3), Tissue(int(tissue)), 1 + 0.12 * noise[0])
    _paint_soft_tissue(scene, cut, lateral, canvas, noise)
    _paint_posterior_elements(scene, cut, lateral, canvas, noise)
    _paint_canal(scene, cut, lateral, canvas, noise)
    _paint_column(scene, cut, lateral, canvas, noise)
    _paint_surface(scene, cut, canvas, noise)
    return canvas


def _paint_soft_tissue(scene: Scene, cut: Slice, lateral: Field, canvas: Canvas, noise: Field) -> None:
    chain, s, v, side = scene.chain, cut.s, cut.v, np.abs(lateral)
    k = cut.unit()
    depth = (chain.depth_top_mm + chain.depth_bottom_mm)[k] / 2
    for x, gap, radius, low in scene.vessel:
        size = np.clip(1 - ((lateral - x) / radius) ** 2, 0.0, None) ** 0.5 * radius
        tube = np.abs(v + depth + gap + radius) - size + np.clip(low - s, 0, None)
        canvas.paint(soft(tube), Tissue.VESSEL, 1 + 0.1 * noise[1])
    # Psoas: beside the bodies, growing caudally, leaving the column below the last disc.
    low = float(chain.unit_s_mm[chain.first_sacral])
    along = np.clip((s - low + 30) / 170, 0, 1)
    size = scene.psoas * 26 * np.sqrt(np.clip(1 - along, 0, 1)) * np.clip((s - low + 80) / 80, 0, 1)
    size = size * np.sqrt(np.clip(1 - ((side - 38) / 24) ** 2, 0, None))
    canvas.paint(
        soft(np.abs(v + 18 + 0.25 * np.clip(low + 60 - s, 0, None)) - size), Tissue.MUSCLE, 1 + 0.12 * noise[1]
    )
    rim = np.maximum(np.abs(v + depth / 2) - depth / 2 - 5, side - 30)
    canvas.paint(soft(rim, 4) * 0.7, Tissue.VISCERAL, 1 + 0.15 * noise[1])
    # Everything behind the column is muscle with fat streaks, in the midline ligament and fat.
    canvas.paint(soft(-v + 2), Tissue.MUSCLE, 1 + 0.1 * noise[0])
    streak = np.clip((0.6 * noise[0] + 0.8 * noise[1]) - 0.6, 0, 1) * scene.streaks
    canvas.paint((soft(-v + 12) * streak).astype(np.float32), Tissue.FAT)
    middle = soft(side - 5, 5) * soft(-v + 14)
    canvas.paint(middle, Tissue.LIGAMENT, 1 + 0.3 * noise[1])
    canvas.paint((middle * np.clip(noise[1] * 0.8, 0, 1)).astype(np.float32), Tissue.FAT)


def _paint_posterior_elements(scene: Scene, cut: Slice, lateral: Field, canvas: Canvas, noise: Field) -> None:
    chain, side, depth = scene.chain, np.abs(lateral), scene.canal_depth
    size = scene.posterior_bone_scale
    texture = 1 + 0.15 * noise[0]

    def bone(sdf: Field, region: NDArray[np.bool_]) -> None:
        canvas.paint(soft(sdf - scene.cortex_mm) * region, Tissue.CORTEX)
        canvas.paint(soft(sdf + scene.cortex_mm) * region, Tissue.POSTERIOR_BONE, texture)

    k = cut.unit()
    a, h = cut.local(k)
    real = chain.region[k] >= Region.LUMBAR
    # Foramen: fat with a nerve root below the pedicle.
    window = np.maximum(_ellipse(a - 6, h + 0.42 * chain.height_mm[k], 7, 11), np.abs(side - 17) - 7)
    canvas.paint(soft(window, 3) * real, Tissue.EPIDURAL_FAT)
    root = np.maximum(_ellipse(a - 5, h + 0.28 * chain.height_mm[k], 3.2, 3.2), np.abs(side - 17) - 7)
    canvas.paint(soft(root) * real, Tissue.NERVE)
    pedicle = np.maximum(
        np.maximum(
            np.abs(h - 0.2 * chain.height_mm[k]) - 0.26 * chain.height_mm[k], np.abs(a - depth / 2) - depth / 2 - 3
        ),
        np.abs(side - 0.68 * chain.half_width_mm[k]) - 4.5 * size,
    )
    bone(pedicle, real)
    # Articular pillars: the superior process of each unit reaches the disc above, the inferior one the disc below.
    for shift, rise, behind, half_h, tilt in ((-11.0, 0.5, 1.0, 11.0, 0.25), (9.0, -0.25, 8.0, 16.0, 0.2)):
        k = cut.unit(shift)
        a, h = cut.local(k)
        hh = h - rise * chain.height_mm[k]
        pillar = np.maximum(
            _ellipse(a - depth - behind - tilt * hh, hh, 5.5 * size, half_h * size),
            np.abs(side - 0.66 * chain.half_width_mm[k]) - 9,
        )
        bone(pillar, chain.region[k] >= Region.LUMBAR)
    k = cut.unit(10)
    a, h = cut.local(k)
    lamina = np.maximum(_ellipse(a - depth - 4 + 0.25 * (h + 6), h + 6, 4.0 * size, 11 * size), np.abs(side - 9) - 7)
    bone(lamina, chain.region[k] >= Region.LUMBAR)
    # Spinous processes hang down more in the thorax; on the sacrum they are a low crest.
    thoracic = chain.region == Region.THORACIC
    k = cut.unit(14)
    a, h = cut.local(k)
    lean = np.where(thoracic, 0.75, 0.22)[k]
    reach = np.where(chain.region >= Region.LUMBAR, scene.spinous_reach, 9.0)[k]
    tall = np.where(thoracic, 5.5, np.where(chain.region == Region.LUMBAR, 9.5, 7))[k] * size
    hh = h + 0.28 * chain.height_mm[k] + lean * (a - depth)
    spinous = np.maximum(np.maximum(np.abs(hh) - tall, np.abs(a - depth - 3 - reach / 2) - reach / 2), side - 4.5)
    bone(spinous, chain.region[k] >= Region.SACRUM)


def _canal_extent(scene: Scene, cut: Slice) -> tuple[Field, Field]:
    """Distance of the dural sac behind the posterior walls, and its depth in the midline; tapering into the sacrum."""
    chain = scene.chain
    s1 = chain.unit_s_mm[chain.first_sacral]
    below = np.clip((s1 + 15 - cut.s) / 75, 0, 1)
    front = 1.0 + scene.epidural_gap * np.clip(1 - np.abs(cut.s - s1 - 10) / 55, 0, 1)
    depth = scene.canal_depth * (1 - below) ** 0.8 * (1 - 0.25 * np.clip((s1 + 60 - cut.s) / 90, 0, 1))
    return front.astype(np.float32), depth.astype(np.float32)


def _paint_canal(scene: Scene, cut: Slice, lateral: Field, canvas: Canvas, noise: Field) -> None:
    front, depth = _canal_extent(scene, cut)
    v = cut.v
    width = scene.canal_half_width
    round_ = np.sqrt(np.clip(1 - (lateral / width) ** 2, 0, 1))
    inside_lateral = np.abs(lateral) - width
    bony = np.maximum(np.abs(v - (front + depth) / 2 - 1) - (front + depth) / 2 - 2, inside_lateral - 2)
    deep = (depth > 1.0) | (v < 4)
    canvas.paint(soft(bony) * deep, Tissue.EPIDURAL_FAT, 1 + 0.2 * noise[1])
    middle = front + depth / 2
    sac = np.maximum(np.abs(v - middle) - depth / 2 * round_, inside_lateral).astype(np.float32)
    sac = np.where(depth < 2.0, np.float32(5), sac)
    cover = soft(sac)
    canvas.paint(cover, Tissue.CSF, 1 + 0.05 * noise[1])
    canvas.classes[sac < 0] = SpineClass.CANAL
    roots = np.clip((v - middle) / (depth / 2 + 1) + 0.5, 0, 1) * (0.7 + 0.5 * noise[0])
    canvas.paint((cover * np.clip(roots, 0, 1) * scene.cauda_amount).astype(np.float32), Tissue.CAUDA)
    taper = np.clip((cut.s - scene.conus_s) / 25, 0, 1) ** 0.5
    cord = np.abs(v - middle) - 4.3 * taper * np.sqrt(np.clip(1 - (lateral / 5.5) ** 2, 0, 1))
    canvas.paint(soft(cord.astype(np.float32)) * (cut.s > scene.conus_s) * (np.abs(lateral) < 5.5), Tissue.CORD)


def _paint_column(scene: Scene, cut: Slice, lateral: Field, canvas: Canvas, noise: Field) -> None:
    """Paint discs first, bodies over them: a disc is what lies between two end-plates, bulging a little."""
    chain = scene.chain
    k = cut.unit()
    a, h = cut.local(k)
    below = np.clip(np.where(h > 0, k, k - 1), 0, len(chain.region) - 2)
    rise = cut.s - chain.boundary_s_mm[below]
    depth = (chain.depth_top_mm[below] + chain.depth_bottom_mm[below + 1]) / 2
    gap = chain.disc_mm[below] + np.tan(chain.disc_wedge_rad[below]) * np.clip(-cut.v, 0, depth)
    wide = np.minimum(chain.half_width_mm[below], chain.half_width_mm[below + 1])
    inside = np.clip(np.abs(lateral) / wide, 0, 1)
    bulge = scene.disc_bulge[below] * np.clip(1 - (rise / (gap / 2 + 1.5)) ** 2, 0, 1) * (chain.disc_mm[below] > 3)
    front = -depth + depth * 0.5 * (1 - np.sqrt(1 - inside**2.4)) - 0.7 * bulge
    back = bulge - depth * 0.5 * inside**6
    disc = np.maximum(np.abs(cut.v - (front + back) / 2) - (back - front) / 2, np.abs(rise) - gap / 2 - 6)
    disc = np.maximum(disc, np.abs(lateral) - wide).astype(np.float32)
    body = _body_sdf(scene, k, a, h, lateral)
    # Between sacral segments the disc is a remnant in fused bone.
    is_remnant = chain.region[below + 1] <= Region.SACRUM
    canvas.paint(soft(disc) * is_remnant, Tissue.SACRAL_MARROW)
    shrink = np.where(is_remnant, (1 - scene.remnant_share) * (back - front) / 2, 0)
    cover = soft(disc + shrink)
    canvas.paint(cover, Tissue.ANNULUS, 1 + 0.1 * noise[0])
    along = (cut.v - (front + back) / 2) / ((back - front) / 2 + 0.1)
    nucleus = np.clip(1.25 - np.hypot(along / 0.72, np.abs(lateral) / (0.75 * wide)), 0, 0.5) * 2
    cleft = 1 - scene.nucleus_cleft * np.exp(-((rise / 1.3) ** 2))
    cover = cover * nucleus * scene.nucleus_amount[below] * cleft
    canvas.paint(cover.astype(np.float32), Tissue.NUCLEUS)
    canvas.classes[disc < 0] = np.where(is_remnant, SpineClass.SACRUM, SpineClass.DISC)[disc < 0]
    sacral = chain.region[k] <= Region.SACRUM
    factor = (1 + 0.12 * noise[0] + 0.1 * noise[1]).astype(np.float32)
    for unit, fa, fh, radius, change in scene.marrow_spots:
        spot = _ellipse(a - fa * chain.depth_top_mm[int(unit)], h - fh * chain.height_mm[int(unit)], radius, radius)
        factor *= 1 + (change - 1) * soft(spot, 4) * (k == int(unit))
    vein = soft(_ellipse(a + 2, h, 7, 1.6)) * soft(np.abs(lateral) - 8, 6) * ~sacral
    factor *= 1 - 0.35 * vein
    # The dark line around marrow is cortex and, where fat meets water, chemical shift: half of it lies outside.
    canvas.paint(soft(body - 0.5 * scene.cortex_mm), Tissue.CORTEX)
    canvas.paint(soft(body + 0.6 * scene.cortex_mm), np.where(sacral, Tissue.SACRAL_MARROW, Tissue.MARROW), factor)
    bone = (body < 0) & (chain.region[k] != Region.COCCYX)
    canvas.classes[bone] = np.where(sacral, SpineClass.SACRUM, SpineClass.VERTEBRAL_BODY)[bone]
    coccyx = (body < 0) & (chain.region[k] == Region.COCCYX)
    canvas.classes[coccyx | ((canvas.classes == SpineClass.SACRUM) & (chain.region[k] == Region.COCCYX))] = 0
    # Sacral foramina: fat and a root beside the sacral bodies.
    hole = np.maximum(_ellipse(a + 2, np.abs(rise), 9, 5), np.abs(np.abs(lateral) - 18) - 5)
    hole = np.where(chain.region[below + 1] <= Region.SACRUM, hole, np.float32(9))
    canvas.paint(soft(hole), Tissue.EPIDURAL_FAT)
    canvas.paint(soft(hole + 3), Tissue.NERVE)


def _paint_surface(scene: Scene, cut: Slice, canvas: Canvas, noise: Field) -> None:
    """Paint the posterior fat and skin, the belly wall and the air around the body."""
    chain = scene.chain
    low, high = chain.unit_s_mm[chain.first_sacral], chain.unit_s_mm[chain.lumbar][-1]
    rise = np.clip((cut.s - low) / (high - low), -1.2, 2)
    thin = np.where(rise < 0.3, 1 - 0.75 * np.clip((0.3 - rise) / 1.2, 0, 1), 1 - 0.25 * np.clip(rise - 0.3, 0, 1.5))
    muscle_end = scene.muscle_depth * thin + 3
    fat_end = muscle_end + scene.fat_depth + scene.fat_bulge * np.exp(-((rise - 0.1) ** 2) / 0.3)
    canvas.paint(soft(muscle_end - cut.v - 1.5), Tissue.LIGAMENT)
    canvas.paint(soft(muscle_end - cut.v), Tissue.FAT, 1 + 0.06 * noise[1])
    canvas.paint(soft(fat_end - cut.v), Tissue.SKIN)
    canvas.paint(soft(fat_end - cut.v + 2.5), Tissue.AIR)
    belly = scene.belly_y + 8 * np.sin(cut.z / 90) + 3 * noise[2]
    canvas.paint(soft(cut.y - belly), Tissue.MUSCLE)
    canvas.paint(soft(cut.y - belly + scene.wall), Tissue.FAT, 1 + 0.06 * noise[1])
    canvas.paint(soft(cut.y - belly + scene.wall + scene.belly_fat), Tissue.SKIN)
    canvas.paint(soft(cut.y - belly + scene.wall + scene.belly_fat + 2.5), Tissue.AIR)
