"""Dixon faults made on purpose on synthetic bodies and people, and what of them is found with which evidence."""

from __future__ import annotations

import numpy as np
import pytest
from dixon_factory import MIN_RING, SPACING, Fault, Images, body, check, person, renamed, scaled, swapped

from paraspinal.core.vocab import Reason
from paraspinal.stages.harmonize.integrity import Finding, Pair, check_pair
from paraspinal.stages.harmonize.slopes import Slope

SCALE, SWAP = Reason.DIXON_SCALE_MISMATCH, Reason.DIXON_SWAP_SUSPECTED
N_PEOPLE = 12
"""People per test here; the whole variety was measured with 60 (see the module's text)."""


def check_body(water: np.ndarray, fat: np.ndarray, **more: object) -> Finding:
    """Check a pair on the grid of ``body``."""
    return check_pair(Pair(water, fat, SPACING, **more), MIN_RING)  # type: ignore[arg-type]


@pytest.mark.parametrize("fat_mm", [6.0, 20.0, 45.0])
def test_sound_pair_of_lean_and_fat_people(fat_mm: float) -> None:
    water, fat = body(fat_mm)
    found = check_body(water, fat, in_phase=water + fat)
    assert found.reason is None
    assert found.subcutaneous_ff == pytest.approx(0.95, abs=0.02)
    assert found.fit_ratio == pytest.approx(1.0, abs=0.02)
    assert found.noise_ratio == pytest.approx(1.0, abs=0.05)
    assert found.fat_to_water == pytest.approx(0.95 * 800 / (0.9 * 400), rel=0.05)
    assert found.n_swapped_slices == 0


@pytest.mark.parametrize("fat_mm", [6.0, 20.0, 45.0])
def test_swap_is_suspected(fat_mm: float) -> None:
    water, fat = body(fat_mm)
    found = check_body(fat, water)
    assert (found.reason, found.n_swapped_slices) == (SWAP, 6)


@pytest.mark.parametrize("evidence", ["", "T", "I", "O", "TIO"])
def test_no_false_alarm_over_people_and_contrasts(evidence: str) -> None:
    for number in range(N_PEOPLE):
        images, known = person(number)
        found = check(images, known, evidence)
        assert found.reason is None, (number, found.detail)
        if set(evidence) & {"I", "O"}:
            assert found.fit_ratio == pytest.approx(known["ratio"], rel=0.06)


@pytest.mark.parametrize("part", ["water", "fat"])
@pytest.mark.parametrize("factor", [0.25, 0.5, 2 / 3, 1.5, 2.0, 4.0])
@pytest.mark.parametrize("evidence", ["I", "O", "IO"])
def test_scale_fault_shows_against_in_and_opposed_phase(part: str, factor: float, evidence: str) -> None:
    for number in (0, 1, 2, 3):
        images, known = person(number)
        true = known["ratio"] * (factor if part == "fat" else 1 / factor)
        found = check(scaled(part, factor)(images), known, evidence)
        assert found.fit_ratio == pytest.approx(true, rel=0.06)
        is_visible = not 0.82 < true < 1.37  # the rest hides among what several fat peaks make of a sound set
        assert (found.reason is SCALE) or not is_visible


@pytest.mark.parametrize("factor", [0.25, 0.5, 2 / 3, 1.5, 2.0, 4.0])
def test_scale_fault_shows_in_the_noise_of_air(factor: float) -> None:
    water, fat = body(noise=20.0)
    found = check_body(water, fat * factor)
    assert found.reason is SCALE
    assert found.noise_ratio == pytest.approx(factor, rel=0.05)
    assert "noise" in found.detail


@pytest.mark.parametrize(("factor", "is_seen"), [(0.25, True), (0.5, False), (1.5, True), (2.0, True), (4.0, True)])
def test_scale_fault_shows_in_the_brightness_of_fat_when_the_timing_is_known(factor: float, is_seen: bool) -> None:
    """Fat 2.1 times as bright as water is in the middle of what this timing allows; air is cut away."""
    water, fat = (np.where(image > 60, image, 0) for image in body())
    found = check_body(water, fat * factor, tr_ms=5.6, flip_deg=3.0)
    assert (found.reason is SCALE) == is_seen, found.detail
    assert ("as bright" in found.detail) == is_seen


@pytest.mark.parametrize("factor", [0.02, 0.1, 30.0])
def test_gross_scale_fault_shows_in_a_pair_alone(factor: float) -> None:
    water, fat = (np.where(image > 60, image, 0) for image in body())
    assert check_body(water, fat * factor).reason is SCALE


def test_what_cannot_be_seen_is_not_claimed() -> None:
    """A pair alone, air cut away, no timing, no steps: twice as bright a fat is another weighting."""
    water, fat = (np.where(image > 60, image, 0) for image in body())
    assert check_body(water, fat * 2).reason is None


