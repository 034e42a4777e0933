"""Faults made on purpose in real Dixon images: every one is caught, and what is sound is let pass."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from paraspinal.core.paths import PROJECT
from paraspinal.core.vocab import Reason
from paraspinal.stages.harmonize.integrity import Finding, Pair, check_pair

DATA = Path(os.environ.get("PARASPINAL_DATA", PROJECT / ".." / "shared" / "data")) / "nifti"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the private real images are not here (PARASPINAL_DATA)"),
]
SWAP, SCALE = Reason.DIXON_SWAP_SUSPECTED, Reason.DIXON_SCALE_MISMATCH
FAT_SLOPE = 1.549
"""The step between the values of the real fat image; those of the water image lie 1 apart."""
T1_TIMING = {"tr_ms": 6.4, "flip_deg": 3.0}


@cache
def person() -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    """Water and fat of the real person as the scanner stored them, the slope divided out; and the spacing."""
    images = [sitk.ReadImage(str(DATA / "dixon_lumbar" / f"sub-TUM01_{part}.nii.gz")) for part in ("water", "fat")]
    water, fat = (sitk.GetArrayFromImage(image).astype(np.float32) for image in images)
    return water, np.rint(fat / FAT_SLOPE).astype(np.float32), images[1].GetSpacing()


def check(water: np.ndarray, fat: np.ndarray, **more: object) -> Finding:
    return check_pair(Pair(water, fat, person()[2], **more), 0.8)  # type: ignore[arg-type]


def test_the_person_is_sound() -> None:
    water, fat, _ = person()
    found = check(water, fat)
    assert (found.reason, found.n_swapped_slices) == (None, 0)
    assert found.subcutaneous_ff == pytest.approx(0.94, abs=0.03)
    assert found.step_ratio == pytest.approx(1.0, abs=0.05)


def test_the_slope_that_the_file_carries_is_seen() -> None:
    water, fat, _ = person()
    found = check(water, fat * np.float32(FAT_SLOPE))
    assert (found.reason, found.step_ratio) == (SCALE, pytest.approx(FAT_SLOPE, rel=0.02))


def test_a_global_swap() -> None:
    water, fat, _ = person()
    assert check(fat, water).reason is SWAP


@pytest.mark.parametrize("which", [slice(0, 6), slice(12, 18), slice(20, 29), slice(14, 15)])
def test_a_swap_of_some_slices(which: slice) -> None:
    water, fat, _ = person()
    swapped = [water.copy(), fat.copy()]
    swapped[0][which], swapped[1][which] = fat[which], water[which]
    found = check(*swapped)
    assert (found.reason, found.n_swapped_slices) == (SWAP, len(range(29)[which]))


def test_a_swap_of_one_side() -> None:
    water, fat, _ = person()
    swapped = [water.copy(), fat.copy()]
    swapped[0][..., :200], swapped[1][..., :200] = fat[..., :200], water[..., :200]
    assert check(*swapped).reason is SWAP


@pytest.mark.parametrize("factor", [0.25, 0.5, 0.67, 1.5, 2.0, 4.0])
@pytest.mark.parametrize("evidence", ["in_phase", "opposed"])
def test_a_factor_shows_against_the_images_the_pair_was_made_of(factor: float, evidence: str) -> None:
    water, fat, _ = person()
    made_of = {"in_phase": water + fat, "opposed": np.abs(water - fat)}
    sound = check(water, fat, **{evidence: made_of[evidence]})
    assert (sound.reason, sound.fit_ratio) == (None, pytest.approx(1.0, abs=0.02))
    found = check(water, np.rint(fat * factor), **{evidence: made_of[evidence]})
    assert (found.reason, found.fit_ratio) == (SCALE, pytest.approx(factor, rel=0.05))


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_a_gross_factor_shows_in_the_pair_alone(factor: float) -> None:
    water, fat, _ = person()
    blurred = fat * factor + np.random.default_rng(0).uniform(0, 1, fat.shape).astype(np.float32)  # no steps left
    assert check(water, blurred, **T1_TIMING).reason is SCALE


def test_a_wrong_map_is_seen_and_a_right_one_is_not() -> None:
    water, fat, _ = person()
    fraction = np.divide(fat, water + fat, out=np.zeros_like(fat), where=water + fat > 0)
    assert check(water, fat, map_frac=fraction).reason is None
    assert check(water, fat * 4, map_frac=fraction).reason is SCALE
    assert check(water, fat, map_frac=1 - fraction).reason is not None


def test_a_real_hand_is_no_trunk_and_raises_no_alarm() -> None:
    """Nothing is known of where the fat of a hand lies; water, fat and the scanner's own map agree all the same."""
    folder = DATA / "dixon_hand" / "output"
    found = {path.name.split(".")[0]: path for path in folder.glob("*.nii*")}
    water, fat = (next(path for name, path in found.items() if word in name.lower()) for word in ("water", "fat"))
    images = [sitk.ReadImage(str(path)) for path in (water, fat)]
    arrays = [sitk.GetArrayFromImage(image).astype(np.float32) for image in images]
    sound = check_pair(Pair(*arrays, images[0].GetSpacing()), 0.8)
    assert (sound.reason, sound.subcutaneous_ff) == (None, None)
