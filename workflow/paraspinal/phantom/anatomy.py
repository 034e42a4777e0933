"""The procedural person: tissue, label and intramuscular fat at any point of space.

World coordinates are LPS mm with the centre of L3 at the origin: +x left, +y posterior, +z superior.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from paraspinal.core.labels import muscle_labels
from paraspinal.core.vocab import Muscle, Side
from paraspinal.phantom.body import Body
from paraspinal.phantom.fat import FatField
from paraspinal.phantom.muscles import SideMuscles, muscle_contours
from paraspinal.phantom.parameters import AnatomyParameters, sample_parameters
from paraspinal.phantom.shapes import Contour, Floats, ZAxis, ZIndex, lookup, noise
from paraspinal.phantom.spine import EndPlates, MidPlane, Spine
from paraspinal.phantom.tissue import Tissue
from paraspinal.phantom.vertebrae import Column

__all__ = ["Anatomy", "AnatomyParameters", "EndPlates", "MidPlane", "Tissue", "sample_parameters"]

Z_RANGE_MM = (-230.0, 230.0)
"""Extent of the tables; beyond it the nearest row continues."""

COLUMN_REACH_MM = (74.0, -32.0, 96.0)
"""Box around the centre line that can hold bone: |x|, y from, y to."""

_DEFORMATION_WAVELENGTH_MM = (110.0, 110.0, 130.0)
_ROOT_WAVELENGTH_MM = (3.2, 3.2, 90.0)
_SEPTUM_FADES = (2.0, 4.5)
"""Level coordinates over which the septum between multifidus and erector spinae thins to a quarter."""


class Anatomy:
    """One person as implicit functions of space; building one takes a few tens of milliseconds."""

    def __init__(self, parameters: AnatomyParameters | None = None) -> None:
        """Build the tables of the person (the defaults are a normal adult)."""
        self.parameters = p = parameters or AnatomyParameters()
        self.spine = Spine(p)
        self.axis = ZAxis(Z_RANGE_MM[0], int((Z_RANGE_MM[1] - Z_RANGE_MM[0]) / 2) + 1)
        rng = np.random.default_rng([p.seed, 5])
        self._warp = [noise(rng, _DEFORMATION_WAVELENGTH_MM, 5) for _ in range(3)]
        self.column = Column(self.spine, p, noise(rng, _ROOT_WAVELENGTH_MM, 12))
        z = self.axis.z_mm
        centres = self.spine.centre_mm[::-1]
        self.level_of_row = np.interp(z, centres[:, 2], self.spine.station[::-1])
        self.centre_x = np.interp(z, centres[:, 2], centres[:, 0]).astype(np.float32)
        self.centre_y = np.interp(z, centres[:, 2], centres[:, 1]).astype(np.float32)
        centre = (self.centre_x, self.centre_y)
        self.muscles = muscle_contours(p, self.axis, self.level_of_row, centre, self._lamina_y())
        back = self._muscle_back()
        self.body = Body(p, self.axis, self.level_of_row, centre, back)
        self._septum = np.interp(self.level_of_row, _SEPTUM_FADES, (1.0, 0.25)).astype(np.float32) * np.float32(
            p.septum_mm
        )

    def tissue_and_label(self, points_mm: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return tissue (..., uint8, see Tissue) and label (..., uint16, 0 where none) of points (..., 3) in LPS mm."""
        points = np.asarray(points_mm, dtype=np.float32)
        flat = points.reshape(-1, 3)
        x, y, z = (np.ascontiguousarray(flat[:, k]) for k in range(3))
        sx, sy, sz = self._soft(x, y, z)
        at = self.axis.index(sz)
        tissue = self.body(sx, sy, sz, at)
        label = np.zeros(len(flat), dtype=np.uint16)
        # Ribs and organs never cover the eight muscles; the skin does.
        free = (tissue != Tissue.AIR) & (tissue != Tissue.SKIN)
        for side, contours in self.muscles.items():
            self._paint_side(side, contours, sx, sy, at, free, tissue, label)
        half_x, front, behind = COLUMN_REACH_MM
        dy = y - lookup(self.centre_y, self.axis.index(z))
        near = np.flatnonzero((np.abs(x) < half_x) & (dy > front) & (dy < behind) & (tissue != Tissue.AIR))
        if near.size:
            nx, ny, nz = x[near], y[near], z[near]
            bone = self.column(self.spine.coordinates(nx, ny, nz), nx, ny, nz)
            # Muscle lies on the fat of the arch, not under it.
            yields = (bone.tissue == Tissue.EPIDURAL_FAT) & (bone.label == 0) & (label[near] != 0)
            keep = bone.is_set & ~yields
            tissue[near[keep]] = bone.tissue[keep]
            label[near[keep]] = bone.label[keep]
        return tissue.reshape(points.shape[:-1]), label.reshape(points.shape[:-1])

    def intramuscular_fat(self, points_mm: ArrayLike) -> Floats:
        """Return the fat fraction field in [0, 1] at points (..., 3); 0 outside the eight muscles."""
        points = np.asarray(points_mm, dtype=np.float32)
        _, label = self.tissue_and_label(points)
        return self.fat_of(points, label)

    def fat_of(self, points_mm: Floats, label: np.ndarray) -> Floats:
        """Return the fat fraction at points whose label is already known; 0 outside the eight muscles."""
        return self._fat(np.asarray(points_mm, dtype=np.float32), label)

    def level_planes(self) -> dict[str, EndPlates]:
        """Return the exact end-plate planes and centres of the vertebrae, T7 to S1."""
        return self.spine.level_planes()

    def disc_planes(self) -> dict[str, MidPlane]:
        """Return the mid-planes of the discs, T7_T8 to the lumbosacral one."""
        return self.spine.disc_planes()

    @cached_property
    def _fat(self) -> FatField:
        return FatField(self.parameters, self._muscle_samples)

    def _muscle_samples(self) -> tuple[Floats, np.ndarray]:
        """Return points (n, 3) spread evenly through the muscles, and their labels."""
        step, (top, bottom) = (4.0, 4.0, 7.0), (95.0, -130.0)
        # Half a step of offset keeps the samples off the mirror plane.
        grids = np.meshgrid(
            np.arange(-102, 103, step[0]), np.arange(-110, 111, step[1]), np.arange(bottom, top, step[2]), indexing="ij"
        )
        points = np.stack([g.ravel() for g in grids], axis=1).astype(np.float32)
        _, label = self.tissue_and_label(points)
        keep = np.isin(label, list(muscle_labels().values()))
        return points[keep], label[keep]

    def _soft(self, x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats, Floats]:
        """Move points into the undeformed soft-tissue frame."""
        size = np.float32(self.parameters.deformation_mm * 0.6)
        if size == 0:
            return x, y, z
        shifts = [warp(x, y, z) * size for warp in self._warp]
        return x + shifts[0], y + shifts[1], z + shifts[2]

    def _paint_side(
        self, side: Side, contours: SideMuscles, x: Floats, y: Floats, at: ZIndex,
        free: np.ndarray, tissue: np.ndarray, label: np.ndarray,
    ) -> None:  # fmt: skip
        """Paint the four muscles of one side with the fat planes between them."""
        gap = np.float32(self.parameters.septum_mm)
        codes = muscle_labels()

        def paint(index: np.ndarray, muscle: Muscle) -> None:
            tissue[index] = Tissue.MUSCLE
            label[index] = codes[muscle, side]

        def signed(shape: Contour) -> tuple[np.ndarray, Floats]:
            low_x, high_x, low_y, high_y = shape.bounds_mm()
            box = free & (x > low_x - 3) & (x < high_x + 3) & (y > low_y - 3) & (y < high_y + 3)
            index = np.flatnonzero(box)
            return index, shape.distance(x[index], y[index], ZIndex(at.row[index], at.weight[index]))

        for muscle, shape in ((Muscle.PSOAS_MAJOR, contours.psoas), (Muscle.QUADRATUS_LUMBORUM, contours.quadratus)):
            index, distance = signed(shape)
            rim = (distance > -gap) & (distance <= 0)
            tissue[index[rim]] = Tissue.FASCIA
            label[index[rim]] = 0
            paint(index[distance > 0], muscle)
        index, distance = signed(contours.compartment)
        here = ZIndex(at.row[index], at.weight[index])
        inner = contours.multifidus.distance(x[index], y[index], here)
        union = np.maximum(distance, inner)
        rim = (union > -gap) & (union <= 0)
        tissue[index[rim]] = Tissue.FASCIA
        label[index[rim]] = 0
        septum = lookup(self._septum, here)
        inside = union > 0
        tissue[index[inside]] = Tissue.FASCIA
        label[index[inside]] = 0
        paint(index[inside & (inner > 0)], Muscle.MULTIFIDUS)
        paint(index[inside & (inner < -septum)], Muscle.ERECTOR_SPINAE)

    def _lamina_y(self) -> Floats:
        """Return the posterior position of the inner face of the laminae in every row."""
        spine, p = self.spine, self.parameters
        back = (spine.plane_back[::2] + spine.plane_back[1::2]) / 2
        shrink = np.clip(1 - 0.17 * (spine.station - 4.6), 0.25, 1)
        arch = spine.centre_mm + back * (0.92 * spine.depth + p.canal_depth_mm * shrink)[:, None]
        order = np.argsort(arch[:, 2])
        return np.asarray(np.interp(self.axis.z_mm, arch[order, 2], arch[order, 1]), dtype=np.float32)

    def _muscle_back(self) -> Floats:
        """Return how far back the erector compartment reaches in every row."""
        reach = []
        for contours in self.muscles.values():
            shape = contours.compartment
            direction = np.sin(np.arange(shape.radius_mm.shape[1]) * (2 * np.pi / shape.radius_mm.shape[1]))
            reach.append(shape.centre_y_mm + (shape.radius_mm * direction).max(axis=1))
        return np.asarray(np.max(reach, axis=0), dtype=np.float32)
