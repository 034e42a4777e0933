"""Fit end-plate planes to the surface of a vertebral body, below the resolution of the grid.

Points are (lateral, caudal, posterior) in mm of the stack, as in `stack`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal.vertebrae.stack import Floats

PlaneFit = tuple[Floats, Floats]
"""A point and a cranial unit normal."""

CENTRAL_MM = 12.0
"""Half the width of the central part of the body that the planes are fitted to: beside it the rim curves away."""

DEPTH_SHARE = 0.42
"""Share of the anteroposterior depth, to either side of the centre, that is used: corners are round."""

STEP_MM = 0.5
REACH_MM = 27.0
"""How far from the centre an end-plate is looked for; the tallest bodies reach 18 mm."""

HALF_WIDTH_MM = 23.0
"""Typical half width of a lumbar body: where the hollow of its end-plates ends sideways."""

LATERAL_PRIOR = 1.0
"""Strength of the assumption that end-plates are level from side to side: mm of error that one unit of slope costs."""

HOLLOW_PRIOR = 0.1
"""Strength of the assumption that end-plates are flat: mm of error that one mm of hollow costs."""

OUTLIER_MM = 1.5
"""Surface points closer than this to the fitted plane are never left out."""

MIN_SHARE = 0.5
"""Share of the searched surface that must be found for a plane."""

MIN_POINTS = 8
"""Fewer surface points make no plane."""


def fit_end_plates(
    body: NDArray[np.float32], spacing_mm: Floats, centre: Floats, axis: Floats, depth_mm: float
) -> tuple[PlaneFit | None, PlaneFit | None, float]:
    """Return the superior plane, the inferior plane, and the share of surface points found.

    ``body`` (n, H, W) is the probability of vertebral body; ``axis`` (3,) a first guess of the cranial direction. A
    plane is None where less than half of the surface points are found: the body leaves the image there.
    """
    planes: list[PlaneFit | None] = [None, None]
    share = 0.0
    for _ in range(3):
        share = 0.0
        for i, sign in enumerate((1.0, -1.0)):
            points, found = _surface(body, spacing_mm, centre, sign * axis, axis, depth_mm, threshold_down=True)
            enough = len(points) >= MIN_POINTS and found >= MIN_SHARE
            planes[i] = _fit(points, axis, centre, depth_mm) if enough else None
            share += found / 2
        found_planes = [plane for plane in planes if plane is not None]
        if not found_planes:
            break
        mean = np.sum([normal for _, normal in found_planes], axis=0)
        axis = mean / np.linalg.norm(mean)
    return planes[0], planes[1], share


def fit_sacral_plate(
    sacrum: NDArray[np.float32], spacing_mm: Floats, point: Floats, normal: Floats, depth_mm: float
) -> PlaneFit | None:
    """Return the upper end-plate of S1, looked for below the last lumbar inferior plane; None if not seen."""
    points, found = _surface(sacrum, spacing_mm, point + 2.0 * normal, -normal, normal, depth_mm, threshold_down=False)
    if len(points) < MIN_POINTS or found < MIN_SHARE / 2:
        return None
    plane = _fit(points, normal, point, depth_mm)
    # The plate turns forwards at S1: look again along its own normal.
    points, found = _surface(
        sacrum, spacing_mm, plane[0] + 10.0 * plane[1], -plane[1], plane[1], depth_mm, threshold_down=False
    )
    return _fit(points, plane[1], plane[0], depth_mm) if len(points) >= MIN_POINTS else plane


def _surface(
    volume: NDArray[np.float32],
    spacing: Floats,
    centre: Floats,
    towards: Floats,
    axis: Floats,
    depth_mm: float,
    *,
    threshold_down: bool,
) -> tuple[Floats, float]:
    """March from a grid of start points along `towards` to where the probability crosses one half.

    Returns the crossing points (m, 3) and the share of start points that found one.
    """
    lateral = np.arange(volume.shape[0]) * spacing[0]
    lateral = lateral[np.abs(lateral - centre[0]) <= max(CENTRAL_MM, np.abs(lateral - centre[0]).min() + 1e-6)]
    across = np.array([0.0, -axis[2], axis[1]])
    across /= np.linalg.norm(across)
    offsets = np.arange(-DEPTH_SHARE, DEPTH_SHARE + 1e-6, 0.04) * depth_mm
    start = centre + offsets[None, :, None] * across
    start = np.repeat(start, len(lateral), axis=0)
    # Stay within the slice: move along the part of the direction that lies in it.
    flat = towards * np.array([0.0, 1.0, 1.0])
    flat /= np.linalg.norm(flat)
    slope = np.array([0.0, axis[1], axis[2]])
    drop = -(lateral - centre[0]) * axis[0] / max(float(np.hypot(axis[1], axis[2])), 0.2)
    start = start + (drop[:, None, None] * slope / max(float(np.linalg.norm(slope)), 0.2))
    start[:, :, 0] = lateral[:, None]
    steps = np.arange(0, REACH_MM, STEP_MM)
    path = start[:, :, None, :] + steps[None, None, :, None] * flat
    value = ndimage.map_coordinates(volume, (path / spacing).reshape(-1, 3).T, order=1, mode="nearest")
    value = value.reshape(path.shape[:3])
    inside = value > 0.5
    crossing = (inside[:, :, :-1] & ~inside[:, :, 1:]) if threshold_down else (~inside[:, :, :-1] & inside[:, :, 1:])
    found = crossing.any(axis=2)
    if not found.any():
        return np.zeros((0, 3)), 0.0
    index = crossing.argmax(axis=2)[found]
    before = np.take_along_axis(value[found], index[:, None], 1)[:, 0]
    after = np.take_along_axis(value[found], index[:, None] + 1, 1)[:, 0]
    exact = (index + (before - 0.5) / (before - after + 1e-9)) * STEP_MM
    return start[found] + exact[:, None] * flat, float(found.mean())


def _fit(points: Floats, axis: Floats, reference: Floats, depth_mm: float) -> PlaneFit:
    """Fit the plane of an end-plate's rim by least squares, the farthest points left out twice.

    End-plates are hollow: a paraboloid of free depth is fitted along with the plane, and the plane is laid where the
    hollow ends. The side-to-side tilt is held down. The returned point is where the line through `reference` along
    `axis` meets the plane.
    """
    across = np.array([0.0, -axis[2], axis[1]])
    across /= np.linalg.norm(across)
    side = np.cross(across, axis)
    side /= np.linalg.norm(side)
    kept = points
    coefficients = np.zeros(4)
    for _ in range(3):
        d = kept - reference
        u, w, h = d @ across, d @ side, d @ axis
        bowl = (2 * u / depth_mm) ** 2 + (w / HALF_WIDTH_MM) ** 2 - 1.0
        design = np.stack([np.ones(len(kept)), u, w, bowl], axis=1)
        strength = np.sqrt(len(kept))
        prior = np.diag([0.0, 0.0, LATERAL_PRIOR * strength, HOLLOW_PRIOR * strength])[2:]
        coefficients = np.linalg.lstsq(np.vstack([design, prior]), np.append(h, [0.0, 0.0]), rcond=None)[0]
        off = np.abs(h - design @ coefficients)
        limit = max(OUTLIER_MM, 2.5 * float(np.median(off)))
        if (off <= limit).all() or (off <= limit).sum() < MIN_POINTS:
            break
        kept = kept[off <= limit]
    normal = axis - coefficients[1] * across - coefficients[2] * side
    return reference + coefficients[0] * axis, normal / np.linalg.norm(normal)
