"""What is no lumbar back is said to be none, whatever the network painted."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from paraspinal.models.evaluation.muscles import MUSCLES_MODEL
from paraspinal.models.inference import LoadedModel, MuscleSegmenter, load_model
from paraspinal.models.plausibility import MAX_DISAGREEMENT, judge, objection
from paraspinal.models.synthesis.corrupted import CORRUPTIONS, WRONG_BODIES, wrong_body
from paraspinal.models.synthesis.muscles.layout import MUSCLE_CLASSES

SPACING_MM = (4.0, 2.0, 2.0)
PLACES = {"multifidus": (40, 8), "erector_spinae": (40, 20), "psoas_major": (15, 14), "quadratus_lumborum": (25, 26)}


def back(places: dict[str, tuple[int, int]] = PLACES) -> np.ndarray:
    """Paint a back of squares, 12 x 10 pixels each: 480 mm2."""
    classes = np.zeros((3, 60, 80), dtype=np.uint8)
    for muscle, (row, lateral) in places.items():
        for side, sign in (("left", 1), ("right", -1)):
            column = 40 + sign * lateral
            index = MUSCLE_CLASSES.index(f"{muscle}_{side}")
            classes[:, row - 6 : row + 6, column - 5 : column + 5] = index
    return classes


def calm(value: float = 0.05) -> dict[str, float]:
    return dict.fromkeys(MUSCLE_CLASSES[1:], value)


def test_a_back_is_plausible() -> None:
    finding = judge(back(), MUSCLE_CLASSES, SPACING_MM, calm())
    assert finding.back_area_mm2 == pytest.approx(2 * 12 * 10 * 4.0)
    assert finding.disagreement == pytest.approx(0.05)
    assert objection(finding) is None


def test_half_a_back_is_plausible_too() -> None:
    classes = back()
    classes[:, :, :40] = 0
    assert objection(judge(classes, MUSCLE_CLASSES, SPACING_MM, calm())) is None


def test_looks_that_disagree_are_an_objection() -> None:
    finding = judge(back(), MUSCLE_CLASSES, SPACING_MM, calm(MAX_DISAGREEMENT + 0.01))
    assert "disagree" in (objection(finding) or "")


def test_a_few_pixels_are_no_back() -> None:
    classes = np.zeros((3, 60, 80), dtype=np.uint8)
    classes[:, 30:34, 44:60] = MUSCLE_CLASSES.index("erector_spinae_left")
    finding = judge(classes, MUSCLE_CLASSES, SPACING_MM, calm())
    assert finding.back_area_mm2 == 4 * 16 * 4.0 < finding.least_area_mm2 == 400.0
    assert "mm2" in (objection(finding) or "")


@pytest.mark.parametrize(
    ("moved", "place", "words"),
    [
        ("multifidus", (40, 34), "lateral of the erector"),
        ("psoas_major", (50, 34), "psoas behind"),
        ("erector_spinae", (40, -20), "not left of the right one"),
    ],
)
def test_muscles_in_the_wrong_place(moved: str, place: tuple[int, int], words: str) -> None:
    finding = judge(back(PLACES | {moved: place}), MUSCLE_CLASSES, SPACING_MM, calm())
    assert words in (objection(finding) or "")


def test_a_model_without_back_muscles_is_not_judged_by_them() -> None:
    names = ("background", "psoas_major_left", "psoas_major_right")
    classes = np.zeros((2, 20, 40), dtype=np.uint8)
    classes[:, 5:9, 25:30], classes[:, 5:9, 10:15] = 1, 2
    assert objection(judge(classes, names, SPACING_MM, {})) is None


@pytest.mark.parametrize(("rows", "is_back"), [(5, True), (3, False)])
def test_a_model_with_multifidus_alone_is_judged_by_multifidus_alone(rows: int, is_back: bool) -> None:
    """20 mm2 or so a row: 100 mm2 are a small multifidus, and far from a whole back."""
    names = ("background", "multifidus_right", "multifidus_left")
    classes = np.zeros((2, 40, 40), dtype=np.uint8)
    classes[:, 10 : 10 + rows, 25:31], classes[:, 10 : 10 + rows, 9:15] = 2, 1
    finding = judge(classes, names, SPACING_MM, {})
    assert (finding.back_area_mm2, finding.least_area_mm2) == (rows * 6 * 4.0, 100.0)
    assert (objection(finding) is None) == is_back


@pytest.fixture(scope="module")
def shipped() -> LoadedModel:
    return load_model(MUSCLES_MODEL)


@pytest.mark.parametrize("kind", [k for k in WRONG_BODIES if k != "nothing"])
def test_shipped_model_refuses_what_is_no_back(shipped: LoadedModel, kind: str) -> None:
    image = wrong_body(np.random.default_rng(1), kind)[:, :, 3:5]
    result = MuscleSegmenter(shipped).segment(image)
    assert result.objection or not sitk.GetArrayViewFromImage(result.label_map).any()


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_change_the_image_and_keep_it_an_image(name: str) -> None:
    volume = np.zeros((2, 112, 144), dtype=np.float32)
    volume[:, 20:90, 30:110] = np.random.default_rng(0).uniform(0.2, 1.0, (2, 70, 80))
    first, again = (CORRUPTIONS[name](np.random.default_rng(3), volume) for _ in range(2))
    assert np.array_equal(first, again)
    assert first.shape == volume.shape
    assert np.isfinite(first).all()
    assert (first >= 0).all()
    assert np.abs(first - volume).mean() > 0.02
