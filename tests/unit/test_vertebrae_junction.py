"""Which body is L5: the joint likelihood against formulas and drawn spines."""

from __future__ import annotations

import numpy as np
import pytest

from paraspinal.models.synthesis.spine.anatomy import sample_chain
from paraspinal.vertebrae.junction import (
    LAST,
    LEAN_SD_DEG,
    LORDOSIS_SD,
    MAX_OUTLIERS,
    OUTLIER_LOG_DENSITY,
    OUTLIER_LOG_PRIOR,
    TILT_DEG,
    TILT_SD_DEG,
    UNITS_UPWARDS,
    tilt_log_likelihood,
)


def drawn_tilts(seed: int) -> np.ndarray:
    """Tilts (n, 2) in degrees of a drawn spine from S2 upwards, lower and upper end-plate."""
    chain = sample_chain(np.random.default_rng(seed))
    units = slice(chain.first_sacral - 1, chain.first_sacral - 1 + len(UNITS_UPWARDS))
    half = chain.wedge_rad / 2
    tilts: np.ndarray = np.degrees(np.stack([chain.angle_rad + half, chain.angle_rad - half], axis=1)[units])
    return tilts


def test_a_single_end_plate_has_the_density_of_a_normal_distribution() -> None:
    tilts = np.array([[TILT_DEG[LAST, 0] + 6.0, np.nan]])
    variance = LEAN_SD_DEG**2 + (LORDOSIS_SD * TILT_DEG[LAST, 0]) ** 2 + TILT_SD_DEG**2
    expected = -0.5 * 6.0**2 / variance - 0.5 * np.log(2 * np.pi * variance)
    assert tilt_log_likelihood(tilts, LAST) == pytest.approx(expected)


def test_posture_and_curvature_cost_less_than_one_end_plate_out_of_line() -> None:
    straight = TILT_DEG[LAST:8].copy()
    leaning, bent = straight + 8.0, straight.copy()
    bent[3, 0] += 8.0 * np.sqrt(straight.size)  # as far off in all
    base = tilt_log_likelihood(straight, LAST)
    assert base - tilt_log_likelihood(leaning, LAST) < 2.0
    assert base - tilt_log_likelihood(bent, LAST) > 5.0


def test_a_body_that_is_none_costs_a_bounded_price() -> None:
    tilts = np.vstack([TILT_DEG[LAST:8], [[85.0, -70.0]]])
    price = tilt_log_likelihood(TILT_DEG[LAST:8], LAST) - tilt_log_likelihood(tilts, LAST)
    assert price == pytest.approx(-2 * OUTLIER_LOG_DENSITY - OUTLIER_LOG_PRIOR)
    assert MAX_OUTLIERS == 2


def test_unknown_tilts_say_nothing() -> None:
    nothing = np.full((5, 2), np.nan)
    assert {tilt_log_likelihood(nothing, unit) for unit in range(6)} == {0.0}


def test_the_table_is_that_of_drawn_spines() -> None:
    tilts = np.array([drawn_tilts(seed) for seed in range(300)])
    lumbar = slice(LAST - 1, LAST + 5)  # S1 to L1
    assert np.abs(tilts.mean(axis=0) - TILT_DEG)[lumbar].max() < 2.0
    spread = np.sqrt(LEAN_SD_DEG**2 + (LORDOSIS_SD * TILT_DEG) ** 2 + TILT_SD_DEG**2)
    assert (np.abs(tilts.std(axis=0) / spread - 1)[lumbar] < 0.25).all()


def test_end_plates_alone_mostly_know_l5() -> None:
    right = 0
    for seed in range(1000, 1060):
        column = drawn_tilts(seed)[LAST : LAST + 5]  # the sacrum is out of view
        likelihood = [tilt_log_likelihood(column, unit) for unit in range(LAST, 7)]
        right += int(np.argmax(likelihood) == 0)
    assert right > 36  # guessing would find twelve
