"""Number the vertebrae of one volume from the network's answer, upwards from the sacrum.

Inside, points are (lateral, caudal, posterior) in mm from the first pixel, as in `spine_bodies`; everything handed out
is in LPS mm of the patient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy import ndimage

from paraspinal.core.labels import disc_labels, label_by_name, vertebra_labels
from paraspinal.core.vocab import LevelNumbering
from paraspinal.models.spine_bodies import (
    BODY,
    LAST_LUMBAR,
    S1,
    SACRUM,
    Body,
    Floats,
    Plane,
    SagittalStack,
    area_mm2,
    central_slices,
    depth_mm,
    find_bodies,
    offsets_from,
)
from paraspinal.models.spine_planes import PlaneFit, fit_end_plates, fit_sacral_plate

COUNTED_UPWARDS = ("L5", "L4", "L3", "L2", "L1", "T12", "T11")
"""Names given from the sacrum upwards. A sixth lumbar vertebra cannot be told from T12 without ribs."""

SACRUM_SEARCH_MM = (14.0, 52.0)
"""Where the middle of S1 lies as seen from the last lumbar centre."""

SACRUM_SEEN_MM3 = 3000.0
"""Volume of sacrum beside the last lumbar body that counts as certainly seen."""

MIN_EVIDENCE = 0.45
"""Mean of the three pieces of evidence for the lumbosacral junction below which numbering is refused."""

MIN_SECOND_EVIDENCE = 0.3
"""At least two of the three pieces must reach this: one alone is no proof."""

AMBIGUOUS_RATIO = 0.5
UNDECIDED_RATIO = 0.75
"""A second junction with this share of the evidence makes a transitional vertebra likely, or numbering impossible."""

MIN_SACRUM_MM = 32.0
"""The height of a tall lumbar body: less sacrum in view might be such a body, cut by the lower border of the image."""

MIN_S1_HEAT = 0.25
HALF_S1_MM = 14.0
"""Below this heat the centre of S1 is laid half its height below its upper end-plate."""

TRUNCATED_FACTOR = 0.6
"""Confidence left to a body that the image border cuts."""

BORDER_MM = 5.0
"""An end-plate this close to the first or last row of the image is not to be trusted."""


@dataclass(frozen=True)
class LevelGeometry:
    """One vertebra; ``level`` and ``label`` are None where the numbering is unresolved.

    ``centre_mm`` (3,) of the body and the planes are in LPS mm; a plane is None where the image ends before it, and
    the inferior one of S1 always. ``body_area_mm2`` is the cross-section of the body at mid-height, None for S1.
    ``confidence`` in [0, 1] covers shape and number.
    """

    level: str | None
    label: int | None
    centre_mm: Floats
    superior: Plane | None
    inferior: Plane | None
    body_area_mm2: float | None
    is_truncated: bool
    confidence: float


@dataclass(frozen=True)
class DiscGeometry:
    """One disc: the plane half-way between the two end-plates around it."""

    level: str | None
    label: int | None
    mid: Plane
    confidence: float


@dataclass(frozen=True)
class SpineLevels:
    """All levels of a volume, caudal first, S1 included where its upper end-plate is seen.

    ``junction_evidence`` in [0, 1] is how surely the lumbosacral junction was found.
    """

    levels: tuple[LevelGeometry, ...]
    discs: tuple[DiscGeometry, ...]
    numbering: LevelNumbering
    lstv_suspected: bool
    junction_evidence: float


def find_levels(stack: SagittalStack) -> SpineLevels:
    """Find, number and measure the vertebrae of a stack.

    Numbers only where the lumbosacral junction is seen: otherwise bodies come without names and the numbering is
    ``unresolved``. With no body at all the lists are empty.
    """
    bodies = find_bodies(stack)
    if not bodies:
        return SpineLevels((), (), LevelNumbering.UNRESOLVED, False, 0.0)
    evidence = np.array([_junction_evidence(stack, body) for body in bodies])
    scores = evidence.mean(axis=1)
    last = int(scores.argmax())
    others = np.delete(scores, last)
    rival = float(others.max(initial=0.0)) / max(float(scores[last]), 1e-6)
    is_seen = bool(scores[last] >= MIN_EVIDENCE and np.sort(evidence[last])[1] >= MIN_SECOND_EVIDENCE)
    is_suspected = is_seen and (rival > AMBIGUOUS_RATIO or last > 0)
    junction = float(scores[last]) * (1.0 - max(0.0, rival - 0.5))
    column = bodies[last:]
    measured = [_measure(stack, column, i) for i in range(len(column))]
    s1 = _s1(stack, column[0], measured[0], junction) if is_seen and rival <= UNDECIDED_RATIO else None
    if s1 is None:
        unnamed = tuple(_measure(stack, bodies, i) for i in range(len(bodies)))
        return SpineLevels(unnamed, _discs(unnamed), LevelNumbering.UNRESOLVED, is_suspected, float(scores[last]))
    named = tuple(
        replace(level, level=name, label=vertebra_labels()[name], confidence=level.confidence * junction * certainty)
        for level, (name, certainty) in zip(measured, _count(column), strict=True)
        if name is not None
    )
    levels = (s1, *named)
    return SpineLevels(levels, _discs(levels), LevelNumbering.COUNTED_FROM_SACRUM, is_suspected, junction)


def _heat(stack: SagittalStack, which: int, centre: Floats, radius_mm: float) -> float:
    """Return the highest value of a heatmap near a point, averaged over the nearest slices."""
    slices = central_slices(stack, centre, 4.5)
    composite = stack.heatmaps[slices, which].mean(axis=0)
    rows = np.arange(composite.shape[0])[:, None] * stack.spacing_mm[1] - centre[1]
    cols = np.arange(composite.shape[1])[None] * stack.spacing_mm[2] - centre[2]
    return float(np.where(np.hypot(rows, cols) <= radius_mm, composite, 0.0).max())


def _junction_evidence(stack: SagittalStack, body: Body) -> Floats:
    """Evidence (3,) in [0, 1] that this is the last body above S1: its own heatmap, that of S1, sacrum below."""
    own = _heat(stack, LAST_LUMBAR, body.centre, 10.0)
    rows, cols, distance = offsets_from(stack, body)
    ring = (rows > 6) & (cols > -25) & (distance > SACRUM_SEARCH_MM[0]) & (distance < SACRUM_SEARCH_MM[1])
    slices = central_slices(stack, body.centre, 6.5)
    s1 = float((stack.heatmaps[slices, S1].mean(axis=0) * ring).max())
    is_sacrum = stack.probabilities[slices].argmax(axis=1) == SACRUM
    near = ring & (distance < SACRUM_SEARCH_MM[1] - 10)
    thickness = max(13.0, len(slices) * stack.spacing_mm[0])
    area = float((is_sacrum.mean(axis=0) * near).sum()) * stack.spacing_mm[1] * stack.spacing_mm[2]
    return np.array([own, s1, min(1.0, area * thickness / SACRUM_SEEN_MM3)])


def _s1(stack: SagittalStack, last: Body, level: LevelGeometry, confidence: float) -> LevelGeometry | None:
    """Measure S1: its upper end-plate below the last lumbar one, its centre from its heatmap if that shows one.

    None where no more of the sacrum is in view than could be a lumbar body cut by the image border.
    """
    if level.inferior is None:
        return None
    point = (level.inferior.point_mm - stack.origin_mm) @ stack.axes
    normal = stack.axes.T @ level.inferior.normal
    sacrum = stack.probabilities[:, SACRUM]
    plate = fit_sacral_plate(sacrum, stack.spacing_mm, point, normal, depth_mm(stack, last))
    if plate is None or _sacrum_depth_mm(stack, plate) < MIN_SACRUM_MM:
        return None
    rows, _, distance = offsets_from(stack, last)
    heat = stack.heatmaps[central_slices(stack, last.centre, 6.5), S1].mean(axis=0)
    heat = heat * ((rows > 6) & (distance < SACRUM_SEARCH_MM[1]))
    if heat.max() >= MIN_S1_HEAT:
        row, col = np.array(ndimage.center_of_mass(np.where(heat > 0.5 * heat.max(), heat, 0))) * stack.spacing_mm[1:]
        centre = np.array([last.centre[0], row, col])
    else:
        centre = plate[0] - HALF_S1_MM * plate[1]
    is_truncated = bool(centre[1] + HALF_S1_MM > stack.rows_in_view[1] * stack.spacing_mm[1])
    return LevelGeometry(
        "S1",
        label_by_name("sacrum").code,
        stack.to_world(centre),
        stack.plane(*plate),
        None,
        None,
        is_truncated,
        confidence,
    )


def _sacrum_depth_mm(stack: SagittalStack, plate: PlaneFit) -> float:
    """How far the sacrum is seen below its upper end-plate, along the plate's normal."""
    point, normal = plate
    is_sacrum = stack.probabilities[central_slices(stack, point, 6.5)].argmax(axis=1) == SACRUM
    pixels = np.argwhere(is_sacrum.mean(axis=0) > 0.5) * stack.spacing_mm[1:]
    return float(np.percentile((point[1:] - pixels) @ normal[1:], 97)) if len(pixels) else 0.0


