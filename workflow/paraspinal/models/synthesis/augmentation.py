"""Random geometry and image degradation for synthetic training images: drawn first, then applied.

A draw holds every number that was decided, and the seed of each field of noise; applying it decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.core.imaging.slice_grid import PIXEL_MM
from paraspinal.models.synthesis.textures import smooth_noise

Field = npt.NDArray[np.float32]
Shape = tuple[int, int]
"""Rows and columns."""

SEEDS = 2**62
ROTATION_SD_DEG = 6.0
SCALE_RANGE = (0.85, 1.18)
ASPECT_SD = 0.05
ELASTIC_MAX_MM = 5.0
ELASTIC_CELL_MM = 40.0
SHIFT_X_MM = 45.0
SHIFT_Y_MM = 40.0

COIL_RIM_FRAC = 0.75  # images with a bright rim near the surface coil
COIL_RIM_MOST = 1.2  # at the skin, in addition to the signal without it
COIL_RIM_MM = (8.0, 20.0)  # depth within which it falls by a factor of e
COIL_RIM_LUMPS = 0.2  # it varies along the skin by this share

CROPPED_FRAC = 0.35  # images that do not cover the whole sample
CROPPED_SIZE = (0.6, 0.98)


@dataclass(frozen=True)
class Geometry:
    """Anatomical coordinates (x, y) in mm of every pixel of the sample, and whether the person is mirrored."""

    x_mm: Field
    y_mm: Field
    is_mirrored: bool


@dataclass(frozen=True)
class GeometryDraw:
    """Where the sample's pixels lie: ``shift_mm`` (x, y) off the middle, rotation, scale, warp, reflection."""

    shift_mm: tuple[float, float]
    angle_deg: float
    scale: float
    aspect: float
    warp_mm: float
    warp_seed: int
    is_mirrored: bool


def draw_geometry(rng: np.random.Generator, turn_deg: float = 0.0) -> GeometryDraw:
    """Draw a geometry; ``turn_deg`` comes on top of the rotation."""
    return GeometryDraw(
        (float(rng.uniform(-SHIFT_X_MM, SHIFT_X_MM)), float(rng.uniform(-SHIFT_Y_MM, SHIFT_Y_MM))),
        float(rng.normal(0, ROTATION_SD_DEG)) + turn_deg,
        1.0 / float(rng.uniform(*SCALE_RANGE)),
        float(np.exp(rng.normal(0, ASPECT_SD))),
        float(rng.uniform(0, ELASTIC_MAX_MM / 2)),  # noise of unit spread rarely exceeds two
        int(rng.integers(SEEDS)),
        bool(rng.uniform() < 0.5),
    )


def apply_geometry(draw: GeometryDraw, shape: Shape, centre_mm: tuple[float, float]) -> Geometry:
    """Lay out the pixels of ``shape``; rows run posterior, columns to the patient's left.

    ``centre_mm`` is the anatomical (x, y) in the middle of an average sample.
    """
    rows, columns = (PIXEL_MM * (np.arange(n) - (n - 1) / 2) for n in shape)
    y, x = np.meshgrid(rows + draw.shift_mm[1], columns + draw.shift_mm[0], indexing="ij")
    angle = np.deg2rad(draw.angle_deg)
    x, y = (
        draw.scale * draw.aspect * (np.cos(angle) * x + np.sin(angle) * y) + centre_mm[0],
        draw.scale / draw.aspect * (np.cos(angle) * y - np.sin(angle) * x) + centre_mm[1],
    )
    rng, strength = np.random.default_rng(draw.warp_seed), draw.warp_mm
    for cell_mm in (ELASTIC_CELL_MM, ELASTIC_CELL_MM / 2):
        x = x + strength * smooth_noise(rng, shape, cell_mm / PIXEL_MM)
        y = y + strength * smooth_noise(rng, shape, cell_mm / PIXEL_MM)
        strength *= 0.4
    if draw.is_mirrored:
        x = -x
    return Geometry(x.astype(np.float32), y.astype(np.float32), draw.is_mirrored)


def sample_geometry(
    rng: np.random.Generator, shape: Shape, centre_mm: tuple[float, float], turn_deg: float = 0.0
) -> Geometry:
    """Draw and apply in one go, for a geometry nobody needs to replay."""
    return apply_geometry(draw_geometry(rng, turn_deg), shape, centre_mm)


