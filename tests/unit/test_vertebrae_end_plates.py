"""End-plate planes of bodies whose planes are known by formula."""

from __future__ import annotations

import numpy as np
import pytest

from paraspinal.vertebrae.end_plates import fit_end_plates, fit_sacral_plate

SPACING = np.array([4.0, 2.0, 2.0])
CENTRE = np.array([20.0, 60.0, 70.0])
DEPTH_MM = 34.0


def direction(tilt_deg: float) -> np.ndarray:
    """Cranial normal of an end-plate whose front is lower by this angle, (lateral, caudal, posterior)."""
    tilt = np.radians(tilt_deg)
    return np.array([0.0, -np.cos(tilt), -np.sin(tilt)])


def body(upper_deg: float, lower_deg: float, half_mm: float = 14.0, hollow_mm: float = 0.0) -> np.ndarray:
    """Probability of a body cut by two planes, edges softened over one pixel."""
    index = np.stack(np.meshgrid(np.arange(11), np.arange(60), np.arange(70), indexing="ij"), -1) * SPACING
    d = index - CENTRE
    bowl = hollow_mm * np.clip(1 - (2 * d[..., 2] / DEPTH_MM) ** 2 - (d[..., 0] / 23.0) ** 2, 0, None)
    sdf = np.max(
        [
            d @ direction(upper_deg) - half_mm + bowl,
            -(d @ direction(lower_deg)) - half_mm + bowl,
            np.abs(d[..., 2]) - DEPTH_MM / 2,
            np.abs(d[..., 0]) - 23.0,
        ],
        axis=0,
    )
    return np.asarray(np.clip(0.5 - sdf / 2.0, 0, 1), np.float32)


@pytest.mark.parametrize("upper_deg", [-20.0, -5.0, 0.0, 12.0])
@pytest.mark.parametrize("lower_deg", [-8.0, 0.0, 25.0])
def test_planes_of_a_wedge(upper_deg: float, lower_deg: float) -> None:
    start = direction((upper_deg + lower_deg) / 2 + 6.0)
    planes = fit_end_plates(body(upper_deg, lower_deg), SPACING, CENTRE, start, DEPTH_MM)
    for plane, tilt, sign in zip(planes[:2], (upper_deg, lower_deg), (1, -1), strict=True):
        assert plane is not None
        point, normal = plane
        assert (point - CENTRE) @ direction(tilt) == pytest.approx(sign * 14.0, abs=0.5)
        assert np.degrees(np.arccos(min(1.0, normal @ direction(tilt)))) < 1.5
    assert planes[2] > 0.9


def test_the_plane_of_a_hollow_end_plate_is_that_of_its_rim() -> None:
    upper, _, _ = fit_end_plates(body(0, 0, hollow_mm=2.0), SPACING, CENTRE, direction(0), DEPTH_MM)
    assert upper is not None
    assert (upper[0] - CENTRE) @ direction(0) == pytest.approx(14.0, abs=0.8)


def test_a_body_cut_by_the_image_border_has_one_plane() -> None:
    cut = body(0, 0)[:, 28:]  # the upper end-plate lies outside
    centre = CENTRE - np.array([0, 56.0, 0])
    upper, lower, share = fit_end_plates(cut, SPACING, centre, direction(0), DEPTH_MM)
    assert upper is None
    assert lower is not None
    assert share < 0.7


def test_the_plate_of_s1_is_found_below_the_last_disc() -> None:
    sacrum = body(35.0, 35.0)
    above = CENTRE + 26.0 * direction(25.0)
    plate = fit_sacral_plate(sacrum, SPACING, above, direction(20.0), DEPTH_MM)
    assert plate is not None
    point, normal = plate
    assert (point - CENTRE) @ direction(35.0) == pytest.approx(14.0, abs=0.7)
    assert np.degrees(np.arccos(min(1.0, normal @ direction(35.0)))) < 3.0


def test_where_there_is_no_sacrum_there_is_no_plate() -> None:
    nothing = np.zeros((11, 60, 70), np.float32)
    assert fit_sacral_plate(nothing, SPACING, CENTRE, direction(0), DEPTH_MM) is None
