"""The column of vertebrae: a chain of end-plate planes and coordinates that follow it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paraspinal.phantom.parameters import MAX_LUMBAR_DISCS, AnatomyParameters
from paraspinal.phantom.shapes import Doubles, Floats

# Level coordinate: L1 = 0 and the last lumbar vertebra = 4 whatever their number, so that everything around the
# spine keeps its relation to the ribs and the pelvis.
LAST_LUMBAR = 4.0
STATIONS = (-6.0, -5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)
THORACIC = ("T7", "T8", "T9", "T10", "T11", "T12")
SACRAL = ("S1", "S2", "S3", "S4", "S5", "CO")

# Sagittal tilt of the bodies as fractions of the lordosis (T7 to S1) and of the sacral kyphosis (below S1).
_LORDOSIS_TILT = (-0.25, -0.1, 0.05, 0.17, 0.25, 0.28, 0.25, 0.13, -0.02, -0.21, -0.47, -0.80)
_SACRAL_TILT = (0.0, -0.10, 0.12, 0.52, 1.0, 1.7)
_WEDGE_DEG = {"L4": 2.0, "L5": 6.0, "L6": 6.0}
_SCOLIOSIS_SHAPE_PER_LEVEL = 1.05  # radians of the sine along the level coordinate

# Sizes of the sacral segments relative to L3: height, width, depth.
_SACRAL_SIZE = {
    "S1": (1.08, 1.04, 0.90), "S2": (0.92, 0.80, 0.62), "S3": (0.76, 0.62, 0.45),
    "S4": (0.64, 0.50, 0.34), "S5": (0.56, 0.42, 0.28), "CO": (0.95, 0.30, 0.20),
}  # fmt: skip
_SACRAL_GAP_FRAC = (1.0, 0.5, 0.3, 0.25, 0.4)  # of the S1/S2 remnant: S1_S2 .. S5_CO


@dataclass(frozen=True)
class EndPlates:
    """Exact planes of one vertebra: points and unit normals (pointing cranially), LPS mm."""

    superior_point_mm: Doubles
    superior_normal: Doubles
    inferior_point_mm: Doubles
    inferior_normal: Doubles
    centre_mm: Doubles


@dataclass(frozen=True)
class MidPlane:
    """Mid-plane of one disc: centre and unit normal (pointing cranially), LPS mm."""

    point_mm: Doubles
    normal: Doubles


@dataclass(frozen=True)
class SpineCoordinates:
    """Position of points along the chain.

    `unit` counts vertebrae (odd: 2k+1 is vertebra k) and discs (even: 2k+2 is the disc below vertebra k); `fraction`
    runs from 0 at the upper to 1 at the lower bounding plane; `u` is lateral (left positive), `v` posterior, in mm.
    """

    unit: np.ndarray
    fraction: Floats
    u: Floats
    v: Floats
    above_mm: Floats  # distance below the upper plane of the unit
    below_mm: Floats  # distance above the lower plane of the unit


class Spine:
    """The chain T7 to coccyx, anchored with the centre of L3 at the origin."""

    def __init__(self, parameters: AnatomyParameters) -> None:
        """Build the chain from the parameters."""
        p = parameters
        lumbar = tuple(f"L{k + 1}" for k in range(p.n_lumbar))
        self.names: tuple[str, ...] = (*THORACIC, *lumbar, *SACRAL)
        lumbar_stations = np.linspace(0.0, LAST_LUMBAR, p.n_lumbar)
        self.station: Doubles = np.concatenate(
            [np.arange(-len(THORACIC), 0), lumbar_stations, LAST_LUMBAR + 1 + np.arange(len(SACRAL))]
        ).astype(np.float64)
        self.first_sacral = len(THORACIC) + p.n_lumbar
        self.height, self.width, self.depth = self._sizes(p)
        self.gap = self._gaps(p)
        normals, wedge = self._tilts(p)
        self._chain(normals, wedge)

    def _sizes(self, p: AnatomyParameters) -> tuple[Doubles, Doubles, Doubles]:
        height, half_width, half_depth = [], [], []
        for name, station in zip(self.names, self.station, strict=True):
            if name in _SACRAL_SIZE:
                scale = _SACRAL_SIZE[name]
            else:
                growth = 1 + p.level_growth_frac * (station - 2)
                scale = (1 + 0.012 * min(station - 2, 1.0), growth, 1 + 0.6 * p.level_growth_frac * (station - 2))
            height.append(p.vertebra_height_mm * scale[0])
            half_width.append(p.vertebra_width_mm * scale[1] / 2)
            half_depth.append(p.vertebra_depth_mm * scale[2] / 2)
        return np.array(height), np.array(half_width), np.array(half_depth)

    def _gaps(self, p: AnatomyParameters) -> Doubles:
        """Return the disc heights below each vertebra but the last."""
        lumbar = [
            p.disc_height_mm
            * max(1 + p.disc_growth_frac * (station - 2), 0.3)
            * p.disc_height_scale[min(k, MAX_LUMBAR_DISCS - 1)]
            for k, station in enumerate(self.station[len(THORACIC) - 1 : self.first_sacral])
        ]
        thoracic = [p.disc_height_mm * 0.52 + 0.25 * k for k in range(len(THORACIC) - 1)]
        return np.array([*thoracic, *lumbar, *(p.sacral_disc_mm * f for f in _SACRAL_GAP_FRAC)])

    def _tilts(self, p: AnatomyParameters) -> tuple[Doubles, Doubles]:
        """Return the unit axes (n, 3) of the bodies and their wedge angles (radians)."""
        lordosis = np.interp(self.station, STATIONS[:12], _LORDOSIS_TILT) * p.lordosis_deg
        below = np.clip(self.station - (LAST_LUMBAR + 1), 0, None)
        kyphosis = np.interp(below, np.arange(6), _SACRAL_TILT) * p.sacral_kyphosis_deg
        tilt = np.deg2rad(lordosis + kyphosis)
        shape = np.sin(_SCOLIOSIS_SHAPE_PER_LEVEL * (self.station - 2))
        sideways = np.deg2rad(p.scoliosis_deg) * np.where(np.abs(self.station - 2) < 3, shape, 0)
        normals = np.stack([np.sin(sideways), np.sin(tilt), np.cos(tilt) * np.cos(sideways)], axis=1)
        wedge = np.deg2rad([_WEDGE_DEG.get(name, 0.0) for name in self.names])
        return normals / np.linalg.norm(normals, axis=1, keepdims=True), wedge

    def _chain(self, normals: Doubles, wedge: Doubles) -> None:
        """Walk up and down from L3, placing two planes per vertebra."""
        n = len(self.names)
        centre = np.zeros((n, 3))
        anchor = self.names.index("L3")

        def step(upper: int) -> Doubles:
            """Vector from the centre of vertebra `upper` down to the centre of the next one."""
            across = normals[upper] + normals[upper + 1]
            across /= np.linalg.norm(across)
            own = normals[upper] * self.height[upper] + normals[upper + 1] * self.height[upper + 1]
            return np.asarray(-(own / 2 + across * self.gap[upper]))

        for k in range(anchor, n - 1):
            centre[k + 1] = centre[k] + step(k)
        for k in range(anchor, 0, -1):
            centre[k - 1] = centre[k] - step(k - 1)
        self.centre_mm = centre
        self.plane_point = np.zeros((2 * n, 3))
        self.plane_normal = np.zeros((2 * n, 3))
        for k in range(n):
            half = normals[k] * self.height[k] / 2
            for row, sign in ((2 * k, 1.0), (2 * k + 1, -1.0)):
                turn = sign * wedge[k] / 2  # a wedge is lower behind: the planes meet posteriorly
                x, y, z = normals[k]
                normal = np.array([x, y * np.cos(turn) + z * np.sin(turn), z * np.cos(turn) - y * np.sin(turn)])
                self.plane_point[row] = centre[k] + sign * half
                self.plane_normal[row] = normal / np.linalg.norm(normal)
        # Posterior axis in every plane: perpendicular to the normal, without lateral part.
        back = np.stack([np.zeros(2 * n), self.plane_normal[:, 2], -self.plane_normal[:, 1]], axis=1)
        self.plane_back = back / np.linalg.norm(back, axis=1, keepdims=True)
        self.plane_half_width = np.repeat(self.width, 2)
        self.plane_half_depth = np.repeat(self.depth, 2)

    def coordinates(self, x: Floats, y: Floats, z: Floats) -> SpineCoordinates:
        """Return the chain coordinates of points (n,) within reach of the column."""
        points = np.stack([x, y, z], axis=1)
        normal = self.plane_normal.astype(np.float32)
        offset = np.einsum("ij,ij->i", self.plane_point, self.plane_normal).astype(np.float32)
        height = points @ normal.T - offset  # (n, planes)
        # The first plane, from the top, that the point is above; far away the curved tail of the chain crosses over.
        height[:, -1] = 1.0
        unit = np.clip(np.argmax(height >= 0, axis=1), 1, len(offset) - 1)
        rows = np.arange(len(points))
        above = np.maximum(-height[rows, unit - 1], 0)
        below = np.maximum(height[rows, unit], 0)  # beyond the coccyx this is arbitrary, and so is the fraction
        fraction = above / np.maximum(above + below, 1e-3)

        def across(axis: Doubles) -> Floats:
            shift = np.einsum("ij,ij->i", self.plane_point, axis).astype(np.float32)
            along = axis.astype(np.float32)
            upper = np.einsum("ij,ij->i", points, along[unit - 1]) - shift[unit - 1]
            lower = np.einsum("ij,ij->i", points, along[unit]) - shift[unit]
            return np.asarray(upper + (lower - upper) * fraction, dtype=np.float32)

        lateral = np.cross(self.plane_back, self.plane_normal)
        return SpineCoordinates(unit, fraction, across(lateral), across(self.plane_back), above, below)

    def size_at(self, unit: np.ndarray, fraction: Floats) -> tuple[Floats, Floats]:
        """Return body half-width and half-depth (mm) at chain coordinates."""

        def blend(values: Doubles) -> Floats:
            table = values.astype(np.float32)
            upper = table[unit - 1]
            return np.asarray(upper + (table[unit] - upper) * fraction, dtype=np.float32)

        return blend(self.plane_half_width), blend(self.plane_half_depth)

    def level_planes(self) -> dict[str, EndPlates]:
        """Return the end-plate planes of every vertebra, T7 to S1 (S1: of the first sacral segment)."""
        return {
            name: EndPlates(
                self.plane_point[2 * k], self.plane_normal[2 * k], self.plane_point[2 * k + 1],
                self.plane_normal[2 * k + 1], self.centre_mm[k],
            )
            for k, name in enumerate(self.names[: self.first_sacral + 1])
        }  # fmt: skip

    def disc_planes(self) -> dict[str, MidPlane]:
        """Return the mid-plane of every disc, T7_T8 to the lumbosacral one."""
        planes = {}
        for k in range(self.first_sacral):
            normal = self.plane_normal[2 * k + 1] + self.plane_normal[2 * k + 2]
            point = (self.plane_point[2 * k + 1] + self.plane_point[2 * k + 2]) / 2
            planes[f"{self.names[k]}_{self.names[k + 1]}"] = MidPlane(point, normal / np.linalg.norm(normal))
        return planes
