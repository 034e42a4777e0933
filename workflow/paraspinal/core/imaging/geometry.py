"""Image grids in patient space: LPS millimetres, sizes and spacings in (x, y, z) order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from paraspinal.core.vocab import Plane

GRID_TOLERANCE_MM = 1e-3
"""Two grids are one when no voxel centre of one lies farther than this from its twin in the other."""

PLANE_TOLERANCE_DEG = 30.0
"""A stack is axial, sagittal or coronal when its normal lies this close to that axis, else oblique."""


@dataclass(frozen=True)
class Grid:
    """A regular voxel grid.

    ``size`` and ``spacing_mm`` are in (x, y, z) = (column, row, slice) order; ``origin_mm`` is the centre of
    voxel (0, 0, 0) in LPS; ``direction`` is the row-major 3x3 matrix whose columns are the grid axes.
    """

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image) -> Grid:
        """Read the grid of a 3-D image."""
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    @property
    def axes(self) -> np.ndarray:
        """Unit axes of the grid as the columns of a (3, 3) array."""
        return np.asarray(self.direction, dtype=np.float64).reshape(3, 3)

    @property
    def affine(self) -> np.ndarray:
        """(4, 4) matrix from voxel index (i, j, k) to LPS millimetres."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.axes * np.asarray(self.spacing_mm)
        matrix[:3, 3] = self.origin_mm
        return matrix

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel, |det| of the affine."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def normal(self) -> np.ndarray:
        """Unit slice normal, (3,), pointing from slice 0 to slice 1."""
        return self.axes[:, 2]

    def to_world(self, index: np.ndarray) -> np.ndarray:
        """Map voxel indices (..., 3) in (i, j, k) order to LPS millimetres (..., 3)."""
        points: np.ndarray = np.asarray(index) @ self.affine[:3, :3].T + np.asarray(self.origin_mm)
        return points

    def to_index(self, points_mm: np.ndarray) -> np.ndarray:
        """Map LPS millimetres (..., 3) to continuous voxel indices (..., 3) in (i, j, k) order."""
        shifted = np.asarray(points_mm) - np.asarray(self.origin_mm)
        index: np.ndarray = shifted @ np.linalg.inv(self.affine[:3, :3]).T
        return index

    def corners_mm(self) -> np.ndarray:
        """Centres of the eight corner voxels, (8, 3), LPS millimetres."""
        last = np.asarray(self.size) - 1
        index = np.stack(np.meshgrid([0, last[0]], [0, last[1]], [0, last[2]], indexing="ij"), -1)
        return self.to_world(index.reshape(-1, 3))

    def image(self, array: np.ndarray) -> sitk.Image:
        """Wrap an array (z, y, x) of this grid's size as an image; raises ValueError on another shape."""
        if array.shape != self.size[::-1]:
            raise ValueError(f"array of shape {array.shape} on a grid of {self.size[::-1]}")
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm)
        image.SetDirection(self.direction)
        return image


def same_grid(a: Grid, b: Grid, tolerance_mm: float = GRID_TOLERANCE_MM) -> bool:
    """Whether two grids put every voxel centre at the same place within ``tolerance_mm``."""
    if a.size != b.size:
        return False
    return bool(np.abs(a.corners_mm() - b.corners_mm()).max() <= tolerance_mm)


def plane_of(normal: np.ndarray) -> Plane:
    """Name the plane of a stack by its slice normal, (3,) in LPS."""
    cosines = np.abs(np.asarray(normal, dtype=np.float64))
    axis = int(cosines.argmax())
    if np.degrees(np.arccos(min(1.0, cosines[axis]))) > PLANE_TOLERANCE_DEG:
        return Plane.OBLIQUE
    return (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)[axis]


def tilt_deg(normal: np.ndarray) -> float:
    """Angle between a slice normal, (3,) in LPS, and the long axis of the scanner."""
    return float(np.degrees(np.arccos(min(1.0, abs(float(normal[2]))))))


def plane_tilt_deg(normal: np.ndarray) -> float:
    """Angle between a slice normal, (3,) in LPS, and the patient axis it is nearest to; 0 to 54.7 degrees."""
    cosines = np.abs(np.asarray(normal, dtype=np.float64))
    return float(np.degrees(np.arccos(min(1.0, float(cosines.max() / np.linalg.norm(cosines))))))
