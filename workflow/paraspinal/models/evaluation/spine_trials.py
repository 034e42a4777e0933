"""Synthetic sagittal volumes whose numbering is known: what counting is calibrated and checked on.

Subjects are painted as for training, from seeds that training never used, and cut at several lateral positions; the
lower border of the image leaves the sacrum in view, partly in view, or out of it. Corrupted ones are degraded beyond
what training shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal.core.imaging.slice_grid import PIXEL_MM
from paraspinal.models.card import Accuracy
from paraspinal.models.evaluation.spine import share
from paraspinal.models.inference import LoadedModel, predict_slices
from paraspinal.models.input.spine_input import Field, network_inputs
from paraspinal.models.synthesis.spine.non_lumbar import foreign_picture
from paraspinal.models.synthesis.spine.painter import paint
from paraspinal.models.synthesis.spine.scene import Slice, sample_scene
from paraspinal.models.synthesis.spine.task import draw_intensities, scan_slices
from paraspinal.models.synthesis.spine.view import HALF_S1_MM, SHAPE, place, value_noise
from paraspinal.vertebrae.answer import packed, unpacked
from paraspinal.vertebrae.numbering import COUNTED_UPWARDS, SpineLevels, find_levels
from paraspinal.vertebrae.stack import Floats, SagittalStack

TRIAL_STREAM = 7_4000
"""Seed of the trials: another stream than the one trained on."""

LATERAL_MM = np.arange(-10.0, 11.0, 5.0)
AXES = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])

SAME_BODY_MM = 12.0
"""A named centre this close to the true one is that vertebra; the next is at least 25 mm away."""

TRIALS = 12
S1_SEEN_MM = 10.0
"""So much of S1 in view is expected to be enough for numbers."""

CONFIDENCE_BINS = (0.0, 0.6, 0.8, 1.01)


@dataclass(frozen=True)
class Trial:
    """One volume: network inputs (n, 4, H, W), true centres (row, column) mm by the name that counting gives.

    ``s1_seen_mm``: how much of S1 lies above the lower border of the image, negative where it lies below.
    """

    inputs: Field
    centres_mm: dict[str, Floats]
    s1_seen_mm: float
    rows_in_view: tuple[int, int]


def sample_trial(seed: int, *, is_corrupted: bool = False) -> Trial:
    """Paint volume number ``seed``."""
    rng = np.random.default_rng([TRIAL_STREAM, seed])
    value = draw_intensities(rng)
    noise = np.stack([value_noise(rng, cell).ravel() for cell in (3, 8, 30)])
    scene = sample_scene(rng)
    chain, first = scene.chain, scene.chain.first_sacral
    points, view = place(rng, chain.centre_mm[first])
    cut = Slice(scene, points)
    tilt, turn = rng.normal(0, 0.03, 2)
    scanner, damage = (int(n) for n in rng.integers(1 << 31, size=2))
    plane = (tilt * points[:, 1] + turn * points[:, 0]).astype(np.float32)
    pictures = [paint(scene, cut, np.float32(offset) + plane, value, noise).image for offset in LATERAL_MM]
    stack = np.stack(pictures).reshape(-1, *SHAPE)
    stack = scan_slices(np.random.default_rng(scanner), stack, cut.v.reshape(SHAPE), view)
    if is_corrupted:
        stack = np.stack([_corrupt(np.random.default_rng(damage), picture) for picture in stack])
    rows = np.nonzero(view.any(axis=1))[0]
    pixels = points.reshape(*SHAPE, 2)
    centres = {}
    for name, unit in zip(COUNTED_UPWARDS, range(first + 1, len(chain.region)), strict=False):
        distance = np.linalg.norm(pixels - chain.centre_mm[unit], axis=2)
        row, col = np.unravel_index(int(distance.argmin()), SHAPE)
        if view[row, col] and distance.min() < 2 * PIXEL_MM:
            centres[name] = np.array([row, col]) * PIXEL_MM
    floor = float(np.interp(chain.centre_mm[first][0], *_bottom(pixels, int(rows[-1]))))
    seen = chain.centre_mm[first][1] + HALF_S1_MM - floor
    return Trial(network_inputs(stack, range(len(stack))), centres, seen, (int(rows[0]), int(rows[-1])))


def _bottom(pixels: Field, row: int) -> tuple[Field, Field]:
    """Return y and z of the lowest row in view."""
    order = np.argsort(pixels[row, :, 0])
    return pixels[row, order, 0], pixels[row, order, 1]


def _corrupt(rng: np.random.Generator, picture: Field) -> Field:
    """Spoil an image as bad scans are: noise, motion, loss of signal, blur; one or two of them."""
    inside = picture > 0
    level = float(np.percentile(picture[inside], 90))
    for kind in rng.choice(4, int(rng.integers(1, 3)), replace=False):
        if kind == 0:
            picture = np.hypot(picture + rng.normal(0, 0.2 * level, SHAPE), rng.normal(0, 0.2 * level, SHAPE))
        elif kind == 1:
            for step in rng.integers(6, 60, 3):
                picture = picture + 0.2 * np.roll(picture, int(step), axis=0)
        elif kind == 2:
            row = np.arange(SHAPE[0])[:, None]
            picture = picture * (1 - 0.9 * np.exp(-(((row - rng.uniform(0, SHAPE[0])) / rng.uniform(8, 25)) ** 2)))
        else:
            picture = ndimage.gaussian_filter(picture, (rng.uniform(1.5, 3.0), rng.uniform(0.5, 1.5)))
    return np.where(inside, np.maximum(picture, 1e-6), 0).astype(np.float32)


def trial_stack(model: LoadedModel, trial: Trial) -> SagittalStack:
    """Ask the network about a trial."""
    probabilities, heatmaps = unpacked(packed(*predict_slices(model, trial.inputs)))
    spacing = np.array([LATERAL_MM[1] - LATERAL_MM[0], PIXEL_MM, PIXEL_MM])
    return SagittalStack(probabilities, heatmaps, spacing, AXES, np.zeros(3), trial.rows_in_view)


@dataclass(frozen=True)
class Verdict:
    """How a trial was numbered: with a confidence, right or not; ``None`` where nothing was numbered."""

    is_right: bool | None
    confidence: float
    s1_seen_mm: float


def judge(trial: Trial, spine: SpineLevels) -> Verdict:
    """Compare names with the truth: right if every named lumbar body lies where counting from the sacrum puts it."""
    named = [x for x in spine.levels if x.level is not None and x.level in trial.centres_mm]
    anything = [x for x in spine.levels if x.level is not None and x.level != "S1"]
    if not anything:
        return Verdict(None, 0.0, trial.s1_seen_mm)
    where: list[NDArray[np.float64]] = [x.centre_mm @ AXES for x in named]
    off = [
        float(np.linalg.norm(point[1:] - trial.centres_mm[str(x.level)]))
        for x, point in zip(named, where, strict=True)
        if x.level and x.level.startswith("L")
    ]
    is_right = bool(off) and max(off) < SAME_BODY_MM
    return Verdict(is_right, max(x.confidence for x in anything), trial.s1_seen_mm)


def evaluate_trials(model: LoadedModel, count: int = TRIALS) -> tuple[Accuracy, ...]:
    """Check numbering and its confidence on ``count`` clean and as many corrupted trials, and on other body parts."""
    rows: list[Accuracy] = []
    for kind, is_corrupted in (("clean", False), ("corrupted", True)):
        verdicts = []
        for seed in range(count):
            trial = sample_trial(seed, is_corrupted=is_corrupted)
            verdicts.append(judge(trial, find_levels(trial_stack(model, trial))))
        rows += _rows_of(f"{count} painted volumes not trained on, {kind}, any contrast and border", verdicts)
    named = [numbers_anything(model, seed) for seed in range(count)]
    return (*rows, *share(f"{count} pictures of other body parts, synthetic", "numbered", "any level", named))


def _rows_of(data: str, verdicts: Sequence[Verdict]) -> list[Accuracy]:
    """Count right and wrong numbers, and the truth of what confidence says."""
    rows = share(data, "wrong_numbers", "L1-L5 in view", [v.is_right is False for v in verdicts])
    visible = [v for v in verdicts if v.s1_seen_mm > S1_SEEN_MM]
    rows += share(data, "right_numbers", f"S1 in view by {S1_SEEN_MM:.0f} mm", [v.is_right is True for v in visible])
    numbered = [v for v in verdicts if v.is_right is not None]
    for low, high in pairwise(CONFIDENCE_BINS):
        bin_ = [v for v in numbered if low <= v.confidence < high]
        rows += share(
            data, "right_if_numbered", f"confidence {low} to {min(high, 1.0)}", [bool(v.is_right) for v in bin_]
        )
    return rows


def numbers_anything(model: LoadedModel, seed: int) -> bool:
    """Tell whether the model numbers anything in a picture of another body part: it should not."""
    rng = np.random.default_rng([TRIAL_STREAM, 1, seed])
    value = draw_intensities(rng)
    noise = np.stack([value_noise(rng, cell).ravel() for cell in (3, 8, 30)])
    picture = foreign_picture(rng, value, noise)
    stack = scan_slices(rng, picture.image.reshape(-1, *SHAPE), picture.depth_mm.reshape(SHAPE), picture.view)
    trial = Trial(network_inputs(stack, range(len(stack))), {}, -np.inf, (0, SHAPE[0] - 1))
    return any(level.level for level in find_levels(trial_stack(model, trial)).levels)
