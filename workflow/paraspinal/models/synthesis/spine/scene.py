"""What a synthetic sagittal slice shows: one drawn subject and the coordinates of a cut through it.

Everything is decided first (`sample_scene`) and painted second (`spine_painter`), so that one scene can be cut at
several lateral positions: that is how partial volume of thick slices comes about. Distances are in mm; fields over the
slice are float32 vectors of N pixels. `s` is arc length along the posterior walls (cranial), `v` the distance
behind them, `l` the lateral distance from the column's own midline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paraspinal.models.input.spine_input import Field
from paraspinal.models.synthesis.ingredients import ALL_SPINE_INGREDIENTS, SpineIngredient, SpineIngredients
from paraspinal.models.synthesis.spine.anatomy import LINE_STEP_MM, SpineChain, sample_chain

HEATMAP_SIGMA_MM = 6.0
"""In-plane spread of a centre's heatmap: three pixels, wide enough to learn, narrow against a body."""

HEATMAP_LATERAL_SIGMA_MM = 13.0
"""Spread across slices: the heatmap fades towards the pedicles, so that its peak tells the midline."""


class Tissue(IntEnum):
    """Tissues that own an intensity."""

    AIR = 0
    FAT = 1
    VISCERAL = 2
    MUSCLE = 3
    MARROW = 4
    SACRAL_MARROW = 5
    CORTEX = 6
    ANNULUS = 7
    NUCLEUS = 8
    CSF = 9
    CORD = 10
    CAUDA = 11
    EPIDURAL_FAT = 12
    LIGAMENT = 13
    VESSEL = 14
    ORGAN = 15
    BOWEL = 16
    SKIN = 17
    NERVE = 18
    POSTERIOR_BONE = 19
    FLUID = 20


@dataclass(frozen=True)
class Scene:
    """One decided subject: the chain and everything around it (mm unless named otherwise)."""

    chain: SpineChain
    sway: NDArray[np.float64]  # lateral displacement of the column: two sines, amplitudes and phases
    rotation_rad: float
    canal_depth: float
    canal_half_width: float
    epidural_gap: float
    conus_s: float
    cauda_amount: float
    disc_bulge: NDArray[np.float64]
    nucleus_amount: NDArray[np.float64]
    nucleus_cleft: float
    remnant_share: float
    lip: NDArray[np.float64]
    waist: float
    spinous_reach: float
    muscle_depth: float
    fat_depth: float
    fat_bulge: float
    belly_y: float
    belly_fat: float
    wall: float
    vessel: NDArray[np.float64]  # rows: lateral position, distance before the bodies, radius, s of the lower end
    blobs: NDArray[np.float64]  # rows: y, z, lateral, three half-axes, tilt, tissue
    marrow_spots: NDArray[np.float64]  # rows: unit, a fraction, h fraction, radius, factor
    posterior_bone_scale: float
    cortex_mm: float
    streaks: float
    psoas: float


def sample_scene(rng: np.random.Generator, use: SpineIngredients = ALL_SPINE_INGREDIENTS) -> Scene:
    """Draw one subject; what is not in ``use`` is left out of it."""
    scene = _draw_scene(rng, sample_chain(rng, use))
    if SpineIngredient.SCOLIOSIS not in use:
        scene = replace(scene, sway=np.zeros_like(scene.sway), rotation_rad=0.0)
    if SpineIngredient.SURROUNDINGS not in use:
        scene = replace(scene, blobs=scene.blobs[:0])
    if SpineIngredient.DEGENERATION not in use:
        scene = replace(scene, lip=np.zeros_like(scene.lip))
    return scene


