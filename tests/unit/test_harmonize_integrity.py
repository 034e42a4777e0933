"""Dixon faults made on purpose on a synthetic body, and each found by physics."""

from __future__ import annotations

import numpy as np
import pytest

from paraspinal.core.vocab import Reason
from paraspinal.stages.harmonize.integrity import Finding, body_mask, check_pair, map_scale

SPACING = (2.0, 2.0, 5.0)
MIN_RING = 0.8


def body(fat_mm: float = 20.0, muscle_ff: float = 0.1, noise: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    """Water and fat of an elliptic body, 150 x 100 mm half axes: skin, a layer of fat, muscle inside; (z, y, x)."""
    y, x = np.mgrid[-60:60, -90:90] * 2.0
    radius = np.hypot(x / 150, y / 100)
    depth = (1 - radius) * 100  # millimetres along the short axis, close enough elsewhere
    inside, skin, fatty = depth > 0, (depth > 0) & (depth < 2), (depth >= 2) & (depth < 2 + fat_mm)
    fraction = np.where(fatty, 0.95, np.where(skin, 0.2, muscle_ff))
    brightness = np.where(fraction > 0.5, 800.0, 400.0) * inside
    rng = np.random.default_rng(1)
    water, fat = (
        np.abs(np.stack([brightness * part] * 6) + rng.normal(0, noise, (6, *radius.shape)))
        for part in (1 - fraction, fraction)
    )
    return water, fat


def check(water: np.ndarray, fat: np.ndarray, **more: np.ndarray) -> Finding:
    """Check a pair on the grid of ``body``."""
    return check_pair(water, fat, SPACING, MIN_RING, **more)


@pytest.mark.parametrize("fat_mm", [6.0, 20.0, 45.0])
def test_sound_pair_of_lean_and_fat_people(fat_mm: float) -> None:
    water, fat = body(fat_mm)
    found = check(water, fat, in_phase=water + fat)
    assert found.reason is None
    assert found.ring_ff_frac == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("fat_mm", [6.0, 20.0, 45.0])
def test_swap_is_suspected(fat_mm: float) -> None:
    water, fat = body(fat_mm)
    assert check(fat, water).reason is Reason.DIXON_SWAP_SUSPECTED


@pytest.mark.parametrize("factor", [0.02, 0.1, 30.0])
def test_gross_scale_fault_shows_without_other_parts(factor: float) -> None:
    water, fat = body()
    assert check(water, fat * factor).reason is Reason.DIXON_SCALE_MISMATCH


@pytest.mark.parametrize("factor", [0.25, 0.4, 2.5, 4.0])
def test_fine_scale_fault_shows_against_the_in_phase_image(factor: float) -> None:
    water, fat = body()
    found = check(water, fat * factor, in_phase=water + fat)
    assert found.reason is Reason.DIXON_SCALE_MISMATCH
    assert check(water * 1.6, fat * 1.6, in_phase=water + fat).reason is None


def test_map_that_contradicts_the_pair() -> None:
    water, fat = body()
    sound = fat / np.maximum(water + fat, 1e-6)
    assert check(water, fat, map_frac=sound).reason is None
    assert check(water, fat * 0.25, map_frac=sound).reason is Reason.DIXON_SCALE_MISMATCH


def test_no_skin_in_view_gives_no_verdict() -> None:
    water, fat = body()
    inner = (slice(None), slice(40, 80), slice(60, 120))
    found = check(water[inner], fat[inner])
    assert (found.ring_ff_frac, found.reason) == (None, None)


def test_empty_images_do_not_raise() -> None:
    nothing = np.zeros((4, 20, 20))
    assert check(nothing, nothing) == Finding(None, None, "the skin is not in the field of view")


def test_body_mask_is_one_piece_without_holes() -> None:
    water, fat = body()
    total = water + fat
    total[:, 55:60, 85:90] = 0  # air in the bowel
    total[:, :8, :8] = 600  # an arm in the corner
    mask = body_mask(total)
    assert mask[:, 57, 87].all()
    assert not mask[:, 3, 3].any()
    area_mm2 = mask[0].sum() * 4.0
    assert area_mm2 == pytest.approx(np.pi * 150 * 100, rel=0.03)


@pytest.mark.parametrize("scale", [1.0, 100.0, 1000.0])
def test_scale_of_a_map(scale: float) -> None:
    water, fat = body()
    fraction = fat / np.maximum(water + fat, 1e-6) * (water + fat > 100)
    assert map_scale(fraction * scale) == scale