def _count(column: list[Body]) -> list[tuple[str | None, float]]:
    """Name bodies upwards, each with the certainty of its number.

    A gap as wide as two levels skips a name, and each skipped level halves the certainty of what lies above.
    """
    names: list[tuple[str | None, float]] = []
    position, certainty = 0, 1.0
    for i in range(len(column)):
        if i:
            step = _levels_between(column, i)
            position += step
            certainty *= 0.5 ** (step - 1)
        names.append((COUNTED_UPWARDS[position] if position < len(COUNTED_UPWARDS) else None, certainty))
    return names


def _levels_between(column: list[Body], i: int) -> int:
    """How many levels lie between bodies i - 1 and i, by their distance over the usual one (1 if adjacent)."""
    centres = np.array([b.centre for b in column])
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    usual = float(np.median(steps)) if len(steps) > 2 else 34.0
    return max(1, round(float(steps[i - 1]) / usual - 0.15))


def _measure(stack: SagittalStack, column: list[Body], i: int) -> LevelGeometry:
    """Measure one body of a column, without a name."""
    body = column[i]
    up, down = column[min(i + 1, len(column) - 1)].centre, column[max(i - 1, 0)].centre
    axis = np.array([0.0, -1.0, 0.0])
    if len(column) > 1:
        axis = (up - down) / np.linalg.norm(up - down)
    superior, inferior, share = fit_end_plates(
        stack.probabilities[:, BODY], stack.spacing_mm, body.centre, axis, depth_mm(stack, body)
    )
    superior, inferior = (None if _lies_on_border(stack, plane) else plane for plane in (superior, inferior))
    normals = [plane[1] for plane in (superior, inferior) if plane]
    if normals:
        axis = np.mean(normals, axis=0)
    score = body.certainty * share * (TRUNCATED_FACTOR if body.is_truncated else 1.0)
    return LevelGeometry(
        None,
        None,
        stack.to_world(body.centre),
        stack.plane(*superior) if superior else None,
        stack.plane(*inferior) if inferior else None,
        area_mm2(body, axis),
        body.is_truncated,
        float(np.clip(score, 0, 1)),
    )


def _lies_on_border(stack: SagittalStack, plane: PlaneFit | None) -> bool:
    """Whether what was taken for an end-plate is only where the image ends."""
    border = np.array(stack.rows_in_view) * stack.spacing_mm[1]
    return plane is not None and bool(np.abs(plane[0][1] - border).min() < BORDER_MM)


def _discs(levels: tuple[LevelGeometry, ...]) -> tuple[DiscGeometry, ...]:
    """Lay a mid-plane between every two neighbours whose facing end-plates were found."""
    discs = []
    for lower, upper in pairwise(levels):
        if upper.inferior is None or lower.superior is None:
            continue
        name = f"{upper.level}_{lower.level}" if upper.level and lower.level else None
        if name is not None and name not in disc_labels():
            continue
        normal = upper.inferior.normal + lower.superior.normal
        middle = Plane((upper.inferior.point_mm + lower.superior.point_mm) / 2, normal / np.linalg.norm(normal))
        label = disc_labels()[name] if name else None
        discs.append(DiscGeometry(name, label, middle, min(lower.confidence, upper.confidence)))
    return tuple(discs)
