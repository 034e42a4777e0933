"""Number the vertebrae of one volume from the network's answer, upwards from the sacrum.

Inside, points are (lateral, caudal, posterior) in mm from the first pixel, as in `stack`; everything handed out
is in LPS mm of the patient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy import ndimage

from paraspinal.core.labels import disc_labels, label_by_name, vertebra_labels
from paraspinal.core.vocab import LevelNumbering
from paraspinal.vertebrae.answer import Heatmap, SpineClass
from paraspinal.vertebrae.bodies import Body, area_mm2, central_slices, depth_mm, find_bodies, offsets_from
from paraspinal.vertebrae.end_plates import PlaneFit, fit_end_plates, fit_sacral_plate
from paraspinal.vertebrae.junction import SACRUM_SEARCH_MM, Junction, find_junction
from paraspinal.vertebrae.stack import Floats, Plane, SagittalStack

LUMBAR_UPWARDS = ("L5", "L4", "L3", "L2", "L1")
COUNTED_UPWARDS = (*LUMBAR_UPWARDS, "T12", "T11")
"""Names given from the sacrum upwards. A sixth lumbar vertebra cannot be told from T12 without ribs."""

MIN_PROBABILITY = 0.95
"""A numbering less probable than this is refused: a wrong number is worse than none."""

SUSPECT_PROBABILITY, SUSPECT_LIKENESS = 0.02, 0.5
"""Another numbering this probable, or a body this like the last lumbar one, makes a transitional vertebra likely."""

FIVE_LUMBAR = 0.9
"""Share of people with five lumbar vertebrae: how surely the body above L1 is T12 when nothing but counting says so."""

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

    ``junction_evidence`` in [0, 1] is the probability of the numbering, of the best one where it is refused;
    ``nameless_mm`` are the centres (3,) of bodies beyond the names of a numbered column, LPS.
    """

    levels: tuple[LevelGeometry, ...]
    discs: tuple[DiscGeometry, ...]
    numbering: LevelNumbering
    lstv_suspected: bool
    junction_evidence: float
    nameless_mm: tuple[Floats, ...] = ()


def find_levels(stack: SagittalStack) -> SpineLevels:
    """Find, number and measure the vertebrae of a stack.

    Numbers only where the lumbosacral junction is seen: otherwise bodies come without names and the numbering is
    ``unresolved``. With no body at all the lists are empty.
    """
    bodies = find_bodies(stack)
    if not bodies:
        return SpineLevels((), (), LevelNumbering.UNRESOLVED, False, 0.0)
    unnamed = tuple(_measure(stack, bodies, i) for i in range(len(bodies)))
    tilts = np.array([[_tilt_deg(level.inferior), _tilt_deg(level.superior)] for level in unnamed])
    junction = find_junction(stack, bodies, tilts)
    is_suspected = junction.rival > SUSPECT_PROBABILITY or junction.likeness > SUSPECT_LIKENESS
    if junction.last is None or not junction.is_sacrum_seen or junction.probability < MIN_PROBABILITY:
        discs = _discs(unnamed)
        return SpineLevels(unnamed, discs, LevelNumbering.UNRESOLVED, is_suspected, junction.probability)
    column = bodies[junction.last :]
    names = _count(column)
    named = tuple(
        replace(
            _measure(stack, column, i) if i == 0 else unnamed[junction.last + i],
            level=name,
            label=vertebra_labels()[name],
            confidence=unnamed[junction.last + i].confidence * junction.probability * certainty,
        )
        for i, (name, certainty) in enumerate(names)
        if name is not None
    )
    s1 = _s1(stack, column[0], named[0], junction)
    below = unnamed[: junction.last]
    if s1 is None and below:  # the network took what it sees of S1 for a body
        label, confidence = label_by_name("sacrum").code, junction.probability * below[-1].confidence
        s1 = replace(below[-1], level="S1", label=label, inferior=None, body_area_mm2=None, confidence=confidence)
    levels = named if s1 is None else (s1, *named)
    beyond = zip(unnamed[junction.last :], names, strict=True)
    return SpineLevels(
        levels,
        _discs(levels),
        LevelNumbering.COUNTED_FROM_SACRUM,
        is_suspected,
        junction.probability,
        tuple(level.centre_mm for level, (name, _) in beyond if name is None),
    )


def _tilt_deg(plane: Plane | None) -> float:
    """Tilt of an end-plate in the sagittal plane, positive where the front is lower; NaN if there is none."""
    return float(np.degrees(np.arctan2(-plane.normal[1], plane.normal[2]))) if plane else float("nan")


def _s1(stack: SagittalStack, last: Body, level: LevelGeometry, junction: Junction) -> LevelGeometry | None:
    """Measure S1: its upper end-plate below the last lumbar one, its centre from its heatmap if that shows one.

    None where the plate is not seen.
    """
    if level.inferior is None:
        return None
    point = (level.inferior.point_mm - stack.origin_mm) @ stack.axes
    normal = stack.axes.T @ level.inferior.normal
    sacrum = stack.probabilities[:, SpineClass.SACRUM]
    plate = fit_sacral_plate(sacrum, stack.spacing_mm, point, normal, depth_mm(stack, last))
    if plate is None:
        return None
    rows, _, distance = offsets_from(stack, last)
    heat = stack.heatmaps[central_slices(stack, last.centre, 6.5), Heatmap.S1].mean(axis=0)
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
        junction.probability,
    )


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
            if position - step < len(LUMBAR_UPWARDS) <= position:
                certainty *= FIVE_LUMBAR
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
        stack.probabilities[:, SpineClass.VERTEBRAL_BODY], stack.spacing_mm, body.centre, axis, depth_mm(stack, body)
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
