"""Draw the geometry of a sagittal lumbar spine: a chain of vertebrae from the coccyx to the thorax.

The chain lives in the mid-sagittal plane, (y posterior, z superior) in mm. Each unit has a frame whose origin is the
middle of its posterior wall; `a` runs posteriorly along the unit (the body lies at a < 0) and `h` runs cranially.
Angles are end-plate tilts in radians: positive where the anterior end is the lower one, so lordosis makes the angle
fall from the sacrum upwards. Sizes are adult means from the anatomical literature, varied widely around them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from paraspinal.models.synthesis.ingredients import ALL_SPINE_INGREDIENTS, SpineIngredient, SpineIngredients

Floats = NDArray[np.float64]


class Region(IntEnum):
    """Part of the column a unit belongs to."""

    COCCYX = 0
    SACRUM = 1
    LUMBAR = 2
    THORACIC = 3


@dataclass(frozen=True)
class UnitSize:
    """Adult mean size of one unit and of the disc above it."""

    region: Region
    height_mm: float
    depth_bottom_mm: float
    depth_top_mm: float
    half_width_mm: float
    wedge_deg: float
    disc_mm: float
    disc_wedge_deg: float


_C, _S, _L, _T = Region.COCCYX, Region.SACRUM, Region.LUMBAR, Region.THORACIC

SACRAL_UNITS = (
    UnitSize(_C, 9, 4, 6, 8, 0, 1.5, -16),
    UnitSize(_C, 11, 6, 8, 10, 0, 2.0, -18),
    UnitSize(_S, 15, 7, 9, 22, 0, 1.5, -16),
    UnitSize(_S, 17, 9, 11, 28, 0, 1.8, -14),
    UnitSize(_S, 20, 10.5, 14, 34, 0, 2.2, -8),
    UnitSize(_S, 25, 14, 20, 42, 2, 3.0, -2),
    UnitSize(_S, 30, 21, 32, 50, 4, 10.0, 14),
)
"""Co2, Co1, S5 .. S1 (caudal first); the last disc is the lumbosacral one."""

LAST_LUMBAR = UnitSize(_L, 27, 34, 35, 25.5, 8, 11.0, 10)
LUMBAR_UNITS = (
    UnitSize(_L, 28, 35, 35, 24.5, 2.5, 10.5, 8),
    UnitSize(_L, 28.5, 35, 35, 23, 1, 9.8, 6),
    UnitSize(_L, 28, 34, 34, 22, -1, 8.5, 4.5),
    UnitSize(_L, 27, 33, 33, 21, -2.5, 7.0, 2),
    UnitSize(_L, 26.5, 32, 32, 20.5, -2.5, 6.5, 1.5),
)
"""From the last but one lumbar vertebra upwards; a sixth is the last entry."""

THORACIC_UNITS = (
    UnitSize(_T, 25.5, 31, 31, 20, -3.5, 5.5, 0),
    UnitSize(_T, 24, 30.5, 30, 19, -3.5, 5.0, -0.5),
    UnitSize(_T, 23, 30, 29.5, 17.5, -3, 4.5, -0.5),
    UnitSize(_T, 22, 29, 29, 16.5, -3, 4.2, -1),
    UnitSize(_T, 21, 28.5, 28, 16, -3, 4.0, -1),
    UnitSize(_T, 20.5, 28, 27, 15.5, -3, 4.0, -1),
    UnitSize(_T, 20, 27, 26, 15, -3, 4.0, -1),
    UnitSize(_T, 19.5, 26, 25, 14.5, -3, 4.0, -1),
    UnitSize(_T, 19, 25, 24, 14, -3, 4.0, -1),
    UnitSize(_T, 18.5, 24, 23, 14, -2, 4.0, -1),
)
"""T12 upwards."""

LINE_STEP_MM = 2.0
"""Sampling of the posterior-wall line, fine against the 20 mm of a body."""


@dataclass(frozen=True)
class SpineChain:
    """Geometry of one spine; arrays over units run from caudal to cranial.

    Attributes:
        region: (n,) `Region` of every unit.
        origin_mm: (n, 2) middle of the posterior wall, (y, z).
        angle_rad, wedge_rad: (n,) mid tilt, and inferior minus superior end-plate tilt.
        height_mm: (n,) height of the posterior wall.
        depth_bottom_mm, depth_top_mm: (n,) anteroposterior depth at the two end-plates.
        half_width_mm: (n,) half the left-right width.
        disc_mm, disc_wedge_rad: (n,) posterior height and lordotic opening of the disc above each unit.
        concavity_mm: (n,) depth of the end-plates' hollow.
        line_mm: (m, 2) smoothed posterior-wall line; `tangent` (m, 2) its cranial unit tangent.
        boundary_s_mm: (n - 1,) arc length along the line of the discs' middles.
        unit_s_mm: (n,) arc length of the units' middles.
    """

    region: NDArray[np.int64]
    origin_mm: Floats
    angle_rad: Floats
    wedge_rad: Floats
    height_mm: Floats
    depth_bottom_mm: Floats
    depth_top_mm: Floats
    half_width_mm: Floats
    disc_mm: Floats
    disc_wedge_rad: Floats
    concavity_mm: Floats
    line_mm: Floats
    tangent: Floats
    boundary_s_mm: Floats
    unit_s_mm: Floats

    @property
    def first_sacral(self) -> int:
        """Index of S1."""
        return int(np.nonzero(self.region == Region.SACRUM)[0][-1])

    @property
    def lumbar(self) -> NDArray[np.int64]:
        """Indices of the lumbar units, caudal first."""
        return np.nonzero(self.region == Region.LUMBAR)[0]

    @property
    def centre_mm(self) -> Floats:
        """(n, 2) centres of the bodies."""
        depth = (self.depth_bottom_mm + self.depth_top_mm) / 4.0
        along = np.stack([np.cos(self.angle_rad), np.sin(self.angle_rad)], axis=1)
        centre: Floats = self.origin_mm - depth[:, None] * along
        return centre


def _draw_units(rng: np.random.Generator, use: SpineIngredients) -> list[UnitSize]:
    count = int(rng.choice([4, 5, 6], p=[0.05, 0.83, 0.12]))
    if SpineIngredient.NUMBERS not in use:
        count = 5
    return [*SACRAL_UNITS, LAST_LUMBAR, *LUMBAR_UNITS[: count - 1], *THORACIC_UNITS]


def sample_chain(rng: np.random.Generator, use: SpineIngredients = ALL_SPINE_INGREDIENTS) -> SpineChain:
    """Draw one spine; the middle of the third unit above S1 lies at the origin.

    Varied: number of lumbar vertebrae, sizes, lordosis, sacral slope, kyphosis and taper, the S1/S2 remnant disc,
    disc degeneration with loss of height, wedge and crush fractures, listhesis, transitional S1 or last lumbar.
    """
    units = _draw_units(rng, use)
    n = len(units)
    first = len(SACRAL_UNITS) - 1
    table = np.array(
        [
            [u.height_mm, u.depth_bottom_mm, u.depth_top_mm, u.half_width_mm, u.wedge_deg, u.disc_mm, u.disc_wedge_deg]
            for u in units
        ]
    )
    height, bottom, top, width, wedge, disc, disc_wedge = table.T.copy()
    region = np.array([int(u.region) for u in units])

    height *= rng.uniform(0.85, 1.18) * rng.normal(1, 0.04, n)
    depth_scale = rng.uniform(0.85, 1.2)
    bottom *= depth_scale * rng.normal(1, 0.03, n)
    top *= depth_scale * rng.normal(1, 0.03, n)
    width *= depth_scale * rng.normal(1, 0.04, n)
    disc *= rng.uniform(0.75, 1.25) * rng.normal(1, 0.1, n).clip(0.6, 1.5)
    wedge += rng.normal(0, 1.6, n)
    disc_wedge += rng.normal(0, 2.0, n)

    sacral = region <= Region.SACRUM
    mobile = ~sacral
    mobile[first] = True  # its disc is the lumbosacral one
    lordosis = rng.uniform(0.35, 1.4)
    wedge[~sacral] *= lordosis
    disc_wedge[mobile] *= lordosis
    disc_wedge[:first] *= rng.uniform(0.2, 1.7)
    disc_wedge[:first] += rng.normal(0, 4.0, first)
    # The taper of S1 and its remnant disc decide whether S1 is told from L5: vary them as widely as people do.
    if SpineIngredient.SACRUM in use:
        bottom[first] *= rng.uniform(0.85, 1.35)
        top[first] *= rng.uniform(0.9, 1.08)
        disc[first - 1] = rng.choice([1.5, 3.5, 6.0], p=[0.25, 0.4, 0.35]) * rng.uniform(0.7, 1.4)
    transitional = rng.random() if SpineIngredient.NUMBERS in use else 1.0
    if transitional < 0.06:  # lumbarised S1: squarer, with a real disc below
        bottom[first] = top[first] * rng.uniform(0.8, 0.92)
        disc[first - 1] = rng.uniform(4.5, 8)
    elif transitional < 0.12:  # sacralised last lumbar: thin disc, trapezoid body
        disc[first] = rng.uniform(2.5, 5)
        bottom[first + 1] *= rng.uniform(0.85, 0.95)

    is_worn = SpineIngredient.DEGENERATION in use
    degenerated = mobile & (rng.random(n) < rng.choice([0.05, 0.3])) & is_worn
    disc[degenerated] *= rng.uniform(0.35, 0.8, int(degenerated.sum()))
    crushed = ~sacral & (rng.random(n) < 0.03) & is_worn
    height[crushed] *= rng.uniform(0.55, 0.9, int(crushed.sum()))
    wedge[crushed] -= rng.uniform(0, 14, int(crushed.sum()))
    concavity = np.where(sacral, rng.uniform(0, 0.8), rng.uniform(0.2, 2.2)) * rng.uniform(0.6, 1.4, n)
    slip = rng.normal(0, 0.5, n)
    if rng.random() < 0.1 and is_worn:
        slip[int(rng.integers(first, first + 4))] += rng.uniform(-9, 4)

    return _assemble(
        region,
        height,
        bottom,
        top,
        width,
        np.radians(wedge),
        disc,
        np.radians(disc_wedge),
        concavity,
        slip,
        np.radians(rng.normal(0, 6)),
        first,
    )


def _assemble(
    region: NDArray[np.int64],
    height: Floats,
    bottom: Floats,
    top: Floats,
    width: Floats,
    wedge: Floats,
    disc: Floats,
    disc_wedge: Floats,
    concavity: Floats,
    slip: Floats,
    lean_rad: float,
    first: int,
) -> SpineChain:
    """Stack the units along their posterior walls so that the lumbar bodies' mean tilt is `lean_rad`."""
    n = len(region)
    steps = np.stack([wedge, disc_wedge], axis=1).ravel()
    superior = -np.cumsum(steps)[0::2]
    superior += lean_rad - float(np.mean((superior + wedge / 2)[region == Region.LUMBAR]))
    angle = superior + wedge / 2
    posterior = np.maximum(height - np.tan(wedge / 2) * (bottom + top) / 2, 4.0)
    gap = np.maximum(disc - np.tan(disc_wedge / 2) * top * 0.5, np.minimum(disc, 1.0))

    corners, origins, middles = [], [], []
    point = np.zeros(2)
    for k in range(n):
        normal = np.array([-np.sin(angle[k]), np.cos(angle[k])])
        upper = point + posterior[k] * normal
        corners += [point, upper]
        origins.append((point + upper) / 2)
        tilt = superior[k] - disc_wedge[k] / 2
        point = upper + gap[k] * np.array([-np.sin(tilt), np.cos(tilt)])
        point = point + slip[k] * np.array([np.cos(tilt), np.sin(tilt)])
        middles.append((upper + point) / 2)
    shift = origins[first + 3] - np.array([17.0, 0.0])
    line, tangent, s = _smooth_line(np.array(corners) - shift)
    nearest = [int(np.argmin(((line - (m - shift)) ** 2).sum(1))) for m in middles[:-1]]
    unit = [int(np.argmin(((line - (o - shift)) ** 2).sum(1))) for o in origins]
    return SpineChain(
        region,
        np.array(origins) - shift,
        angle,
        wedge,
        posterior,
        bottom,
        top,
        width,
        gap,
        disc_wedge,
        concavity,
        line,
        tangent,
        s[nearest],
        s[unit],
    )


def _smooth_line(corners: Floats) -> tuple[Floats, Floats, Floats]:
    """Return points every `LINE_STEP_MM` along the smoothed corners, extended at both ends, with tangents and arc."""
    ends = 60.0
    low = corners[0] + ends * _unit(corners[0] - corners[3])
    high = corners[-1] + ends * _unit(corners[-1] - corners[-5])
    path = np.vstack([low, corners, high])
    arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    s = np.arange(0, arc[-1], LINE_STEP_MM)
    line = np.stack([np.interp(s, arc, path[:, i]) for i in range(2)], axis=1)
    kernel = np.hanning(9)[1:-1]
    padded = np.pad(line, ((3, 3), (0, 0)), mode="reflect", reflect_type="odd")
    line = np.stack([np.convolve(padded[:, i], kernel / kernel.sum(), "valid") for i in range(2)], axis=1)
    tangent = np.gradient(line, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    return line, tangent, s


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector))