@dataclass(frozen=True)
class Degradation:
    """What makes a clean rendering look acquired: texture, shading, coil rim, blur, noise, gamma."""

    texture: float
    texture_px: float
    front_back: float  # logarithm of the gain behind over that in front
    left_right: float
    bowl: float
    lumps: float
    rim: float
    rim_mm: float
    blur_px: tuple[float, float]
    noise_sd: float
    gamma: float
    seed: int  # of every field of noise


def draw_degradation(rng: np.random.Generator) -> Degradation:
    """Draw a degradation; the coil is mostly behind, where it can be e^2.6 times as bright as in front."""
    has_rim = rng.uniform() < COIL_RIM_FRAC
    return Degradation(
        texture=float(rng.uniform(0, 0.05)),
        texture_px=float(rng.uniform(2, 5)),
        front_back=float(2.6 * rng.beta(0.8, 1.8) * (1 if rng.uniform() < 0.9 else -0.5)),
        left_right=float(rng.normal(0, 0.4)),
        bowl=float(rng.normal(0, 0.5)),
        lumps=float(rng.uniform(0, 0.15)),
        rim=float(rng.uniform(0, COIL_RIM_MOST)) if has_rim else 0.0,
        rim_mm=float(rng.uniform(*COIL_RIM_MM)),
        blur_px=(float(rng.uniform(0.2, 0.9)), float(rng.uniform(0.2, 0.9))),
        noise_sd=float(rng.uniform(0, 0.07) * rng.uniform()),
        gamma=float(rng.uniform(0.7, 1.4)),
        seed=int(rng.integers(SEEDS)),
    )


def apply_degradation(draw: Degradation, image: Field, depth_mm: Field | None = None, index: int = 0) -> Field:
    """Degrade an image (H, W).

    ``depth_mm`` (H, W) below the skin of the back is where the coil rim is bright, none without it. Slices of one scan
    share everything but their noise, which goes by ``index``.
    """
    shape: Shape = (image.shape[0], image.shape[1])
    shared, own = np.random.default_rng([draw.seed, 0]), np.random.default_rng([draw.seed, 1, index])
    image = image * (1.0 + draw.texture * smooth_noise(own, shape, draw.texture_px))
    image = image * _shading(draw, shape, shared)
    if depth_mm is not None and draw.rim > 0:
        rim = draw.rim * np.exp(-depth_mm / draw.rim_mm)
        image = image * (1.0 + rim * (1.0 + COIL_RIM_LUMPS * smooth_noise(shared, shape, 20.0)))
    image = image / max(float(np.percentile(image, 98)), 1e-3)
    image = ndimage.gaussian_filter(image, draw.blur_px)
    real, imaginary = own.normal(0, draw.noise_sd, (2, *shape))
    image = np.hypot(image + real, imaginary)  # Rician
    return np.asarray(image**draw.gamma, dtype=np.float32)


def degrade(rng: np.random.Generator, image: Field) -> Field:
    """Draw and apply in one go, for an image nobody needs to replay."""
    return apply_degradation(draw_degradation(rng), image)


def _shading(draw: Degradation, shape: Shape, rng: np.random.Generator) -> Field:
    """Coil sensitivity: from front to back, from side to side, a bowl, and slow lumps."""
    y = np.linspace(-0.5, 0.5, shape[0])[:, None]
    x = np.linspace(-0.5, 0.5, shape[1])[None, :]
    log_gain = draw.front_back * y + draw.left_right * x + draw.bowl * (x**2 + y**2)
    return np.exp(log_gain + draw.lumps * smooth_noise(rng, shape, 30.0)).astype(np.float32)


def draw_field_of_view(rng: np.random.Generator, shape: Shape) -> tuple[int, int, int, int]:
    """Draw which rows and columns the scanner covered (first, end, first, end); mostly all of ``shape``."""
    spans = []
    is_cropped = rng.uniform() < CROPPED_FRAC
    for length in shape:
        size = int(rng.uniform(*CROPPED_SIZE) * length) if is_cropped else length
        start = int(rng.integers(0, length - size + 1))
        spans += [start, start + size]
    return spans[0], spans[1], spans[2], spans[3]


def apply_field_of_view(spans: tuple[int, int, int, int], shape: Shape) -> npt.NDArray[np.bool_]:
    """Mark the pixels (H, W) within the rows and columns covered."""
    visible = np.zeros(shape, dtype=bool)
    visible[spans[0] : spans[1], spans[2] : spans[3]] = True
    return visible


def sample_field_of_view(rng: np.random.Generator, shape: Shape) -> npt.NDArray[np.bool_]:
    """Draw and apply in one go."""
    return apply_field_of_view(draw_field_of_view(rng, shape), shape)
