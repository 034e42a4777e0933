from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scan_factory import grid_of

from paraspinal.stages.levels.slabs import Plane, Stack

FLAT = Plane(np.zeros(3), np.array([0.0, 0.0, 1.0]))


def stack(n_slices: int = 10, spacing_mm: float = 4.0) -> Stack:
    return Stack(np.zeros(3), np.array([0.0, 0.0, 1.0]), spacing_mm, n_slices)


def test_weights_are_the_exact_share_of_every_slice() -> None:
    weights, covered = stack().slab(2.25, 4.0)
    assert weights.tolist() == [0, 0, 0.25, 1.0, 0.5, 0, 0, 0, 0, 0]
    assert covered == 1.0


def test_ends_may_come_in_any_order() -> None:
    assert stack().slab(4.0, 2.25)[0].tolist() == stack().slab(2.25, 4.0)[0].tolist()


def test_a_slab_within_one_slice() -> None:
    weights, covered = stack().slab(2.9, 3.1)
    assert weights[3] == pytest.approx(0.2)
    assert weights.sum() == pytest.approx(0.2)
    assert covered == pytest.approx(1.0)


def test_a_slab_partly_outside_is_partly_covered() -> None:
    weights, covered = stack().slab(-2.5, 1.5)
    assert weights[:2].tolist() == [1.0, 1.0]
    assert covered == 0.5
    assert stack().slab(-9.0, -3.0)[1] == 0.0


@given(
    st.floats(-5, 20),
    st.lists(st.floats(0.1, 9), min_size=1, max_size=6),
    st.floats(0.5, 9),
)
def test_adjoining_slabs_share_slices_out_without_loss(first: float, heights: list[float], spacing: float) -> None:
    stacked = stack(12, spacing)
    edges = np.cumsum([first, *heights])
    parts = sum(stacked.slab(a, b)[0] for a, b in pairwise(edges))
    assert np.allclose(parts, stacked.slab(edges[0], edges[-1])[0], atol=1e-12)


def test_plane_is_linear_between_two_slices() -> None:
    weights, covered = stack().plane(3.25)
    assert weights[3:5].tolist() == [0.75, 0.25]
    assert (weights.sum(), covered) == (1.0, 1.0)


@pytest.mark.parametrize(("position", "slice_index"), [(-0.5, 0), (-0.2, 0), (9.0, 9), (9.5, 9)])
def test_plane_in_the_outer_half_of_an_end_slice_takes_that_slice(position: float, slice_index: int) -> None:
    weights, covered = stack().plane(position)
    assert (weights[slice_index], weights.sum(), covered) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("position", [-0.51, 9.51])
def test_plane_outside_is_not_covered(position: float) -> None:
    weights, covered = stack().plane(position)
    assert (weights.sum(), covered) == (0.0, 0.0)


def test_plane_in_a_single_slice() -> None:
    weights, covered = stack(1).plane(0.3)
    assert (weights.tolist(), covered) == ([1.0], 1.0)


def test_where_a_line_meets_a_leaning_plate() -> None:
    # A plate through (0, 0, 20) that rises 0.1 mm per mm backwards; 30 mm behind it the plate is 3 mm higher.
    leaning = Plane.of([0, 0, 20], [0, -0.1, 1])
    assert leaning is not None
    upright = leaning.crossed_by(np.array([0.0, 30.0, 5.0]), np.array([0.0, 0.0, 1.0]))
    assert upright == pytest.approx([0.0, 30.0, 23.0])
    # A line that leans backwards by 45 degrees from (0, 0, 0) meets it where z = y and z = 20 + 0.1 y.
    leaning_too = leaning.crossed_by(np.zeros(3), np.array([0.0, 1.0, 1.0]))
    assert leaning_too == pytest.approx([0.0, 20 / 0.9, 20 / 0.9])


def test_a_missing_or_zero_normal_is_no_plane() -> None:
    assert Plane.of([0, 0, 0], None) is None
    assert Plane.of([0, 0, 0], [0, 0, 0]) is None


@pytest.mark.parametrize("flip", [1, -1])
def test_positions_count_in_stored_order(flip: int) -> None:
    grid = grid_of(flips=(1, 1, flip))
    stacked = Stack.of(grid)
    point = grid.to_world(np.array([3.0, 7.0, 12.25]))
    assert stacked.position(point) == pytest.approx(12.25)


def test_angle_ignores_the_sign() -> None:
    assert stack().angle_deg(np.array([0.0, 1.0, -1.0])) == pytest.approx(45.0)
