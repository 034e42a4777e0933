"""How well a model does on the people of a cohort it did not learn from; numbers for its card.

A person is the unit: images of one person are averaged, and confidence intervals come from drawing people
with replacement. Nothing in the result names anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from paraspinal.core.errors import DataError
from paraspinal.core.imaging.slice_grid import AXIAL_FRAME, axis_map
from paraspinal.models.card import Accuracy
from paraspinal.models.engine import Segmenter
from paraspinal.models.own_cohort.cases import LabelledImage
from paraspinal.models.own_cohort.sheet import Role
from paraspinal.models.synthesis.muscles.layout import MUSCLE_CLASSES
from paraspinal.statistics import overlap

DRAWS, SEED = 2000, 20260901
INTERVAL_PCT = (2.5, 97.5)


@dataclass(frozen=True)
class Score:
    """One image of one person against its outlines, per outlined muscle; ``person`` and ``centre`` are numbers."""

    role: Role
    person: int
    centre: int
    contrast: str
    dsc: dict[str, float]
    volume_error_pct: dict[str, float]


def score_image(
    segmenter: Segmenter,
    case: LabelledImage,
    outlined: Sequence[bool],
    role: Role,
    person: int,
    centre: int,
    contrast: str,
) -> Score:
    """Compare a model with the outlines of an image, on the slices that have outlines.

    ``outlined`` says for every class whether the cohort's label maps have it. A muscle only one of the two has counts
    as Dice 0, one neither has is left out; an image the model refuses counts as finding nothing.
    """
    card = segmenter.model.card
    codes = dict(zip(card.class_names, card.codes, strict=True))
    try:
        found = sitk.GetArrayFromImage(segmenter.segment(case.image).label_map)
    except DataError:
        found = np.zeros(case.classes.shape, dtype=np.uint16)
    axis = _slice_axis(case.image)
    keep = np.flatnonzero(np.moveaxis(case.classes, axis, 0).any(axis=(1, 2)))
    truth, mine = (array.take(keep, axis=axis) for array in (case.classes, found))
    dsc: dict[str, float] = {}
    volume: dict[str, float] = {}
    for index, name in enumerate(MUSCLE_CLASSES):
        if index == 0 or not outlined[index]:
            continue
        reference, predicted = truth == index, mine == codes[name]
        if (score := overlap.dice(reference, predicted)) is not None:
            dsc[name] = score
        if reference.any():
            volume[name] = 100.0 * abs(int(np.count_nonzero(predicted)) / int(np.count_nonzero(reference)) - 1.0)
    return Score(role, person, centre, contrast, dsc, volume)


def _slice_axis(image: sitk.Image) -> int:
    """Array axis (z, y, x) that runs closest to the patient's length."""
    return axis_map(image.GetDirection(), AXIAL_FRAME).order[0]


def summarise(scores: Sequence[Score]) -> tuple[Accuracy, ...]:
    """Give mean and 95 % interval per role, contrast and muscle, and for every external centre on its own."""
    groups: dict[str, list[Score]] = {}
    external = sorted({score.centre for score in scores if score.role is Role.EXTERNAL})
    for score in scores:
        groups.setdefault(f"{score.role}, all contrasts", []).append(score)
        groups.setdefault(f"{score.role}, {score.contrast}", []).append(score)
        if score.role is Role.EXTERNAL and len(external) > 1:
            number = external.index(score.centre) + 1
            groups.setdefault(f"external centre {number} of {len(external)}", []).append(score)
    rows: list[Accuracy] = []
    for group, own in sorted(groups.items()):
        people, centres = len({s.person for s in own}), len({s.centre for s in own})
        data = f"{group}: people {people}, images {len(own)}, centres {centres}"
        for measure, unit in (("dsc", "1"), ("volume_error_pct", "%")):
            found: dict[str, list[tuple[int, float]]] = {}
            for score in own:
                values: dict[str, float] = getattr(score, measure)
                for name, value in (*values.items(), ("mean of all", float(np.mean(list(values.values()))))):
                    found.setdefault(name, []).append((score.person, value))
            for name, pairs in sorted(found.items()):
                mean, low, high = interval(pairs)
                rows.append(Accuracy(data, measure, name, mean, unit, low, high))
    return tuple(rows)


def interval(pairs: Sequence[tuple[int, float]]) -> tuple[float, float | None, float | None]:
    """Mean over people of (person, value) pairs, and its bootstrap interval; of one person there is none."""
    people = sorted({person for person, _ in pairs})
    means: npt.NDArray[np.float64] = np.array(
        [np.mean([value for person, value in pairs if person == one]) for one in people]
    )
    if len(people) < 2:
        return float(means.mean()), None, None
    picks = np.random.default_rng(SEED).integers(len(people), size=(DRAWS, len(people)))
    low, high = np.percentile(means[picks].mean(axis=1), INTERVAL_PCT)
    return float(means.mean()), float(low), float(high)
