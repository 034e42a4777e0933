"""Paints the surroundings of atlas muscles: a plausible abdomen, layer over layer with soft edges.

Coordinates are mm in the slice: x to the patient's left from the midline, y posterior from the
multifidus. Every layer is a signed distance (negative inside) and a tissue; later layers cover earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from paraspinal.models.synthesis.contrast import Image, Paint, Values
from paraspinal.models.synthesis.ingredients import ALL_INGREDIENTS, Ingredient, Ingredients
from paraspinal.models.synthesis.muscles.deep_border import deep_layers, middle_fascia
from paraspinal.models.synthesis.muscles.fat_layers import LayeredMuscles
from paraspinal.models.synthesis.muscles.layout import ERECTOR, MULTIFIDUS, N_MUSCLES, PAIR, PSOAS, QUADRATUS
from paraspinal.models.synthesis.muscles.septa import Sheet, inner_septa, septum
from paraspinal.models.synthesis.muscles.shares import class_shares
from paraspinal.models.synthesis.textures import streaks

Field = npt.NDArray[np.float32]

EDGE_MM = 2.0  # width of a soft edge: one pixel of partial volume
SEVERE_FAT_FRAC = 0.12  # people whose muscles are mostly fat
FAT_SHARES = {MULTIFIDUS: 1.0, ERECTOR: 0.8, PSOAS: 0.35, QUADRATUS: 0.5}
"""Fat of a muscle relative to multifidus, in the mean."""
BACK = [*MULTIFIDUS, *ERECTOR]
ARM_FRAC = 0.12  # sides with an arm in view
SHARED_STREAKS = 0.6  # of the variance of the fat inside a muscle, what slices of one person have in common


@dataclass(frozen=True)
class PaintedScene:
    """Layers to be composited in order, the share of every pixel each class fills, and the fat inside the muscles."""

    shares: Field
    layers: list[tuple[Field, Paint, float]]  # opacity, tissue, gain
    fat_frac: Field
    depth_mm: Field

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """Class (H, W) that fills most of each pixel."""
        return np.asarray(self.shares.argmax(axis=0))

    def render(self, values: Values) -> Image:
        """Composite the layers with one intensity per tissue."""
        image = np.full(self.fat_frac.shape, values[Paint.AIR], dtype=np.float32)
        lean, fat = values[Paint.MUSCLE], values[Paint.SUBCUTANEOUS_FAT]
        muscle = lean + self.fat_frac * (fat - lean)
        for opacity, paint, gain in self.layers:
            colour = muscle if paint is Paint.MUSCLE else values[paint] * np.float32(gain)
            image += opacity * (colour - image)
        return image


class Painter:
    """Paints one slice around muscles and pairs given as signed distances (10, H, W).

    Everything random follows from ``seed``, part by part, so slices of one person at other heights look alike.
    ``muscles`` are the muscles as they are outlined and what lies over them; by default as they are, and nothing.
    """

    def __init__(
        self,
        seed: int,
        x_mm: Field,
        y_mm: Field,
        fields_mm: Field,
        height: float,
        use: Ingredients = ALL_INGREDIENTS,
        muscles: LayeredMuscles | None = None,
    ) -> None:
        self.seed, self.x, self.y, self.height, self.use = seed, x_mm, y_mm, height, use
        self.fields, self.layered = fields_mm, muscles or LayeredMuscles(fields_mm, [])
        self.muscles = distances_mm = fields_mm[:N_MUSCLES]
        self.rng = rng = np.random.default_rng([seed, 0])
        self.layers: list[tuple[Field, Paint, float]] = []
        self.inside = distances_mm < 0
        psoas = self.inside[list(PSOAS)].any(axis=0)
        erector = self.inside[BACK].any(axis=0)
        self.back_mm = float(y_mm[erector].max()) if erector.any() else 30.0
        self.front_mm = float(y_mm[erector].min()) if erector.any() else -20.0
        self.psoas_y_mm = float(y_mm[psoas].mean()) if psoas.any() else self.front_mm - 25.0
        self.psoas_gap_mm = float(np.percentile(np.abs(x_mm[psoas]), 3)) if psoas.any() else 24.0
        self.fat_mm = float(np.clip(rng.lognormal(2.6, 0.6), 3.0, 50.0))
        self.narrow = self._noise_warp()

    def _noise_warp(self) -> Field:
        """Slow wobble in mm that keeps outlines from being perfect ellipses."""
        phase = self.rng.uniform(0, 2 * np.pi, 4)
        angle = np.arctan2(self.y, self.x)
        wobble = sum(self.rng.normal(0, 2.5 / k) * np.cos(k * angle + phase[k - 2]) for k in (2, 3, 4, 5))
        return np.asarray(wobble, dtype=np.float32)

    def paint(self) -> PaintedScene:
        """Paint everything and return the scene."""
        has_pelvis = self.height < 0.35 + self.rng.normal(0, 0.08)
        parts: list[tuple[Callable[[], None], bool]] = [
            (self._body, True),
            (self._cavity, True),
            (self._organs, True),
            (self._arms, Ingredient.BYSTANDERS in self.use),
            (self._ribs, Ingredient.BYSTANDERS in self.use),
            (self._back_compartment, True),
            (self._pelvis, has_pelvis),
            (self._spine, True),
            (self._deep_border, Ingredient.DEEP_BORDER in self.use),
            (self._muscles, True),
            (self._fat_layers, True),
            (self._fascia, True),
            (self._septa, Ingredient.SEPTA in self.use),
            (self._depth, True),
        ]
        self.parting: list[Sheet] = []
        for number, (part, is_used) in enumerate(parts, start=1):
            self.rng = np.random.default_rng([self.seed, number])
            if is_used:
                part()
        shares = class_shares(self.layered.outlined_mm, self.parting)
        return PaintedScene(shares, self.layers, self.fat_frac, self.depth_mm)

    def _add(
        self, distance: npt.NDArray[np.floating], paint: Paint, gain: float = 1.0, edge_mm: float = EDGE_MM
    ) -> None:
        opacity = np.clip(0.5 - distance / edge_mm, 0.0, 1.0).astype(np.float32)
        self.layers.append((opacity, paint, gain))

    def _ellipse(self, x: float, y: float, rx: float, ry: float, power: float = 2.0, angle_deg: float = 0.0) -> Field:
        """Approximate signed distance to a superellipse."""
        dx, dy = self.x - np.float32(x), self.y - np.float32(y)
        if angle_deg:
            c, s = np.float32(np.cos(np.deg2rad(angle_deg))), np.float32(np.sin(np.deg2rad(angle_deg)))
            dx, dy = c * dx + s * dy, c * dy - s * dx
        if power == 2.0:
            radius = np.sqrt((dx / rx) ** 2 + (dy / ry) ** 2)
        else:
            radius = (np.abs(dx / rx) ** power + np.abs(dy / ry) ** power) ** (1.0 / power)
        return ((radius - 1.0) * min(rx, ry)).astype(np.float32)

    def _body(self) -> None:
        u = self.rng.uniform
        self.half_depth = u(75, 125) + 0.5 * self.fat_mm
        self.half_width = self.half_depth * u(1.25, 1.65)
        self.centre_y = self.back_mm + u(1.0, 4.0) + self.fat_mm - self.half_depth
        power = u(2.0, 3.0)
        outline = self._ellipse(0, self.centre_y, self.half_width, self.half_depth, power) + self.narrow
        furrow_mm = u(0, 0.35) * min(self.fat_mm, 25.0)  # the midline groove of the back
        outline = outline + furrow_mm * np.exp(-((self.x / u(10, 22)) ** 2)) * (self.y > self.centre_y)
        self.outline = outline.astype(np.float32)
        self._add(self.outline, Paint.SKIN)
        self._add(self.outline + u(1.5, 3.5), Paint.SUBCUTANEOUS_FAT)

    def _cavity(self) -> None:
        u = self.rng.uniform
        side_fat = self.fat_mm * u(0.5, 1.1)
        front_fat = self.fat_mm * u(0.5, 1.5)
        ry = self.half_depth - 0.5 * (front_fat + self.fat_mm)
        cy = self.centre_y + 0.5 * (front_fat - self.fat_mm)
        rx = self.half_width - side_fat
        self.wall = (0.0, cy, rx, max(ry, 40.0))
        wall = self._ellipse(*self.wall, u(2.0, 2.6)) + self.narrow
        thick = u(9, 24)
        self._add(wall, Paint.OTHER_MUSCLE)
        for depth in (thick * u(0.25, 0.4), thick * u(0.6, 0.75)):  # fat between the three wall layers
            if u() < 0.7:
                self._add(np.abs(wall + depth) - u(0.2, 0.9), Paint.VISCERAL_FAT)
        self.cavity = wall + thick
        self._add(self.cavity, Paint.VISCERAL_FAT)

    def _organs(self) -> None:
        u, rng = self.rng.uniform, self.rng
        front = self.centre_y - self.half_depth
        for _ in range(int(rng.integers(5, 16))):
            x, y = u(-0.8, 0.8) * self.half_width, u(front + 20, self.psoas_y_mm + 5)
            r = u(7, 26)
            loop = np.maximum(self._ellipse(x, y, r, r * u(0.5, 1.0), 2.0, u(0, 180)), self.cavity + 1.0)
            self._add(loop, Paint.BOWEL, u(0.6, 1.5))
            inner = float(u(2.0, 5.0))
            if u() < 0.35:
                self._add(loop + inner, Paint.GAS if u() < 0.5 else Paint.BOWEL, u(0.4, 1.6))
        if self.height > 0.45 and u() < 0.7:  # liver and spleen
            for side in (-1, 1):
                if u() < 0.6:
                    organ = self._ellipse(
                        side * self.half_width * 0.75, self.psoas_y_mm - u(0, 50), u(30, 60), u(30, 70)
                    )
                    self._add(np.maximum(organ, self.cavity + 1.0), Paint.LIVER, u(0.8, 1.2))
        for side in (-1, 1):
            if self.height > u(0.2, 0.7):
                x, y = side * u(52, 75), self.psoas_y_mm + u(-22, 8)
                kidney = np.maximum(self._ellipse(x, y, u(16, 28), u(20, 32), 2.0, side * u(10, 60)), self.cavity + 1.0)
                self._add(kidney, Paint.KIDNEY, u(0.85, 1.1))
                self._add(kidney + u(6, 12), Paint.KIDNEY, u(0.6, 1.3), 4.0)
                self._add(kidney + u(11, 16), Paint.VISCERAL_FAT, 1.0, 4.0)

    def _back_compartment(self) -> None:
        u = self.rng.uniform
        bag = self.muscles.min(axis=0)
        self._add(bag - u(1.0, 4.0), Paint.FASCIA if u() < 0.4 else Paint.VISCERAL_FAT)
        self._add(bag - u(0.0, 3.0), Paint.VISCERAL_FAT)
        if self.height > 0.5 and u() < 0.7:  # latissimus and serratus behind the erector
            sheet = np.abs(self.muscles[list(ERECTOR)].min(axis=0) - u(3, 6)) - u(1.0, 2.5)
            lateral = u(45, 65) - np.abs(self.x)
            self._add(np.maximum(np.maximum(sheet, lateral), self.outline + 3.0), Paint.OTHER_MUSCLE)

    def _pelvis(self) -> None:
        """Iliac wings with iliacus in front and gluteals behind; they look like psoas and erector."""
        u = self.rng.uniform
        inner_x, wing_y = u(50, 78), 0.5 * (self.psoas_y_mm + self.front_mm) + u(-5, 20)
        length, tilt = u(20, 48), u(35, 65)
        for side in (-1, 1):
            x, y = side * (inner_x + u(8, 20)), wing_y + u(-4, 4)
            angle = -side * tilt
            wing = self._ellipse(x, y, length, u(4, 9), 2.5, angle)
            gluteal = self._ellipse(x + side * u(6, 16), y + u(8, 18), length * u(0.9, 1.3), u(9, 22), 2.2, angle)
            iliacus = self._ellipse(x - side * u(4, 12), y - u(8, 16), length * u(0.5, 0.9), u(4, 11), 2.2, angle)
            self._add(np.maximum(gluteal, self.outline + 5.0), Paint.OTHER_MUSCLE)
            self._add(iliacus, Paint.OTHER_MUSCLE)
            self._add(wing, Paint.CORTICAL_BONE)
            self._add(wing + u(1.2, 2.2), Paint.MARROW, u(0.8, 1.2))

    def _spine(self) -> None:
        u = self.rng.uniform
        if self.height < u(0.0, 0.16):
            self._sacrum()
            return
        half_w = float(np.clip(self.psoas_gap_mm - u(-2.0, 3.0), 18.0, 31.0))
        half_d = half_w * u(0.6, 0.82)
        canal_d = u(13, 19)
        canal_y = self.front_mm - u(0, 4) - 0.5 * canal_d + u(2, 10)
        body_y = canal_y - 0.5 * canal_d - half_d - u(-1, 2)
        body = self._ellipse(0, body_y, half_w, half_d, u(2.0, 2.6))
        for side in (-1, 1):  # vessels in front: cava on the right, aorta on the left
            radius = u(6, 11)
            self._add(
                self._ellipse(side * u(8, 18), body_y - half_d - radius - u(0, 5), radius, radius * u(0.6, 1.0)),
                Paint.VESSEL,
                u(0.7, 1.3),
            )
        is_disc = u() < 0.35
        if not is_disc and u() < 0.75:  # transverse processes and pedicles
            self._add(self._ellipse(0, canal_y - u(0, 4), u(28, 45), u(3, 5), 3.0), Paint.CORTICAL_BONE, u(0.8, 3.0))
        self._add(body, Paint.ANNULUS if is_disc else Paint.CORTICAL_BONE)
        if is_disc:
            self._add(body + u(3, 7), Paint.NUCLEUS, u(0.5, 1.1), 5.0)
        else:
            self._add(body + u(0.8, 2.0), Paint.MARROW)
        self._posterior(canal_y, canal_d)

    def _posterior(self, canal_y: float, canal_d: float) -> None:
        """Lamina, facets, spinous process and canal."""
        u = self.rng.uniform
        lamina_y = canal_y + 0.5 * canal_d + u(2, 4)
        for side in (-1, 1):
            facet = self._ellipse(side * u(14, 20), lamina_y - u(0, 6), u(6, 10), u(6, 10), 2.0, side * u(0, 45))
            self._add(facet, Paint.CORTICAL_BONE)
            self._add(facet + u(2, 4), Paint.MARROW, u(0.4, 1.1))
        if u() < 0.8:
            self._add(self._ellipse(0, lamina_y, u(12, 18), u(3, 5)), Paint.CORTICAL_BONE, u(0.8, 2.5))
        if u() < 0.8:
            length = u(10, 22)
            spinous = self._ellipse(0, lamina_y + length, u(2.0, 4.5), length, 2.5)
            self._add(spinous, Paint.CORTICAL_BONE)
            self._add(spinous + u(1.0, 2.0), Paint.MARROW, u(0.7, 1.1))
        canal = self._ellipse(0, canal_y, u(9, 13), 0.5 * canal_d, 2.2)
        self._add(canal - u(0, 2), Paint.VISCERAL_FAT)
        self._add(canal + u(0, 2), Paint.CSF)
        self._add(self._ellipse(u(-2, 2), canal_y + u(0, 3), u(3, 7), u(2, 5)), Paint.NERVE)

    def _sacrum(self) -> None:
        u = self.rng.uniform
        y = 0.5 * (self.front_mm + self.psoas_y_mm) + u(-8, 6)
        wings = self._ellipse(0, y, u(42, 62), u(11, 20), 2.4)
        body = self._ellipse(0, y - u(2, 10), u(22, 28), u(14, 22), 2.2)
        bone = np.minimum(wings, body)
        self._add(bone, Paint.CORTICAL_BONE)
        self._add(bone + u(1.0, 2.0), Paint.MARROW, u(0.8, 1.2))
        self._posterior(y + u(8, 16), u(10, 15))

    def _muscles(self) -> None:
        rng, u = self.rng, self.rng.uniform
        if Ingredient.SEPTA in self.use:
            # Outlines are drawn along the inner side of the fascia: on average the muscle reaches a little beyond.
            shapes = np.concatenate([self.fields[list(PAIR)], np.delete(self.muscles, BACK, axis=0)])
            gaps = u(-1.2, 0.8, len(shapes))
        else:
            gaps, shapes = u(-1.0, 1.6, N_MUSCLES), self.muscles
            # The gap between multifidus and erector fades caudally: often nothing separates them there.
            gaps[BACK] = np.minimum(gaps[BACK], u(-1.0, 0.4 + 1.2 * self.height))
        solid = (shapes + gaps[:, None, None].astype(np.float32)).min(axis=0)
        self._add(solid, Paint.MUSCLE)
        level = rng.beta(0.7, 3.5) * 0.8
        is_severe = Ingredient.SEVERE_FAT in self.use and u() < SEVERE_FAT_FRAC
        if is_severe:
            level = u(0.4, 1.0)
        most = 0.97 if is_severe else 0.75
        fat = np.zeros_like(self.x)
        own = streaks(np.random.default_rng([self.seed, _stream(self.height)]), self.x.shape)
        noise = np.sqrt(SHARED_STREAKS) * streaks(rng, self.x.shape) + np.sqrt(1.0 - SHARED_STREAKS) * own
        # Fat collects deep and medially first, next to the bone.
        depth = np.clip((self.back_mm - self.y) / 40.0, 0, 1) - np.clip(np.abs(self.x) / 60.0, 0, 1)
        noise = noise + np.float32(u(0, 0.8)) * depth.astype(np.float32)
        for fields, most_of_muscle in FAT_SHARES.items():
            share = level * most_of_muscle * np.exp(rng.normal(0, 0.3))
            for index in fields:
                inside = self.inside[index]
                if np.count_nonzero(inside) > 4:
                    mine = min(most, share * np.exp(rng.normal(0, 0.15)))
                    threshold = np.quantile(noise[inside], 1.0 - mine)
                    soft = np.clip((noise - threshold) / u(0.2, 0.8) + 0.5, 0, 1)
                    fat[inside] = (soft * u(0.5, 1.0))[inside]
        self.fat_frac = np.clip(fat + np.float32(u(0, 0.08)), 0, 1).astype(np.float32)

    def _deep_border(self) -> None:
        self.layers += deep_layers(self.rng, self.fields, self.x, self.y, EDGE_MM)

    def _fat_layers(self) -> None:
        """Fat and ligament over the muscles; a few fibres are left in the fat."""
        rest = self.rng.uniform(0, 0.5) * np.clip(streaks(self.rng, self.x.shape) - 0.3, 0, 1)
        for distance, paint, opacity in self.layered.layers:
            share = np.clip(0.5 - distance / EDGE_MM, 0.0, 1.0) * np.clip(opacity - rest, 0.0, 1.0)
            self.layers.append((share.astype(np.float32), paint, 1.0))

    def _septa(self) -> None:
        """Paint the septum between multifidus and erector of each side, those inside them, and that of quadratus."""
        for side in (0, 1):
            pair = self.muscles[MULTIFIDUS[side]], self.muscles[ERECTOR[side]]
            sheets = inner_septa(self.rng, *pair, self.y)
            self.parting.append(septum(self.rng, *pair, self.y))
            if Ingredient.DEEP_BORDER in self.use:
                sheets.append(middle_fascia(self.rng, self.fields, side))
            for sheet in (*sheets, self.parting[-1]):
                self.layers.append((sheet.opacity(EDGE_MM), sheet.paint, 1.0))

    def _depth(self) -> None:
        """Depth below the skin of the back, partly along the skin and partly below a flat coil."""
        flat = self.centre_y + self.half_depth - self.y
        share = self.rng.uniform()
        self.depth_mm = np.maximum(share * -self.outline + (1 - share) * flat, 0.0).astype(np.float32)

    def _arms(self) -> None:
        """Arms beside the body, now and then: skin, fat, muscle and bone that are none of the trunk's."""
        u = self.rng.uniform
        for side in (-1, 1):
            if u() < ARM_FRAC:
                radius = u(26, 46)
                x, y = side * (self.half_width + radius + u(2, 25)), self.centre_y + u(-40, 40)
                arm = np.maximum(self._ellipse(x, y, radius, radius * u(0.8, 1.0)), 2.0 - self.outline)
                self._add(arm, Paint.SKIN)
                self._add(arm + 2.0, Paint.SUBCUTANEOUS_FAT)
                self._add(arm + u(4, 14), Paint.OTHER_MUSCLE)
                bone = self._ellipse(x + u(-5, 5), y + u(-5, 5), u(8, 12), u(8, 12))
                self._add(bone, Paint.CORTICAL_BONE)
                self._add(bone + u(2, 4), Paint.MARROW)

    def _ribs(self) -> None:
        """Ribs cut obliquely in the wall of the upper slices."""
        u = self.rng.uniform
        if self.height < u(0.5, 0.9):
            return
        centre_x, centre_y, rx, ry = self.wall
        for side in (-1, 1):
            for _ in range(int(self.rng.integers(1, 4))):
                angle = np.deg2rad(u(-40, 65))  # from the side towards the back
                inwards = 1.0 - u(4, 14) / min(rx, ry)
                x, y = centre_x + side * rx * inwards * np.cos(angle), centre_y + ry * inwards * np.sin(angle)
                rib = self._ellipse(x, y, u(5, 14), u(3, 5.5), 2.0, -side * (90.0 - np.rad2deg(angle)))
                self._add(rib, Paint.CORTICAL_BONE)
                self._add(rib + u(1.0, 1.8), Paint.MARROW)

    def _fascia(self) -> None:
        u = self.rng.uniform
        if u() < 0.5:
            sheet = np.abs(self.muscles[BACK].min(axis=0) - u(0.5, 2.0)) - u(0.2, 0.7)
            behind = self.front_mm + 12.0 - self.y
            self._add(np.maximum(sheet, behind), Paint.FASCIA)


def _stream(height: float) -> int:
    """Number of the random stream of what a slice at this height has of its own."""
    return 1000 + round(1000 * (height + 1.0))