def _draw_scene(rng: np.random.Generator, chain: SpineChain) -> Scene:
    n = len(chain.region)
    scoliosis = rng.choice([2.0, 6.0, 14.0, 30.0], p=[0.45, 0.34, 0.14, 0.07])
    sway = np.array([rng.normal(0, scoliosis), rng.uniform(0, 6.3), rng.normal(0, scoliosis / 3), rng.uniform(0, 6.3)])
    s_lumbar = chain.unit_s_mm[chain.lumbar]
    belly = -rng.uniform(60, 150)
    count = int(rng.integers(12, 34))
    tissue = rng.choice(
        [Tissue.BOWEL, Tissue.ORGAN, Tissue.VESSEL, Tissue.FLUID, Tissue.AIR, Tissue.FAT],
        count,
        p=[0.4, 0.15, 0.12, 0.08, 0.12, 0.13],
    )
    blobs = np.stack(
        [
            rng.uniform(belly, -25, count),
            rng.uniform(-230, 230, count),
            rng.uniform(-70, 70, count),
            rng.gamma(3, 4.5, count) + 4,
            rng.gamma(3, 5, count) + 4,
            rng.uniform(10, 60, count),
            rng.uniform(0, 3.2, count),
            tissue,
        ],
        axis=1,
    )
    blobs[0, :6] = [
        rng.uniform(-110, -50),
        rng.uniform(60, 220),
        rng.uniform(-60, 60),
        rng.uniform(25, 60),
        rng.uniform(40, 90),
        60,
    ]
    blobs[0, 7] = Tissue.ORGAN
    blobs[1, :6] = [rng.uniform(-70, 10), rng.uniform(-230, -150), 0, rng.uniform(15, 40), rng.uniform(15, 45), 40]
    blobs[1, 7] = Tissue.FLUID
    spots = int(rng.poisson(1.2))
    return Scene(
        chain=chain,
        sway=sway,
        rotation_rad=rng.normal(0, 0.05),
        canal_depth=rng.uniform(11.5, 19),
        canal_half_width=rng.uniform(9.5, 13.5),
        epidural_gap=rng.uniform(0, 7),
        conus_s=rng.uniform(s_lumbar[-1] - 45, s_lumbar[-1] + 55),
        cauda_amount=rng.uniform(0.1, 0.9),
        disc_bulge=rng.normal(1.0, 1.4, n) + (rng.random(n) < 0.06) * rng.uniform(1, 5, n),
        nucleus_amount=np.clip(rng.normal(rng.uniform(0.1, 1), 0.3, n), 0, 1),
        nucleus_cleft=rng.uniform(0, 0.6),
        remnant_share=rng.uniform(0.5, 1.0),
        lip=rng.gamma(1.2, 1.0, n) * rng.choice([0.3, 1.0, 2.0]),
        waist=rng.uniform(0.5, 3.5),
        spinous_reach=rng.uniform(24, 40),
        muscle_depth=rng.uniform(32, 66),
        fat_depth=rng.gamma(2.2, 6) + 4,
        fat_bulge=rng.gamma(2, 6),
        belly_y=belly,
        belly_fat=rng.gamma(2.2, 8) + 3,
        wall=rng.uniform(4, 14),
        vessel=np.array(
            [
                [rng.uniform(2, 16), rng.uniform(1, 9), rng.uniform(6, 13), s_lumbar[0] + rng.uniform(-10, 35)],
                [-rng.uniform(8, 22), rng.uniform(0, 7), rng.uniform(6, 13), s_lumbar[0] + rng.uniform(-20, 25)],
            ]
        ),
        blobs=blobs,
        marrow_spots=np.stack(
            [
                rng.integers(5, n, spots),
                rng.uniform(-0.9, -0.1, spots),
                rng.uniform(-0.5, 0.5, spots),
                rng.uniform(2, 8, spots),
                rng.uniform(0.4, 1.8, spots),
            ],
            axis=1,
        ),
        posterior_bone_scale=rng.uniform(0.85, 1.2),
        cortex_mm=rng.uniform(0.4, 1.6),
        streaks=rng.uniform(0, 0.7),
        psoas=rng.uniform(0.7, 1.25),
    )


class Slice:
    """Coordinates of every pixel of one slice relative to the column."""

    def __init__(self, scene: Scene, points_mm: Field) -> None:
        chain = scene.chain
        self.chain = chain
        self.y, self.z = points_mm[:, 0], points_mm[:, 1]
        line = chain.line_mm.astype(np.float32)
        # The nearest line point by |q|^2 - 2 p.q; |p|^2 is the same for all.
        nearest = ((line**2).sum(1)[None] - 2.0 * points_mm @ line.T).argmin(1)
        tangent = chain.tangent.astype(np.float32)[nearest]
        d = points_mm - line[nearest]
        self.s: Field = (nearest * np.float32(LINE_STEP_MM) + (d * tangent).sum(1)).astype(np.float32)
        self.v: Field = d[:, 0] * tangent[:, 1] - d[:, 1] * tangent[:, 0]
        phase = (self.s - chain.unit_s_mm[chain.lumbar].mean()) / 60.0
        amplitude, shift, second, shift2 = scene.sway
        self.sway: Field = (
            amplitude * (np.sin(phase + shift) - np.sin(shift))
            + second * np.sin(2 * phase + shift2)
            + self.v * np.tan(scene.rotation_rad)
        ).astype(np.float32)

    def unit(self, shift_mm: float = 0.0) -> NDArray[np.int64]:
        """Index of the unit beside each pixel, looked up `shift_mm` further up."""
        return np.searchsorted(self.chain.boundary_s_mm, self.s + shift_mm)

    def local(self, k: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Coordinates (a posterior, h cranial) in the frames of the units k."""
        chain = self.chain
        c, sn = np.cos(chain.angle_rad)[k], np.sin(chain.angle_rad)[k]
        dy, dz = self.y - chain.origin_mm[k, 0], self.z - chain.origin_mm[k, 1]
        return (dy * c + dz * sn).astype(np.float32), (dz * c - dy * sn).astype(np.float32)


def gaussians(points_mm: Field, lateral_mm: Field, centres_mm: NDArray[np.float64]) -> Field:
    """Gaussians (N,) around centres (m, 2), fading with the distance of the slice from the column, `lateral_mm`."""
    result = np.zeros(len(points_mm), np.float32)
    fade = np.exp(-0.5 * (lateral_mm / HEATMAP_LATERAL_SIGMA_MM) ** 2)
    for centre in centres_mm:
        distance = ((points_mm - centre) ** 2).sum(axis=1)
        np.maximum(result, fade * np.exp(-0.5 * distance / HEATMAP_SIGMA_MM**2), out=result)
    return result
