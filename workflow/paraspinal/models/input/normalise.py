"""How an axial or sagittal slice becomes the two input channels; the same in training and inference."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.core.imaging.slice_grid import PIXEL_MM

LOCAL_SIGMA_MM = 14.0
"""Width of the neighbourhood of the local z-score, about the size of one muscle."""

FOREGROUND_FRAC = 0.1
"""A pixel is foreground if it is brighter than this fraction of the slice's 99th percentile."""

MAX_INTENSITY = 2.0  # channel 0 is clipped here: vessels and coil hot spots carry no more information
MAX_Z_SCORE = 4.0
MIN_LOCAL_SD = 0.03  # of the foreground's 97th percentile: keeps noise in air from being blown up
N_CHANNELS = 2


def input_channels(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Turn a slice (H, W) at ``PIXEL_MM`` into (2, H, W) float32.

    Channel 0 is the intensity over the 97th percentile of the foreground, channel 1 the z-score in a
    Gaussian neighbourhood, which cancels coil shading. A slice without signal gives zeros.
    """
    channels = np.zeros((N_CHANNELS, *image.shape), dtype=np.float32)
    image = np.maximum(np.asarray(image, dtype=np.float32), 0.0)
    top = float(np.percentile(image, 99.0))
    foreground = image[image > FOREGROUND_FRAC * top]
    if foreground.size == 0:
        return channels
    scaled = np.minimum(image / np.float32(np.percentile(foreground, 97.0)), np.float32(MAX_INTENSITY))
    sigma = LOCAL_SIGMA_MM / PIXEL_MM
    mean = ndimage.gaussian_filter(scaled, sigma, truncate=3.0)
    square = ndimage.gaussian_filter(scaled * scaled, sigma, truncate=3.0)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0.0)) + np.float32(MIN_LOCAL_SD)
    channels[0] = scaled
    channels[1] = np.clip((scaled - mean) / deviation, -MAX_Z_SCORE, MAX_Z_SCORE)
    return channels
