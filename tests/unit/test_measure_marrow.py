"""The fat fraction of the marrow: measured where the vertebrae are, and a witness against a wrong pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from paraspinal.core.imaging.geometry import Grid
from paraspinal.stages.measure.fat.marrow import judged_by_marrow, marrow_ff_frac

AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.98, -0.2], [0.0, 0.2, 0.98]])


def grid() -> Grid:
    axes, _ = np.linalg.qr(AXES)
    axes *= np.sign(np.diag(axes))
    return Grid((60, 50, 24), (2.0, 2.5, 4.0), (-60.0, -70.0, -40.0), tuple(axes.ravel()))


def slab(centre: tuple[float, float, float] | None, scheme: str = "vertebra_slab") -> dict[str, Any]:
    return {"level_scheme": scheme, "centre_mm": None if centre is None else list(centre)}


def pair(centres: dict[tuple[float, float, float], float]) -> tuple[np.ndarray, np.ndarray]:
    """Water and fat of a body of pure water with balls of 12 mm of given fat fractions."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid().size[::-1]), indexing="ij")
    points = grid().to_world(np.stack([i, j, k], axis=-1))
    fraction = np.zeros(points.shape[:-1])
    for centre, value in centres.items():
        fraction[np.linalg.norm(points - np.array(centre), axis=-1) < 12.0] = value
    return 100.0 * (1 - fraction), 100.0 * fraction


CENTRES = {(0.0, -5.0, -20.0): 0.3, (0.0, -2.0, 5.0): 0.4, (0.0, 0.0, 30.0): 0.6}


def test_the_median_of_the_vertebrae_in_view() -> None:
    slabs = [slab(centre) for centre in CENTRES]
    assert marrow_ff_frac(slabs, *pair(CENTRES), grid()) == pytest.approx(0.4, abs=1e-9)


def test_only_whole_vertebrae_in_view_count() -> None:
    slabs = [slab((0.0, -5.0, -20.0)), slab((0.0, 0.0, 500.0)), slab(None), slab((0.0, 0.0, 30.0), "disc_mid")]
    assert marrow_ff_frac(slabs, *pair(CENTRES), grid()) == pytest.approx(0.3, abs=1e-9)
    assert marrow_ff_frac([slab(None)], *pair(CENTRES), grid()) is None
    assert marrow_ff_frac([slab((0.0, 0.0, -40.0))], *pair(CENTRES), grid()) is None


def test_air_has_no_fraction() -> None:
    nothing = np.zeros(grid().size[::-1])
    assert marrow_ff_frac([slab((0.0, -2.0, 5.0))], nothing, nothing, grid()) is None


def _row(**over: Any) -> dict[str, Any]:
    return {"status": "ok", "reason_code": None, "detail": None, "fi_reason_code": None, **over}


@pytest.mark.parametrize("marrow", [0.1, 0.45, 0.85, None])
def test_possible_marrow_withholds_nothing(marrow: float | None) -> None:
    assert judged_by_marrow(_row(), marrow) == {**_row(), "marrow_ff_frac": marrow}


@pytest.mark.parametrize("marrow", [0.01, 0.96])
def test_impossible_marrow_withholds_the_fat_and_says_why(marrow: float) -> None:
    row = judged_by_marrow(_row(), marrow)
    assert (row["status"], row["reason_code"], row["fi_reason_code"]) == ("warn", *["DIXON_SCALE_MISMATCH"] * 2)
    assert f"{marrow:.2f}" in row["detail"]


def test_an_earlier_reason_stands() -> None:
    doubted = _row(status="warn", reason_code="DIXON_SWAP_SUSPECTED", fi_reason_code="DIXON_SWAP_SUSPECTED")
    assert judged_by_marrow(doubted, 0.99) == {**doubted, "marrow_ff_frac": 0.99}
