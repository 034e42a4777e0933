"""Everything around the spine and its muscles: skin, fat, wall, organs, vessels, pelvis."""

from __future__ import annotations

import numpy as np

from paraspinal.phantom.parameters import AnatomyParameters
from paraspinal.phantom.shapes import Doubles, Floats, ZAxis, ZIndex, lookup, noise, profile, smoothstep, superellipse
from paraspinal.phantom.spine import LAST_LUMBAR
from paraspinal.phantom.tissue import Tissue

OUTLINE_EXPONENT = 2.35
BACK_WALL_EXPONENT = 1.5
"""The wall behind the flank runs straight to the edge of the erector spinae; fat fills the rest under the skin."""

SKIN_MM = 2.0
FASCIA_BEHIND_MM = 3.0
"""Fat between the fascia of the erector spinae and the inner outline of the trunk."""

_STATIONS = (-4.0, -2.0, 0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
_WIDTH = (0.93, 0.95, 0.96, 0.95, 0.97, 1.02, 1.07, 1.1, 1.12)
_BACK_FAT = (0.5, 0.55, 0.65, 0.85, 1.0, 1.2, 1.25, 1.2, 1.2)
_CENTRE_Y = (-8.0, -10.0, -12.0, -15.0, -15.0, -14.0, -10.0, -5.0, 0.0)
_FURROW_MM = (4.0, 6.0, 7.0, 7.0, 6.0, 4.0, 2.0, 4.0, 14.0)


class Body:
    """Soft tissue of the trunk outside the eight muscles and the column."""

    def __init__(
        self, p: AnatomyParameters, axis: ZAxis, level: Doubles, centre: tuple[Floats, Floats], back_y: Floats
    ) -> None:
        """Prepare tables; `back_y` is the posterior limit of the erector spinae in every row."""
        self.p = p
        self.size = p.vertebra_width_mm / 48.0
        rng = np.random.default_rng([p.seed, 23])
        self.loops = noise(rng, (75.0, 75.0, 80.0), 9)
        self.contents = noise(rng, (34.0, 34.0, 34.0), 7)
        self.layers = noise(rng, (90.0, 90.0, 90.0), 5)
        self.jitter = rng.normal(size=16) * min(p.deformation_mm / 2.0, 2.0)
        self.level = level.astype(np.float32)
        self.centre_x, self.centre_y = centre

        def at(values: tuple[float, ...]) -> Floats:
            return profile(_STATIONS, values, level)

        self.half_width = at(_WIDTH) * np.float32(p.body_half_width_mm)
        self.outline_y = at(_CENTRE_Y)
        self.back_fat = at(_BACK_FAT) * np.float32(p.subcutaneous_fat_mm)
        self.inner_back = back_y + np.float32(FASCIA_BEHIND_MM) - self.outline_y
        self.front = np.full(axis.n_rows, p.body_front_mm, dtype=np.float32) + self.outline_y
        self.furrow = at(_FURROW_MM)
        crest = LAST_LUMBAR - 0.3 - p.iliac_crest_offset_mm / 37.0
        # Levels fall as z rises: both are reversed for the interpolation.
        self.crest_z = float(np.interp(crest, level[::-1], axis.z_mm[::-1]))

    def __call__(self, x: Floats, y: Floats, z: Floats, at: ZIndex) -> np.ndarray:
        """Classify points (n,) given in soft-tissue coordinates."""
        p = self.p
        tissue = np.full(x.shape, Tissue.AIR, dtype=np.uint8)
        yb = lookup(self.outline_y, at)
        width, front = lookup(self.half_width, at), lookup(self.front, at)
        back_fat = lookup(self.back_fat, at)
        dy = y - yb
        is_back = dy > 0
        inner_back = lookup(self.inner_back, at)
        furrow = lookup(self.furrow, at) * np.exp(-((x / 13) ** 2)) * is_back
        depth = np.where(is_back, inner_back + back_fat - furrow, front)
        radius = np.hypot(x, dy)
        outer = superellipse(x / width, dy / depth, OUTLINE_EXPONENT)
        below_skin = (1 / np.maximum(outer, 1e-3) - 1) * radius
        lateral_fat = np.float32(p.subcutaneous_fat_mm * 0.9)
        front_fat = np.float32(p.subcutaneous_fat_mm * 1.05)
        inner_x, inner_y = x / (width - lateral_fat), dy / np.where(is_back, inner_back, front - front_fat)
        inner = np.where(
            is_back,
            superellipse(inner_x, inner_y, BACK_WALL_EXPONENT),
            superellipse(inner_x, inner_y, OUTLINE_EXPONENT),
        )
        wall_depth = (1 / np.maximum(inner, 1e-3) - 1) * radius
        tissue[outer < 1] = Tissue.SUBCUTANEOUS_FAT
        tissue[(outer < 1) & (below_skin < SKIN_MM)] = Tissue.SKIN
        inside = np.flatnonzero(inner < 1)
        if inside.size:
            tissue[inside] = self._inside(
                x[inside], y[inside], z[inside], wall_depth[inside], lookup(self.level, at)[inside],
                lookup(self.centre_x, at)[inside], lookup(self.centre_y, at)[inside],
            )  # fmt: skip
        pelvis = np.flatnonzero((z < self.crest_z + 4) & (outer < 1) & (below_skin > 8))
        if pelvis.size:
            tissue[pelvis] = self._pelvis(
                x[pelvis], y[pelvis], z[pelvis], below_skin[pelvis], lookup(self.centre_y, at)[pelvis], tissue[pelvis]
            )
        return tissue

    def _inside(
        self, x: Floats, y: Floats, z: Floats, depth: Floats, level: Floats, cx: Floats, cy: Floats
    ) -> np.ndarray:
        """Classify points inside the inner outline: wall, cavity, organs, vessels."""
        p, j = self.p, self.jitter
        tissue = np.full(x.shape, Tissue.VISCERAL_FAT, dtype=np.uint8)
        side = np.abs(x)
        # Wall: thick at the flank, thin in front, ending at the edge of the quadratus lumborum.
        flank = smoothstep(74.0, 92.0, side) * (y > -20) + (y <= -20)
        rectus = 0.5 + 0.5 * smoothstep(70.0, 100.0, side) + 0.25 * np.exp(-(((side - 38) / 22) ** 2)) * (y < 0)
        wavy = 1 + 0.12 * self.layers(x, y, z)
        wall = np.float32(p.abdominal_wall_mm) * flank * np.where(y < -30, rectus, 1.0) * wavy
        in_wall = depth < wall
        # Cavity: in front of the spine and psoas, inside the wall.
        floor = cy - 22 + 14 * smoothstep(55, 85, side) + 0.25 * side * (side < 90)
        cavity = ~in_wall & (depth > wall + 2.5) & (y < floor)
        share = np.float32(1.1 * (p.visceral_fat_frac - 0.42) * 2)
        loop = self.loops(x, y, z)
        tissue[cavity & (np.abs(loop) > share * 0.55)] = Tissue.BOWEL
        gas = cavity & (np.abs(loop) > share * 0.55 + 0.8) & (y < -45) & (self.contents(x, y, z) > 0.9)
        tissue[gas] = Tissue.BOWEL_GAS
        colon = np.hypot((side - 100 - j[0]) / 17, (y + 18 + j[1]) / 19) * (1 + 0.12 * self.contents(x, y, z))
        tissue[(colon < 1) & ~in_wall & (level > 0.5) & (level < 5)] = Tissue.BOWEL
        tissue[(colon < 0.45) & ~in_wall & (level > 0.5) & (level < 5)] = Tissue.BOWEL_GAS
        self._organs(tissue, x, y, level, ~in_wall)
        self._vessels(tissue, x - cx, y - cy, level)
        # Wall layers: three muscles with thin fat between them at the flank.
        tissue[in_wall] = Tissue.OTHER_MUSCLE
        third = depth / np.maximum(wall, 1)
        seam = (np.abs(third - 0.36) * wall < 0.7) | (np.abs(third - 0.7) * wall < 0.6)
        tissue[in_wall & seam & (side > 60)] = Tissue.FASCIA
        midline = in_wall & (side < 4 + 3 * (level < 2)) & (y < -30)
        tissue[midline] = Tissue.FASCIA
        rib_row = np.cos(2 * np.pi * (z + 0.55 * y) / 26)
        rib = (level < 0.9 - 0.012 * (y + 20)) & (depth > 2) & (depth < 10) & (rib_row > 0.45) & (y < 60) & (side > 55)
        tissue[rib] = Tissue.RIB
        return tissue

    def _organs(self, tissue: np.ndarray, x: Floats, y: Floats, level: Floats, free: np.ndarray) -> None:
        """Paint kidneys, liver and spleen; heights are level coordinates times 37 mm."""
        j = self.jitter
        z = -37.0 * level
        for sign, lift, k in ((1, 10.0, 2), (-1, -4.0, 5)):
            lean = 0.22 * (z + 20 - lift)
            u = x * sign - 63 - 3 * j[k] + lean
            v = y + 2 - 2 * j[k + 1] - 0.10 * lean
            w = z + 20 - lift - 5 * j[k + 2]
            # The kidney lies obliquely: its hilum faces forwards and inwards.
            a, b = 0.82 * u + 0.57 * v, -0.57 * u + 0.82 * v
            kidney = np.sqrt((a / 24) ** 2 + (b / 29) ** 2 + (w / 54) ** 2)
            perirenal = np.sqrt((a / 33) ** 2 + (b / 38) ** 2 + (w / 66) ** 2)
            tissue[free & (perirenal < 1)] = Tissue.VISCERAL_FAT
            tissue[free & (kidney < 1)] = Tissue.KIDNEY
            sinus = np.sqrt(((a + 11) / 14) ** 2 + ((b - 2) / 13) ** 2 + (w / 28) ** 2)
            tissue[free & (sinus < 1) & (kidney < 1)] = Tissue.RENAL_SINUS
        liver = np.sqrt(((x + 85) / 82) ** 2 + ((y + 35 + 3 * j[8]) / 82) ** 2 + ((z - 60 - 8 * j[9]) / 95) ** 2)
        outside_kidney = (tissue != Tissue.KIDNEY) & (tissue != Tissue.RENAL_SINUS)
        near_kidney = np.sqrt(((x + 62) / 36) ** 2 + ((y - 4) / 36) ** 2) < 1
        tissue[free & (liver < 1) & outside_kidney & ~near_kidney & (y < 45)] = Tissue.LIVER_OR_SPLEEN
        spleen = np.sqrt(((x - 108) / 26) ** 2 + ((y + 3) / 45) ** 2 + ((z - 70 - 6 * j[10]) / 55) ** 2)
        tissue[free & (spleen < 1)] = Tissue.LIVER_OR_SPLEEN

    def _vessels(self, tissue: np.ndarray, u: Floats, v: Floats, level: Floats) -> None:
        """Paint aorta and vena cava, and below L4 the iliac vessels along the psoas."""
        ahead = -self.p.vertebra_depth_mm / 2 - 11.5
        trunk = level < 3.15
        tissue[trunk & (np.hypot((u - 9) / 9.5, (v - ahead) / 9.5) < 1)] = Tissue.VESSEL
        cava = np.hypot((u + 17) / 12.5, (v - ahead - 3) / 8.5)
        tissue[(level < 3.5) & (cava < 1)] = Tissue.VESSEL
        down = np.clip(level - 3.1, 0, None)
        for sign in (1.0, -1.0):
            for first, back, size in ((7.0, 0.0, 6.0), (14.0, 9.0, 7.0)):
                x0, y0 = sign * (first + 17 * down), ahead + back - 5 * down - 16 * np.clip(down - 1.2, 0, None)
                iliac = np.hypot((u - x0) / size, (v - y0) / size)
                tissue[(level > 3.1) & (level < 8) & (iliac < 1)] = Tissue.VESSEL

    def _pelvis(
        self, x: Floats, y: Floats, z: Floats, below_skin: Floats, cy: Floats, tissue: np.ndarray
    ) -> np.ndarray:
        """Paint the iliac blades with iliacus inside and gluteal muscles outside."""
        side = np.abs(x) / self.size
        down = np.clip((self.crest_z - z) / 75.0, 0, 1.6)
        u, v = side - 12, y + 14
        reach = np.hypot(u, v)
        angle = np.rad2deg(np.arctan2(v, u))
        ring = 108 - 16 * down
        middle, spread = 24 + 6 * down, 46 * np.sqrt(np.clip(down, 0, 1))
        within = np.abs(angle - middle) < spread
        thick = 4.0 + 6.5 * smoothstep(35.0, 62.0, angle) + 2.0 * smoothstep(10.0, -15.0, angle)
        offset = reach - ring
        deep = below_skin > np.float32(self.p.subcutaneous_fat_mm * 0.75)
        outer = (offset > 0) & (offset < 34 * np.clip(down, 0, 1) ** 0.5) & deep & (angle > middle - 1.1 * spread)
        outer &= angle < middle + 0.9 * spread + 8 * down
        tissue[outer] = Tissue.OTHER_MUSCLE
        seam = outer & (np.abs(offset - 15 - 0.25 * (angle - 20)) < 0.8)
        tissue[seam] = Tissue.FASCIA
        belly = np.clip(1 - ((angle - middle + 8) / (spread + 1)) ** 2, 0, 1)
        inner = (offset < 0) & (offset > -(15 + 9 * down) * belly)
        tissue[inner & (angle < 45)] = Tissue.OTHER_MUSCLE
        blade = within & (np.abs(offset) < thick) & (down > 0)
        tissue[blade] = Tissue.CORTICAL_BONE
        tissue[blade & (np.abs(offset) < thick - 1.3) & (np.abs(angle - middle) < spread - 1.0)] = Tissue.ILIUM
        return tissue
