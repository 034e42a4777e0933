"""The eight muscles: contours along z whose area is that of a normal adult times the bulk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from paraspinal.core.vocab import Muscle, Side
from paraspinal.phantom.parameters import AnatomyParameters
from paraspinal.phantom.shapes import (
    N_ANGLES,
    Contour,
    Doubles,
    Floats,
    ZAxis,
    angles,
    contour,
    contour_area,
    profile,
    spline_radius,
    superellipse_radius,
)

# All tables: level coordinate stations T11 .. S4 (L1 = 0, last lumbar = 4, S1 = 5); left side, x lateral, y posterior.
_STATIONS = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)

# One-side cross-sectional areas in mm2 of a normal adult.
_AREA = {
    Muscle.MULTIFIDUS: (190, 215, 270, 360, 500, 690, 900, 880, 560, 230, 40),
    Muscle.ERECTOR_SPINAE: (1350, 1600, 1780, 1800, 1660, 1400, 980, 470, 170, 40, 10),
    Muscle.PSOAS_MAJOR: (0, 20, 170, 480, 960, 1400, 1600, 1500, 1400, 1300, 1200),
    Muscle.QUADRATUS_LUMBORUM: (0, 130, 250, 370, 490, 520, 300, 0, 0, 0, 0),
}

_AREA_BOTH = tuple(mf + es for mf, es in zip(_AREA[Muscle.MULTIFIDUS], _AREA[Muscle.ERECTOR_SPINAE], strict=True))

# Outline of the compartment of multifidus and erector spinae: (x, y), y from the inner face of the lamina.
_COMPARTMENT = {
    -2.0: ((7, 1), (5, 14), (12, 24), (28, 27), (46, 22), (58, 10), (56, -2), (42, -10), (26, -10), (15, -4)),
    0.0: ((7, 2), (5, 16), (12, 28), (28, 33), (50, 28), (66, 14), (63, 2), (47, -8), (30, -10), (18, -3)),
    2.0: ((7, 3), (5, 18), (12, 32), (28, 38), (50, 33), (69, 18), (67, 6), (49, -4), (32, -8), (20, -1)),
    3.0: ((7, 3), (5, 19), (12, 33), (27, 38), (48, 34), (66, 20), (64, 8), (48, -2), (33, -6), (21, 1)),
    4.0: ((7, 5), (5, 20), (12, 32), (25, 36), (43, 32), (57, 21), (56, 11), (46, 3), (34, -1), (23, 3)),
    5.0: ((7, 8), (5, 19), (11, 27), (22, 30), (36, 27), (47, 20), (46, 13), (38, 9), (29, 6), (19, 6)),
    6.0: ((6, 9), (5, 16), (9, 21), (17, 23), (27, 21), (35, 16), (34, 12), (28, 10), (20, 8), (13, 8)),
    7.0: ((5, 8), (4, 11), (7, 14), (12, 15), (17, 14), (21, 11), (20, 9), (17, 8), (13, 7), (9, 7)),
    8.0: ((4, 6), (3, 8), (5, 10), (8, 10.5), (11, 10), (13, 8.5), (12, 7), (10, 6), (8, 5.5), (6, 5.5)),
}

# Multifidus: centre (x, y from the lamina), aspect (width / height), tilt, roundness.
_MF_X = (10.0, 10.5, 11.0, 12.5, 14.5, 17.0, 19.5, 19.0, 15.0, 10.5, 8.0)
_MF_Y = (9.0, 9.5, 11.0, 13.0, 15.5, 17.5, 18.5, 17.5, 14.5, 10.5, 8.0)
_MF_ASPECT = (0.42, 0.40, 0.40, 0.44, 0.52, 0.66, 0.86, 1.10, 1.20, 1.3, 1.3)
_MF_TILT = (-14.0, -14.0, -12.0, -12.0, -12.0, -12.0, -10.0, 0.0, 6.0, 0.0, 0.0)
_MF_ROUND = (2.3, 2.3, 2.4, 2.5, 2.6, 2.6, 2.7, 2.5, 2.3, 2.2, 2.2)

# Psoas: centre (x, y) from the body centre of that height, aspect, tilt.
_PM_X = (22.0, 24.0, 28.0, 33.0, 39.0, 44.0, 49.0, 56.0, 62.0, 66.0, 70.0)
_PM_Y = (10.0, 8.0, 6.0, 4.0, 1.0, -4.0, -14.0, -46.0, -72.0, -92.0, -105.0)
_PM_ASPECT = (0.42, 0.42, 0.44, 0.56, 0.70, 0.82, 0.88, 0.92, 1.0, 1.0, 1.0)
_PM_TILT = (0.0, 0.0, -6.0, -12.0, -14.0, -16.0, -20.0, -24.0, -10.0, 0.0, 0.0)

# Quadratus: centre from the body centre, aspect (length / thickness), tilt of the lateral end (+ = backwards).
_QL_X = (44.0, 46.0, 49.0, 53.0, 57.5, 63.0, 66.0, 66.0, 66.0, 66.0, 66.0)
_QL_Y = (27.0, 25.0, 23.5, 22.0, 20.5, 19.0, 17.0, 17.0, 17.0, 17.0, 17.0)
_QL_ASPECT = (3.6, 3.6, 3.5, 3.4, 3.3, 3.2, 2.7, 2.6, 2.6, 2.6, 2.6)
_QL_TILT = (28.0, 26.0, 22.0, 18.0, 10.0, -4.0, -14.0, -14.0, -14.0, -14.0, -14.0)

END_AREA_MM2 = 20.0
"""Below this normal area a muscle has ended: slivers would not be seen as muscle."""

_MF_FASCIA_EXTRA_AREA = 1.04
"""The compartment holds the two muscles and the septum between them."""

_IRREGULARITY_PER_MM = 0.012
"""Relative ripple of the contours per mm of deformation."""


@dataclass(frozen=True)
class SideMuscles:
    """Contours of one side; erector spinae is the compartment without multifidus."""

    compartment: Contour
    multifidus: Contour
    psoas: Contour
    quadratus: Contour

    def all(self) -> tuple[Contour, Contour, Contour, Contour]:
        """Return the four contours in the order of the fields."""
        return self.compartment, self.multifidus, self.psoas, self.quadratus


@cache
def _compartment_stations() -> tuple[tuple[float, ...], Doubles, Doubles]:
    """Return stations, centres (n, 2) and radii (n, N_ANGLES) of the compartment."""
    stations = tuple(_COMPARTMENT)
    centres, radii = [], []
    for points in _COMPARTMENT.values():
        centre = tuple(np.mean(np.asarray(points, dtype=np.float64), axis=0))
        centres.append(centre)
        radii.append(spline_radius((float(centre[0]), float(centre[1])), points))
    return stations, np.asarray(centres), np.asarray(radii, dtype=np.float64)


def _scaled(shape: Contour, area: Floats, gain: float, anchor: tuple[Floats, Floats], ripple: Floats) -> Contour:
    """Give a contour `gain` times the normal `area` per row, growing from an anchor, and make it irregular."""
    radius = shape.radius_mm * ripple
    wanted = np.where(area < END_AREA_MM2, 0, area) * np.float32(gain)
    factor = np.sqrt(wanted / np.maximum(contour_area(radius), 1e-3)).astype(np.float32)
    growth = np.float32(np.sqrt(gain))
    x = anchor[0] + (shape.centre_x_mm - anchor[0]) * growth
    y = anchor[1] + (shape.centre_y_mm - anchor[1]) * growth
    return contour(x, y, radius * factor[:, None])


def _ripple(p: AnatomyParameters, rng: np.random.Generator, axis: ZAxis) -> Floats:
    """Return a smooth multiplicative ripple (rows, N_ANGLES) around 1."""
    ripple = np.ones((axis.n_rows, N_ANGLES))
    for order in (2, 3, 4, 5):
        drift = rng.uniform(-0.03, 0.03) * axis.z_mm + rng.uniform(0, 2 * np.pi)
        size = p.deformation_mm * _IRREGULARITY_PER_MM * rng.normal()
        ripple += size * np.cos(order * angles()[None, :] + drift[:, None])
    return ripple.astype(np.float32)


def muscle_contours(
    p: AnatomyParameters, axis: ZAxis, level: Doubles, centre: tuple[Floats, Floats], lamina_y: Floats
) -> dict[Side, SideMuscles]:
    """Build the contours of both sides.

    `level` is the level coordinate of every row, `centre` the (x, y) of the vertebral centre line and `lamina_y` the
    height of the inner face of the laminae there.
    """
    size = p.vertebra_width_mm / 48.0
    rng = np.random.default_rng([p.seed, 11])

    def at(values: tuple[float, ...]) -> Floats:
        return profile(_STATIONS, values, level)

    ones = np.ones(axis.n_rows, dtype=np.float32)
    stations, centres, radii = _compartment_stations()
    comp_radius = np.stack([profile(stations, tuple(radii[:, k]), level) for k in range(N_ANGLES)], axis=1)
    comp = contour(
        profile(stations, tuple(centres[:, 0]), level) * size,
        profile(stations, tuple(centres[:, 1]), level) * size + lamina_y,
        comp_radius * np.float32(size),
    )
    mf_aspect = at(_MF_ASPECT)
    mf = contour(
        at(_MF_X) * size, at(_MF_Y) * size + lamina_y,
        superellipse_radius(np.sqrt(mf_aspect), 1 / np.sqrt(mf_aspect), at(_MF_ROUND), -at(_MF_TILT)),
    )  # fmt: skip
    pm_aspect = at(_PM_ASPECT)
    pm = contour(
        at(_PM_X) * size + p.psoas_lateral_shift_mm, at(_PM_Y) * size + centre[1],
        superellipse_radius(np.sqrt(pm_aspect), 1 / np.sqrt(pm_aspect), 2.3, at(_PM_TILT)),
    )  # fmt: skip
    ql_aspect = at(_QL_ASPECT)
    ql = contour(
        at(_QL_X) * size, at(_QL_Y) * size + centre[1],
        superellipse_radius(np.sqrt(ql_aspect), 1 / np.sqrt(ql_aspect), 2.4, at(_QL_TILT)),
    )  # fmt: skip

    area = {muscle: at(values) * np.float32(size**2) for muscle, values in _AREA.items()}
    both = (area[Muscle.MULTIFIDUS] + area[Muscle.ERECTOR_SPINAE]) * np.float32(_MF_FASCIA_EXTRA_AREA)
    bulk = p.muscle_bulk
    deep = (7 * ones * size, lamina_y + 2)  # muscles grow away from the bone they lie on
    beside = (at(_PM_X) * np.float32(size * 0.66), pm.centre_y_mm)
    sides: dict[Side, SideMuscles] = {}
    for side in Side:
        mf_bulk, es_bulk = bulk[Muscle.MULTIFIDUS, side], bulk[Muscle.ERECTOR_SPINAE, side]
        # One number for the whole compartment, weighted by the areas at mid-lumbar height.
        share = np.interp(2.0, _STATIONS, _AREA[Muscle.MULTIFIDUS]) / np.interp(2.0, _STATIONS, _AREA_BOTH)
        built = SideMuscles(
            _scaled(comp, both, float(share * mf_bulk + (1 - share) * es_bulk), deep, _ripple(p, rng, axis)),
            _scaled(
                mf, area[Muscle.MULTIFIDUS], mf_bulk * (1 + p.multifidus_share_shift), deep, _ripple(p, rng, axis)
            ),
            _scaled(
                pm, area[Muscle.PSOAS_MAJOR], bulk[Muscle.PSOAS_MAJOR, side], beside, _ripple(p, rng, axis)
            ),
            _scaled(
                ql, area[Muscle.QUADRATUS_LUMBORUM], bulk[Muscle.QUADRATUS_LUMBORUM, side],
                (ql.centre_x_mm * 0.75, ql.centre_y_mm), _ripple(p, rng, axis),
            ),
        )  # fmt: skip
        if side is Side.RIGHT:
            built = SideMuscles(*(c.mirrored() for c in built.all()))
        sides[side] = SideMuscles(*(replace(c, centre_x_mm=c.centre_x_mm + centre[0]) for c in built.all()))
    return sides
