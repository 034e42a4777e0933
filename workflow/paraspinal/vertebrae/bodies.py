"""Separate the vertebral bodies that a network found in a stack of sagittal slices.; points are in mm of the stack."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal.vertebrae.answer import SpineClass
from paraspinal.vertebrae.stack import Floats, SagittalStack

MIN_BODY_MM3 = 4000.0
"""A vertebral body fills 20 to 60 cm3; less than this is a fragment."""

MERGE_MM = 13.0
"""Maxima whose heights differ by less are one body; neighbours are at least 20 mm apart."""

SEED_SIGMA_MM = np.array([7.0, 4.0, 8.0])
SEED_SPACING_MM = (12.0, 9.0, 12.0)
MIN_SEED = 0.3
"""Smoothing, distance and least height of the maxima that stand for bodies (lateral, caudal, posterior)."""

LATERAL_WEIGHT = np.array([0.4, 1.0, 1.0])
BODY_REACH_MM = 30.0
"""A voxel belongs to the nearest maximum, sideways distance counting less, if it is not farther than this."""

OFF_COLUMN_MM = 22.0
"""A body farther than this from the smooth curve through the others is none."""

BROAD_SHARE, MAX_HALF_WIDTH_MM = 0.5, 29.0
"""Share of its largest slice that a slice well within a body shows, and half the width of the widest bodies."""

AREA_SLAB_MM = 12.0
"""Thickness of the slab at mid-height in which the cross-section is measured."""


@dataclass(frozen=True)
class Body:
    """One vertebral body: ``centre`` (3,) and ``points`` (m, 3) of its voxels in stack mm."""

    centre: Floats
    points: Floats
    voxel_mm3: float
    is_truncated: bool
    certainty: float


def find_bodies(stack: SagittalStack) -> list[Body]:
    """Separate the bodies and sort them from caudal to cranial."""
    mask = stack.probabilities.argmax(axis=1) == SpineClass.VERTEBRAL_BODY
    seeds = _seeds(stack.probabilities[:, SpineClass.VERTEBRAL_BODY], stack.spacing_mm)
    if not mask.any() or not len(seeds):
        return []
    index = np.argwhere(mask)
    points = index * stack.spacing_mm
    distance = np.linalg.norm((points[:, None] - seeds[None]) * LATERAL_WEIGHT, axis=2)
    owner = np.where(distance.min(axis=1) < BODY_REACH_MM, distance.argmin(axis=1), -1)
    probability = stack.probabilities[:, SpineClass.VERTEBRAL_BODY][mask]
    first, last = stack.rows_in_view
    voxel = float(np.prod(stack.spacing_mm))
    bodies = []
    for k in range(len(seeds)):
        inside = owner == k
        if inside.sum() * voxel < MIN_BODY_MM3:
            continue
        inside = _without_stray_slices(index, inside, points)
        centre = points[inside].mean(axis=0)
        rows = index[inside & (np.abs(points[:, 2] - centre[2]) < 5), 1]
        if len(rows) == 0:
            rows = index[inside, 1]
        edge = bool(rows.min() <= first + 1 or rows.max() >= last - 1)
        bodies.append(Body(centre, points[inside], voxel, edge, float(probability[inside].mean())))
    bodies.sort(key=lambda body: -body.centre[1])
    return _on_column(bodies)


def _without_stray_slices(index: NDArray[np.int64], inside: NDArray[np.bool_], points: Floats) -> NDArray[np.bool_]:
    """Keep the slices (first column of ``index``) next to each other that show a body broadly, and half a body's width.

    Where the column curves sideways a slice beside a body shows pieces of its neighbours.
    """
    area = np.bincount(index[inside, 0])
    is_broad = area >= BROAD_SHARE * area.max()
    run, _ = ndimage.label(is_broad)
    core = run[index[:, 0].clip(max=len(area) - 1)] == run[int(area.argmax())]
    middle = points[inside & core, 0].mean()
    return np.asarray(inside & (np.abs(points[:, 0] - middle) <= MAX_HALF_WIDTH_MM))


def _seeds(probability: NDArray[np.float32], spacing: Floats) -> Floats:
    """Find one point per body, (m, 3) stack mm: maxima of the probability smoothed to the shape of a body.

    Discs stay visible because the smoothing is short along the column.
    """
    smooth = ndimage.gaussian_filter(probability, SEED_SIGMA_MM / spacing, truncate=3.0)
    size = tuple(2 * round(r / s) + 1 for r, s in zip(SEED_SPACING_MM, spacing, strict=True))
    peaks = np.argwhere((smooth == ndimage.maximum_filter(smooth, size)) & (smooth > MIN_SEED))
    height = smooth[tuple(peaks.T)]
    kept: list[Floats] = []
    for point in peaks[np.argsort(-height)] * spacing:
        if all(abs(point[1] - other[1]) >= MERGE_MM for other in kept):
            kept.append(point)
    return np.array(kept).reshape(-1, 3)


def _on_column(bodies: list[Body]) -> list[Body]:
    """Drop what does not lie on the smooth curve through the others."""
    while len(bodies) > 3:
        centres = np.array([b.centre for b in bodies])
        weight = np.sqrt([len(b.points) for b in bodies])
        degree = 2 if len(bodies) > 4 else 1
        off = np.zeros(len(bodies))
        for axis in (0, 2):
            curve = np.polyfit(centres[:, 1], centres[:, axis], degree, w=weight)
            off = np.maximum(off, np.abs(np.polyval(curve, centres[:, 1]) - centres[:, axis]))
        worst = int(off.argmax())
        if off[worst] < OFF_COLUMN_MM:
            break
        bodies = bodies[:worst] + bodies[worst + 1 :]
    return bodies


def central_slices(stack: SagittalStack, centre: Floats, reach_mm: float) -> NDArray[np.int64]:
    """Return the indices of the slices within reach of a point, at least one."""
    distance = np.abs(np.arange(len(stack.probabilities)) * stack.spacing_mm[0] - centre[0])
    return np.nonzero(distance <= max(reach_mm, float(distance.min()) + 1e-6))[0]


def offsets_from(stack: SagittalStack, body: Body) -> tuple[Floats, Floats, Floats]:
    """Return how far every pixel (H, W) of a slice lies caudally, posteriorly and in all from a body's centre."""
    shape = stack.heatmaps.shape[2:]
    rows = np.arange(shape[0])[:, None] * stack.spacing_mm[1] - body.centre[1]
    cols = np.arange(shape[1])[None] * stack.spacing_mm[2] - body.centre[2]
    return rows + 0 * cols, cols + 0 * rows, np.hypot(rows, cols)


def depth_mm(stack: SagittalStack, body: Body) -> float:
    """Return the anteroposterior depth of a body at mid-height, held within plausible bounds."""
    mask = stack.probabilities[central_slices(stack, body.centre, 6.5)].argmax(axis=1) == SpineClass.VERTEBRAL_BODY
    rows, _, distance = offsets_from(stack, body)
    level = (np.abs(rows) < 6) & (distance < 30)
    widths = (mask & level).sum(axis=2)
    filled = widths[widths > 3]
    return float(np.clip(np.median(filled) * stack.spacing_mm[2], 20, 48)) if len(filled) else 32.0


def area_mm2(body: Body, axis: Floats) -> float:
    """Return the cross-section at mid-height: the volume of a slab across the axis over its thickness."""
    height = (body.points - body.centre) @ axis / np.linalg.norm(axis)
    return float(np.count_nonzero(np.abs(height) < AREA_SLAB_MM / 2)) * body.voxel_mm3 / AREA_SLAB_MM
