"""Which slices belong to a level: weights of the slices of a stack for slabs and planes.

All positions are in slices along the stack's normal: slice k is centred at k and stands for the interval
[k - 1/2, k + 1/2], one slice *spacing* wide whatever the slice thickness, so that gaps between slices are shared out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.imaging.geometry import Grid

Vector = NDArray[np.float64]
Weights = NDArray[np.float64]

MAX_TILT_DEG = 60.0
"""A body steeper than this to the slices has no level on them: they would cut it lengthwise, not across."""


@dataclass(frozen=True)
class Plane:
    """A plane by a point (LPS mm) and a unit normal, both (3,)."""

    point_mm: Vector
    normal: Vector

    @classmethod
    def of(cls, point_mm: object, normal: object) -> Plane | None:
        """Build a plane from two lists of three numbers; None if either is missing or the normal has no length."""
        if point_mm is None or normal is None:
            return None
        vector = np.asarray(normal, dtype=np.float64)
        length = float(np.linalg.norm(vector))
        if not length > 0:
            return None
        return cls(np.asarray(point_mm, dtype=np.float64), vector / length)

    def crossed_by(self, through_mm: Vector, axis: Vector) -> Vector:
        """Where the line through a point (3,) along ``axis`` (3,) meets the plane, (3,); they must not be parallel."""
        step = float((self.point_mm - through_mm) @ self.normal) / float(axis @ self.normal)
        return np.asarray(through_mm + step * axis)


@dataclass(frozen=True)
class Stack:
    """The slices of a scan: centre of the first voxel (LPS mm), unit normal, spacing (mm) and count."""

    origin_mm: Vector
    normal: Vector
    spacing_mm: float
    n_slices: int

    @classmethod
    def of(cls, grid: Grid) -> Stack:
        """Describe the slices of a grid, in stored order."""
        return cls(np.asarray(grid.origin_mm), grid.normal, grid.spacing_mm[2], grid.size[2])

    def position(self, point_mm: Vector) -> float:
        """Position of a point (3,) along the normal, in slices from the first."""
        return float(self.normal @ (point_mm - self.origin_mm)) / self.spacing_mm

    def slab(self, first: float, last: float) -> tuple[Weights, float]:
        """Weigh the slices of the slab between two positions (any order).

        Returns the share of every slice's interval that lies inside the slab, (n_slices,), and the share of the slab
        that the stack covers.
        """
        low, high = sorted((first, last))
        centre = np.arange(self.n_slices, dtype=np.float64)
        inside = np.minimum(high, centre + 0.5) - np.maximum(low, centre - 0.5)
        weights = np.clip(inside, 0.0, 1.0)
        return weights, float(weights.sum() / (high - low)) if high > low else 0.0

    def plane(self, position: float) -> tuple[Weights, float]:
        """Weigh the slices for a plane: linear between the two nearest, summing to 1.

        A plane in the outer half of the first or last slice takes that slice alone; outside, all weights are 0.
        Returns the weights, (n_slices,), and 1 if the plane is inside the stack, else 0.
        """
        weights = np.zeros(self.n_slices)
        if not -0.5 <= position <= self.n_slices - 0.5:
            return weights, 0.0
        clamped = min(max(position, 0.0), self.n_slices - 1.0)
        below = min(int(clamped), max(self.n_slices - 2, 0))
        weights[below] = 1.0 - (clamped - below)
        if self.n_slices > 1:
            weights[below + 1] = clamped - below
        return weights, 1.0

    def angle_deg(self, direction: Vector) -> float:
        """Angle between the slice normal and a direction (3,), without regard to sign, in degrees."""
        cosine = abs(float(self.normal @ direction)) / float(np.linalg.norm(direction))
        return float(np.degrees(np.arccos(min(1.0, cosine))))
