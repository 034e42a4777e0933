"""Soft implicit shapes: profiles along z, star-shaped contours, super-ellipses, smooth noise.

Signed values are positive inside and approximate the distance to the surface in mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator

Floats = np.ndarray
"""Single precision: points and fields."""

Doubles = np.ndarray
"""Double precision: planes and whatever ends in a table."""

N_ANGLES = 128
"""Directions of a contour table; 2.8 degrees are under 2 mm on the longest muscle border."""

Z_STEP_MM = 2.0
"""Spacing of the tables along z; the profiles are smooth over tens of mm."""


@dataclass(frozen=True)
class ZIndex:
    """Row, next-row weight of every point in a table along z."""

    row: NDArray[np.intp]
    weight: Floats


@dataclass(frozen=True)
class ZAxis:
    """A uniform axis of table rows along z (mm)."""

    start_mm: float
    n_rows: int

    @property
    def z_mm(self) -> Doubles:
        """Return the height of every row."""
        return self.start_mm + Z_STEP_MM * np.arange(self.n_rows)

    def index(self, z_mm: Floats) -> ZIndex:
        """Locate points in the rows, clamped to the first and last one."""
        position = np.clip((z_mm - self.start_mm) / Z_STEP_MM, 0.0, self.n_rows - 1.001)
        row = position.astype(np.intp)
        return ZIndex(row, (position - row).astype(np.float32))


def lookup(table: Floats, at: ZIndex) -> Floats:
    """Interpolate a table of shape (rows,) linearly along z."""
    low = table[at.row]
    return np.asarray(low + (table[at.row + 1] - low) * at.weight, dtype=np.float32)


def profile(stations: Sequence[float], values: Sequence[float], at: Doubles) -> Floats:
    """Interpolate station values smoothly and without overshoot; constant beyond the ends."""
    curve = PchipInterpolator(np.asarray(stations), np.asarray(values))
    return np.asarray(curve(np.clip(at, stations[0], stations[-1])), dtype=np.float32)


@dataclass(frozen=True)
class Contour:
    """A star-shaped closed outline in every axial row: centre (mm) and radius per direction.

    `slope_cos` turns a radial into a perpendicular distance. Rows with radius 0 are empty.
    """

    centre_x_mm: Floats
    centre_y_mm: Floats
    radius_mm: Floats  # (rows, N_ANGLES)
    slope_cos: Floats

    def distance(self, x: Floats, y: Floats, at: ZIndex) -> Floats:
        """Return the approximate signed distance (mm, positive inside) of points (x, y)."""
        dx = x - lookup(self.centre_x_mm, at)
        dy = y - lookup(self.centre_y_mm, at)
        turn = np.arctan2(dy, dx) * np.float32(N_ANGLES / (2 * np.pi))
        turn = np.where(turn < 0, turn + N_ANGLES, turn)
        column = turn.astype(np.intp)
        weight = turn - column
        column %= N_ANGLES
        following = (column + 1) % N_ANGLES
        across = 1 - weight

        def blend(table: Floats) -> Floats:
            low = table[at.row, column] * across + table[at.row, following] * weight
            high = table[at.row + 1, column] * across + table[at.row + 1, following] * weight
            return np.asarray(low + (high - low) * at.weight, dtype=np.float32)

        gap = blend(self.radius_mm) - np.hypot(dx, dy)
        return np.asarray(gap * blend(self.slope_cos), dtype=np.float32)

    def bounds_mm(self) -> tuple[float, float, float, float]:
        """Return x_min, x_max, y_min, y_max over all rows."""
        reach = self.radius_mm.max(axis=1)
        return (
            float((self.centre_x_mm - reach).min()),
            float((self.centre_x_mm + reach).max()),
            float((self.centre_y_mm - reach).min()),
            float((self.centre_y_mm + reach).max()),
        )

    def mirrored(self) -> Contour:
        """Return the left-right mirror image (x -> -x)."""
        # Direction k of the mirror image is direction N/2 - k of the original.
        columns = (N_ANGLES // 2 - np.arange(N_ANGLES)) % N_ANGLES
        return Contour(
            -self.centre_x_mm,
            self.centre_y_mm,
            self.radius_mm[:, columns],
            self.slope_cos[:, columns],
        )


def contour(centre_x: Floats, centre_y: Floats, radius: Floats) -> Contour:
    """Build a contour; the slope comes from the periodic derivative of the radius."""
    step = 2 * np.pi / N_ANGLES
    derivative = (np.roll(radius, -1, axis=1) - np.roll(radius, 1, axis=1)) / (2 * step)
    # An empty row counts as a circle, so that its distance stays negative everywhere.
    cosine = np.where(radius > 1e-3, radius / np.maximum(np.hypot(radius, derivative), 1e-3), 1.0)
    return Contour(
        centre_x.astype(np.float32),
        centre_y.astype(np.float32),
        radius.astype(np.float32),
        cosine.astype(np.float32),
    )


def angles() -> Doubles:
    """Return the directions of a contour table (radians)."""
    return np.linspace(0, 2 * np.pi, N_ANGLES, endpoint=False)


def superellipse_radius(half_x: Floats, half_y: Floats, exponent: Floats | float, tilt_deg: Floats) -> Floats:
    """Return radii (rows, N_ANGLES) of a super-ellipse turned by `tilt_deg` from x towards y."""
    direction = angles()[None, :] - np.deg2rad(tilt_deg)[:, None]
    power = np.broadcast_to(np.asarray(exponent), half_x.shape)[:, None]
    inverse = (
        np.abs(np.cos(direction) / half_x[:, None]) ** power + np.abs(np.sin(direction) / half_y[:, None]) ** power
    )
    return np.asarray(inverse ** (-1 / power), dtype=np.float32)


def spline_radius(centre: tuple[float, float], points: Sequence[tuple[float, float]]) -> Floats:
    """Return radii (N_ANGLES,) of the smooth closed curve through points around a centre."""
    closed = np.asarray([*points, points[0]], dtype=np.float64)
    chord = np.concatenate([[0.0], np.cumsum(np.sqrt(np.hypot(*np.diff(closed, axis=0).T)))])
    dense = CubicSpline(chord, closed, bc_type="periodic")(np.linspace(0, chord[-1], 600)[:-1])
    offset = dense - np.asarray(centre)
    direction = np.mod(np.arctan2(offset[:, 1], offset[:, 0]), 2 * np.pi)
    order = np.argsort(direction)
    radius = np.interp(angles(), direction[order], np.hypot(*offset[order].T), period=2 * np.pi)
    return np.asarray(radius, dtype=np.float32)


def contour_area(radius: Floats) -> Floats:
    """Return the area (mm2) of every row of a radius table: half the integral of r squared."""
    return np.asarray(0.5 * (radius**2).sum(axis=1) * (2 * np.pi / N_ANGLES), dtype=np.float32)


def superellipse(u: Floats, v: Floats, exponent: float) -> Floats:
    """Return the super-elliptic norm of normalised coordinates (1 on the surface)."""
    total = np.abs(u) ** np.float32(exponent) + np.abs(v) ** np.float32(exponent)
    return np.asarray(total ** np.float32(1 / exponent), dtype=np.float32)


def smoothstep(low: float, high: float, value: Floats) -> Floats:
    """Rise smoothly from 0 at `low` to 1 at `high` (or fall, where high < low)."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


@dataclass(frozen=True)
class Noise:
    """A smooth random field: a sum of plane waves with unit variance."""

    waves_per_mm: Floats  # (n, 3), radians per mm
    phase: Floats

    def __call__(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Evaluate the field at points."""
        total = np.zeros(x.shape, dtype=np.float32)
        for (kx, ky, kz), phase in zip(self.waves_per_mm, self.phase, strict=True):
            total += np.sin(kx * x + ky * y + (kz * z + phase))
        return np.asarray(total * np.float32(np.sqrt(2 / len(self.phase))), dtype=np.float32)


def noise(
    rng: np.random.Generator,
    wavelength_mm: tuple[float, float, float],
    n_waves: int = 10,
    spread: tuple[float, float] = (0.7, 1.4),
) -> Noise:
    """Draw a field whose typical wavelength along x, y, z is given (mm), frequencies spread by the two factors."""
    direction = rng.normal(size=(n_waves, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    factor = rng.uniform(*spread, size=(n_waves, 1))
    waves = direction * np.sqrt(3) * factor * (2 * np.pi / np.asarray(wavelength_mm))
    return Noise(waves.astype(np.float32), rng.uniform(0, 2 * np.pi, n_waves).astype(np.float32))
