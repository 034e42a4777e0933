"""Input channels: independent of scale, empty for empty slices."""

from __future__ import annotations

import numpy as np

from paraspinal.models.input.normalise import MAX_INTENSITY, input_channels


def test_scale_of_the_image_does_not_matter() -> None:
    image = np.random.default_rng(0).uniform(10, 100, (64, 80)).astype(np.float32)
    np.testing.assert_allclose(input_channels(image), input_channels(image * 37.0), atol=1e-4)


def test_a_known_image() -> None:
    image = np.zeros((100, 100), dtype=np.float32)
    image[20:80, 20:80] = 50.0
    image[40, 40] = 5000.0  # a hot spot neither sets the scale nor passes unclipped
    channels = input_channels(image)
    assert channels[0, 60, 60] == 1.0
    assert channels[0, 40, 40] == MAX_INTENSITY
    assert channels[0, 5, 5] == 0.0
    # At a straight edge half the neighbourhood is dark: (1 - 1/2) over a spread of 1/2, a little less just inside.
    assert 0.7 < channels[1, 21, 60] < 1.0


def test_no_signal_gives_zeros() -> None:
    assert not input_channels(np.zeros((32, 32), dtype=np.float32)).any()
    assert not input_channels(np.full((32, 32), -3.0, dtype=np.float32)).any()
