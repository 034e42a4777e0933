"""Several looks: the same place on canvases of different pixels, and how far the looks agree."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from paraspinal.models.agreement import disagreement, spread
from paraspinal.models.preprocess import STRIDE, slice_grid
from paraspinal.models.views import (
    FURTHER_VIEWS,
    REGION_MARGIN_MM,
    interpolation_matrix,
    muscle_region,
    onto,
    same_region,
)


def image_of(columns: int = 300, rows: int = 240) -> sitk.Image:
    image = sitk.Image([columns, rows, 3], sitk.sitkFloat32)
    image.SetSpacing((1.1, 1.3, 4.0))
    return image


def test_views_come_in_mirrored_pairs() -> None:
    # Otherwise left and right would not be treated alike.
    further = {(view.pixel_mm, view.is_mirrored) for view in FURTHER_VIEWS}
    assert {(pixel, not mirrored) for pixel, mirrored in further | {(2.0, False)}} == further | {(2.0, False)}


def test_region_is_the_muscle_with_its_margin() -> None:
    probabilities = np.zeros((2, 3, 112, 144), dtype=np.float32)
    probabilities[:, 0] = 0.5
    probabilities[1, 2, 60:70, 80:90] = 0.9
    rows, columns = muscle_region(probabilities) or (slice(0), slice(0))
    margin = int(REGION_MARGIN_MM / 2.0)
    assert (rows.start, rows.stop) == (60 - margin, 70 + margin)
    assert (columns.start, columns.stop) == (80 - margin, 90 + margin)
    assert muscle_region(np.zeros((1, 3, 32, 32), dtype=np.float32)) is None


@pytest.mark.parametrize("pixel_mm", [1.6, 1.8, 2.2])
def test_a_place_seen_finer_comes_back_where_it_was(pixel_mm: float) -> None:
    grid, other = slice_grid(image_of()), slice_grid(image_of(), pixel_mm=pixel_mm)
    region = (slice(40, 101), slice(50, 120))
    window = same_region(region, grid, other)
    assert all((w.stop - w.start) % STRIDE == 0 for w in window)
    y, x = (other.canvas_axis_mm(axis)[window[axis]] for axis in (0, 1))
    field = (0.3 * y[:, None] - 0.7 * x[None, :])[None].astype(np.float32)  # linear: interpolation is exact
    found = onto(field, window, other, region, grid)[0]
    expected = 0.3 * grid.canvas_axis_mm(0)[region[0], None] - 0.7 * grid.canvas_axis_mm(1)[None, region[1]]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_interpolation_rows_sum_to_one_and_ends_continue() -> None:
    matrix = interpolation_matrix(np.array([0.0, 2.0, 4.0]), np.array([-9.0, 0.5, 3.0, 9.0]))
    np.testing.assert_allclose(matrix, [[1, 0, 0], [0.75, 0.25, 0], [0, 0.5, 0.5], [0, 0, 1]])


def test_disagreement_of_known_maps() -> None:
    one = np.zeros((2, 1, 10), dtype=np.uint8)
    other = one.copy()
    one[0, 0, :4] = 1
    other[0, 0, 2:8] = 1
    one[1, 0, :5] = other[1, 0, :5] = 1
    whole, by_slice = disagreement(one, other, 3)
    assert by_slice[0, 1] == pytest.approx(1 - 2 * 2 / (4 + 6))
    assert by_slice[1, 1] == 0.0
    assert whole[1] == pytest.approx(1 - 2 * 7 / (9 + 11))
    assert np.isnan(whole[2])
    assert np.isnan(by_slice[:, 2]).all()


def test_spread_is_the_mean_over_looks_and_ignores_what_none_sees() -> None:
    consensus = np.array([[[1, 1, 0, 2]]], dtype=np.uint8)
    looks = [consensus, np.array([[[1, 0, 0, 2]]], dtype=np.uint8)]
    whole, by_slice = spread(looks, consensus, 4)
    assert whole[1] == pytest.approx((0 + (1 - 2 / 3)) / 2)
    assert whole[2] == 0.0
    assert np.isnan(whole[3])
    np.testing.assert_array_equal(by_slice[0], whole)
