"""Is this a lumbar back at all? What speaks against an outline before anyone looks at it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from paraspinal.core.vocab import Muscle, Side

MIN_BACK_AREA_MM2 = {Muscle.MULTIFIDUS: 100.0, Muscle.ERECTOR_SPINAE: 300.0}
"""Least plausible cross-sections of the muscles of the back (resources/plausibility.tsv). Those of one side that the
model can draw, at their largest, must together reach the sum; below it no adult's back was found on that side."""

MAX_DISAGREEMENT = 0.5
"""1 - Dice between the outlines of the image and of its mirror image, mean over the muscles of the back, beyond which
nothing was recognised: more than half of what one outlines the other does not. Of 16 sound synthetic people none came
near (largest single muscle 0.2)."""

MIN_MIDLINE_MM = 3.0
"""Left and right muscles lie at least this far on their own side of what is found of both."""


@dataclass(frozen=True)
class Finding:
    """What the plausibility of an outline is judged by."""

    back_area_mm2: float  # muscles of the back of one side together, largest slice, on the better side
    least_area_mm2: float  # what a back has of those muscles; 0 where the model draws none of them
    disagreement: float  # of the two outlines, mean over those muscles
    misplaced: tuple[str, ...]  # relations between the muscles that no back has


def judge(
    classes: npt.NDArray[np.uint8],
    names: tuple[str, ...],
    spacing_mm: tuple[float, ...],
    disagreements: dict[str, float],
) -> Finding:
    """Measure a class map (slice, row to the back, column to the left) of classes ``names``.

    ``disagreements`` holds that of every class found. A model without muscles of the back has no
    finding that speaks against it.
    """
    pixel_mm2 = spacing_mm[1] * spacing_mm[2]
    centres: dict[str, tuple[float, float]] = {}
    area_mm2 = {side: np.zeros(len(classes)) for side in Side}
    for index, name in enumerate(names[1:], start=1):
        mask = classes == index
        if not mask.any():
            continue
        _, rows, columns = np.nonzero(mask)
        centres[name] = (float(columns.mean()) * spacing_mm[2], float(rows.mean()) * spacing_mm[1])
        for side in Side:
            if name in _back(side):
                area_mm2[side] += mask.sum(axis=(1, 2)) * pixel_mm2
    sides = [(float(area_mm2[side].max()), _least_mm2(side, names)) for side in Side]
    area, least = max(((a, m) for a, m in sides if m), key=lambda pair: pair[0] / pair[1], default=(0.0, 0.0))
    doubts = [disagreements[name] for side in Side for name in _back(side) if name in disagreements]
    return Finding(area, least, float(np.mean(doubts)) if doubts else 0.0, tuple(_misplaced(centres)))


def objection(finding: Finding) -> str | None:
    """Say why an outline cannot be that of a lumbar back; None if nothing speaks against it."""
    if finding.back_area_mm2 < finding.least_area_mm2:
        return f"back muscles of at most {finding.back_area_mm2:.0f} mm2, a back has {finding.least_area_mm2:g}"
    if finding.disagreement > MAX_DISAGREEMENT:
        return f"outlines of image and mirror image disagree by {finding.disagreement:.2f}, limit {MAX_DISAGREEMENT:g}"
    if finding.misplaced:
        return f"anatomically implausible: {', '.join(finding.misplaced)}"
    return None


def _back(side: Side) -> tuple[str, str]:
    return _name(Muscle.MULTIFIDUS, side), _name(Muscle.ERECTOR_SPINAE, side)


def _least_mm2(side: Side, names: tuple[str, ...]) -> float:
    """Sum over the muscles of the back, on one side, that are among the classes."""
    return sum(area for muscle, area in MIN_BACK_AREA_MM2.items() if _name(muscle, side) in names)


def _name(muscle: Muscle, side: Side) -> str:
    return f"{muscle.value}_{side.value}"


def _misplaced(centres: dict[str, tuple[float, float]]) -> list[str]:
    """Relations that hold in every back: left is left, multifidus lies medial, the psoas in front."""
    wrong = []
    for muscle in Muscle:
        left, right = (centres.get(_name(muscle, side)) for side in (Side.LEFT, Side.RIGHT))
        if left and right and left[0] - right[0] < 2 * MIN_MIDLINE_MM:
            wrong.append(f"left {muscle.value} not left of the right one")
    for side, outwards in ((Side.LEFT, 1.0), (Side.RIGHT, -1.0)):
        inner, outer = (centres.get(name) for name in _back(side))
        if inner and outer and outwards * (outer[0] - inner[0]) < 0:
            wrong.append(f"{side.value} multifidus lateral of the erector spinae")
        front = centres.get(_name(Muscle.PSOAS_MAJOR, side))
        if front and any(behind and behind[1] < front[1] for behind in (inner, outer)):
            wrong.append(f"{side.value} psoas behind the muscles of the back")
    return wrong
