"""Random geometry and image degradation for synthetic training images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.core.imaging.slice_grid import PIXEL_MM
from paraspinal.models.synthesis.textures import smooth_noise

Field = npt.NDArray[np.float32]

ROTATION_SD_DEG = 6.0
SCALE_RANGE = (0.85, 1.18)
ELASTIC_MAX_MM = 5.0
ELASTIC_CELL_MM = 40.0
SHIFT_X_MM = 45.0
SHIFT_Y_MM = 40.0


@dataclass(frozen=True)
class Geometry:
    """Anatomical coordinates (x, y) in mm of every pixel of the sample, and whether the person is mirrored."""

    x_mm: Field
    y_mm: Field
    is_mirrored: bool


def sample_geometry(
    rng: np.random.Generator, shape: tuple[int, int], centre_mm: tuple[float, float], turn_deg: float = 0.0
) -> Geometry:
    """Draw where the sample's pixels lie: shift, rotation, scale, elastic warp, reflection.

    ``shape`` is (rows, columns); rows run posterior, columns to the patient's left; ``centre_mm`` is
    the anatomical (x, y) in the middle of an average sample; ``turn_deg`` comes on top of the rotation drawn.
    """
    rows, columns = (PIXEL_MM * (np.arange(n) - (n - 1) / 2) for n in shape)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    x = x + rng.uniform(-SHIFT_X_MM, SHIFT_X_MM)
    y = y + rng.uniform(-SHIFT_Y_MM, SHIFT_Y_MM)
    angle = np.deg2rad(rng.normal(0, ROTATION_SD_DEG) + turn_deg)
    scale = 1.0 / rng.uniform(*SCALE_RANGE)
    aspect = np.exp(rng.normal(0, 0.05))
    x, y = (
        scale * aspect * (np.cos(angle) * x + np.sin(angle) * y) + centre_mm[0],
        scale / aspect * (np.cos(angle) * y - np.sin(angle) * x) + centre_mm[1],
    )
    strength = rng.uniform(0, ELASTIC_MAX_MM / 2)  # noise of unit spread rarely exceeds two
    for cell_mm in (ELASTIC_CELL_MM, ELASTIC_CELL_MM / 2):
        x = x + strength * smooth_noise(rng, shape, cell_mm / PIXEL_MM)
        y = y + strength * smooth_noise(rng, shape, cell_mm / PIXEL_MM)
        strength *= 0.4
    is_mirrored = bool(rng.uniform() < 0.5)
    if is_mirrored:
        x = -x
    return Geometry(x.astype(np.float32), y.astype(np.float32), is_mirrored)


def degrade(rng: np.random.Generator, image: Field) -> Field:
    """Make a clean rendering look acquired: texture, shading, blur, noise, gamma."""
    shape = image.shape
    image = image * (1.0 + rng.uniform(0, 0.05) * smooth_noise(rng, shape, rng.uniform(2, 5)))
    image = image * _shading(rng, shape)
    image = image / max(float(np.percentile(image, 98)), 1e-3)
    image = ndimage.gaussian_filter(image, rng.uniform(0.2, 0.9, 2))
    noise_sd = rng.uniform(0, 0.07) * rng.uniform()
    real = image + rng.normal(0, noise_sd, shape)
    image = np.sqrt(real**2 + rng.normal(0, noise_sd, shape) ** 2)  # Rician
    return np.asarray(image ** rng.uniform(0.7, 1.4), dtype=np.float32)


def _shading(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Coil sensitivity: mostly bright behind, up to a factor e^2.6 from front to back, plus slow lumps."""
    y = np.linspace(-0.5, 0.5, shape[0])[:, None]
    x = np.linspace(-0.5, 0.5, shape[1])[None, :]
    front_back = 2.6 * rng.beta(0.8, 1.8) * (1 if rng.uniform() < 0.9 else -0.5)
    log_gain = front_back * y + rng.normal(0, 0.4) * x + rng.normal(0, 0.5) * (x**2 + y**2)
    log_gain = log_gain + rng.uniform(0, 0.15) * smooth_noise(rng, shape, 30.0)
    return np.exp(log_gain).astype(np.float32)


def sample_field_of_view(rng: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Draw which pixels (H, W) the scanner covered; a third of the time less than the whole sample."""
    visible = np.ones(shape, dtype=bool)
    if rng.uniform() < 0.35:
        for axis, length in enumerate(shape):
            size = int(rng.uniform(0.6, 0.98) * length)
            start = int(rng.integers(0, length - size + 1))
            outside = (np.arange(length) < start) | (np.arange(length) >= start + size)
            visible[outside if axis == 0 else (slice(None), outside)] = False
    return visible
