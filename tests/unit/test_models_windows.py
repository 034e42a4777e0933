"""Where is looked, and how far two looks differ."""

from __future__ import annotations

import numpy as np
import pytest

from paraspinal.models.input.windows import body_window
from paraspinal.models.outline_disagreement import disagreement


def test_body_window_holds_the_body_and_fits_the_network() -> None:
    slices = np.zeros((2, 240, 256), dtype=np.float32)
    slices[1, 30:170, 60:230] = 100.0
    rows, columns = body_window(slices)
    assert rows.start <= 24
    assert rows.stop >= 176
    assert columns.start <= 54
    assert columns.stop >= 236
    assert (rows.stop - rows.start) % 16 == (columns.stop - columns.start) % 16 == 0


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