@pytest.mark.parametrize("factor", [1.549, 2.0])
def test_slope_left_in_the_values_of_one_part(factor: float) -> None:
    water, fat = (np.rint(np.where(image > 60, image, 0)) for image in body())
    found = check_body(water, fat * factor)
    assert found.reason is SCALE
    assert found.step_ratio == pytest.approx(factor, rel=1e-3)
    assert "apart" in found.detail
    rounded = check_body(water, np.rint(fat * factor))
    assert (rounded.reason, rounded.step_ratio) == (SCALE, pytest.approx(factor, rel=0.02))


def test_a_close_fit_proves_a_pair_whose_slopes_differ() -> None:
    water, fat = (np.rint(image) for image in body())
    slopes = {"water_slope": Slope(), "fat_slope": Slope(2.0, 0.0)}
    assert check_body(water, fat * 2, **slopes).reason is SCALE
    assert check_body(water, fat * 2, in_phase=water + fat, **slopes).reason is SCALE
    assert check_body(water, fat * 2, in_phase=water + 2 * fat, **slopes).reason is None
    assert check_body(water, fat * 2, opposed=np.abs(water - 2 * fat), **slopes).reason is None


def test_fit_of_a_common_factor_says_nothing() -> None:
    water, fat = body()
    assert check_body(water * 1.6, fat * 1.6, in_phase=water + fat).reason is None


MIDDLE = slice(4, 6)
FAULTS: dict[str, tuple[Fault, Reason]] = {
    "all": (renamed(water="fat", fat="water"), SWAP),
    "one slice": (swapped((slice(4, 5),)), SWAP),
    "last slices": (swapped((slice(5, None),)), SWAP),
    "most slices": (swapped((slice(2, None),)), SWAP),
    "left half of all": (swapped((slice(None), slice(None), slice(68))), SWAP),
    "left half of two": (swapped((MIDDLE, slice(None), slice(68))), SWAP),
    "12 cm of two": (swapped((MIDDLE, slice(44, 84), slice(28, 68))), SWAP),
    "in-phase as water": (renamed(water="in_phase"), SCALE),
    "in-phase as fat": (renamed(fat="in_phase"), SCALE),
    "opposed as water": (renamed(water="opposed"), SCALE),
    "water and in-phase exchanged": (renamed(water="in_phase", in_phase="water"), SCALE),
    "fat and in-phase exchanged": (renamed(fat="in_phase", in_phase="fat"), SCALE),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("evidence", ["", "IO"])
def test_swaps_and_wrong_names_are_found_in_everybody(name: str, evidence: str) -> None:
    fault, reason = FAULTS[name]
    for number in range(0, N_PEOPLE, 2):
        images, known = person(number)
        found = check(fault(images), known, evidence)
        assert found.reason is reason, (number, found)


def test_slices_that_are_swapped_are_counted() -> None:
    images, known = person(1)
    n = len(images["water"])
    for where, count in ((slice(0, 1), 1), (slice(3, 6), 3), (slice(2, None), n - 2)):
        found = check(swapped((where,))(images), known)
        assert found.n_swapped_slices == count
        assert f"{count} of {n} slices" in found.detail


def test_map_that_contradicts_the_pair() -> None:
    water, fat = body()
    sound = fat / np.maximum(water + fat, 1e-6)
    assert check_body(water, fat, map_frac=sound).reason is None
    assert "map is high where water is" in check_body(water, fat, map_frac=1 - sound).detail
    for factor in (0.25, 0.5, 4.0):
        found = check_body(np.where(water > 60, water, 0), np.where(fat > 60, fat, 0) * factor, map_frac=sound)
        assert found.reason is SCALE
        assert "map says" in found.detail


def test_no_skin_in_view_gives_no_verdict() -> None:
    water, fat = body()
    inner = (slice(None), slice(40, 80), slice(60, 120))
    found = check_body(water[inner], fat[inner])
    assert (found.subcutaneous_ff, found.reason) == (None, None)
    assert found.detail == "the skin is not in the field of view"


def test_empty_images_do_not_raise() -> None:
    nothing = np.zeros((4, 20, 20))
    found = check_body(nothing, nothing)
    assert (found.reason, found.subcutaneous_ff, found.n_swapped_slices) == (None, None, None)
    water, _ = body()
    assert check_body(water, np.zeros_like(water)).reason is SCALE


def test_images_are_not_changed() -> None:
    images, known = person(2)
    before: Images = {name: image.copy() for name, image in images.items()}
    check(images, known, "TIO")
    assert all(np.array_equal(images[name], before[name]) for name in images)
