"""Images that go wrong, and images of something else: what the muscles model must not be trusted on.

Everything is synthetic and follows from a generator, so that the value of the uncertainty can be measured
against known outlines, and refusals where there is nothing to outline.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

Volume = npt.NDArray[np.float32]
"""Axial slices (slice, row, column), caudal first, rows to the back, columns to the left."""

Corruption = Callable[[np.random.Generator, Volume], Volume]

PIXEL_MM = 2.0
SLICE_MM = 6.0
SHAPE = (8, 112, 144)


def noise(rng: np.random.Generator, volume: Volume) -> Volume:
    """Bury the image in noise."""
    sd = rng.uniform(0.12, 0.35) * float(np.percentile(volume, 98))
    return np.hypot(volume + rng.normal(0, sd, volume.shape), rng.normal(0, sd, volume.shape)).astype(np.float32)


def motion(rng: np.random.Generator, volume: Volume) -> Volume:
    """Add strong ghosts along the belly's movement."""
    result = volume.copy()
    shift = int(rng.integers(8, 40))
    for k, strength in ((1, rng.uniform(0.25, 0.6)), (2, rng.uniform(0.1, 0.3))):
        result += strength * (np.roll(volume, k * shift, axis=1) + np.roll(volume, -k * shift, axis=1))
    return result


def blur(rng: np.random.Generator, volume: Volume) -> Volume:
    """Lose the detail."""
    return np.asarray(ndimage.gaussian_filter(volume, (0, *rng.uniform(2.5, 5.0, 2))), dtype=np.float32)


def dropout(rng: np.random.Generator, volume: Volume) -> Volume:
    """Lose one side: a coil element off."""
    x = np.linspace(-1, 1, volume.shape[2], dtype=np.float32)
    side = rng.choice([-1.0, 1.0])
    return np.asarray(volume * np.exp(-rng.uniform(3, 7) * np.maximum(0.0, side * x + 0.1)), dtype=np.float32)


def metal(rng: np.random.Generator, volume: Volume) -> Volume:
    """Void and pile-up around an implant at the back of the spine."""
    rows, columns = np.indices(volume.shape[1:])
    row, column = (0.5 + 0.1 * rng.normal()) * volume.shape[1], (0.5 + 0.05 * rng.normal()) * volume.shape[2]
    radius = np.hypot(rows - row, columns - column) / rng.uniform(10, 22)
    ring = np.exp(-(((radius - 1.1) / 0.12) ** 2)).astype(np.float32)
    return np.where(radius < 1, 0.0, volume + 2.5 * ring * volume.max()).astype(np.float32)


def upside_down(rng: np.random.Generator, volume: Volume) -> Volume:
    """Exchange front and back, as a lost orientation does; the header still claims the usual one."""
    del rng
    return np.ascontiguousarray(volume[:, ::-1])


CORRUPTIONS: dict[str, Corruption] = {
    "noise": noise,
    "motion": motion,
    "blur": blur,
    "dropout": dropout,
    "metal": metal,
    "upside_down": upside_down,
}


def wrong_body(rng: np.random.Generator, kind: str) -> sitk.Image:
    """Image something that has no paraspinal muscles: ``kind`` is one of :data:`WRONG_BODIES`."""
    volume = np.stack([WRONG_BODIES[kind](np.random.default_rng(rng.integers(2**62)), z) for z in range(SHAPE[0])])
    image = sitk.GetImageFromArray(noise_floor(rng, volume.astype(np.float32)))
    image.SetSpacing((PIXEL_MM, PIXEL_MM, SLICE_MM))
    return image


def noise_floor(rng: np.random.Generator, volume: Volume) -> Volume:
    """Add a little noise and coil shading."""
    shade = np.exp(rng.normal(0, 0.4) * np.linspace(-1, 1, volume.shape[1]))[None, :, None]
    sd = rng.uniform(0.005, 0.05)
    return np.hypot(volume * shade + rng.normal(0, sd, volume.shape), rng.normal(0, sd, volume.shape)).astype(
        np.float32
    )


def _disc(x: float, y: float, rx: float, ry: float) -> npt.NDArray[np.bool_]:
    rows, columns = ((np.arange(n) - (n - 1) / 2) * PIXEL_MM for n in SHAPE[1:])
    yy, xx = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(((xx - x) / rx) ** 2 + ((yy - y) / ry) ** 2 < 1)


def _nothing(rng: np.random.Generator, z: int) -> Volume:
    del rng, z
    return np.zeros(SHAPE[1:], dtype=np.float32)


def _bottle(rng: np.random.Generator, z: int) -> Volume:
    del rng, z
    return _disc(0, 0, 75, 75).astype(np.float32)


def _head(rng: np.random.Generator, z: int) -> Volume:
    """Scalp, skull, brain with ventricles and folds."""
    size = 1.0 - 0.03 * abs(z - 4)
    image = 0.9 * _disc(0, 0, 80 * size, 98 * size).astype(np.float32)
    image[_disc(0, 0, 75 * size, 93 * size)] = 0.08
    brain = _disc(0, 0, 70 * size, 87 * size)
    folds = ndimage.gaussian_filter(rng.normal(size=SHAPE[1:]), 1.5)
    image[brain] = 0.55 + 0.5 * folds[brain]
    for side in (-1, 1):
        image[_disc(side * 12, -4, 7, 24)] = 0.2
    return image


def _limb(x: float, radius: float) -> Volume:
    image = 0.95 * _disc(x, 0, radius, radius).astype(np.float32)
    image[_disc(x, 0, radius - 9, radius - 9)] = 0.38
    for angle in (0.4, 1.7, 3.1, 4.4, 5.5):  # fat between the muscles
        for r in np.linspace(0.25, 0.9, 12) * (radius - 9):
            image[_disc(x + r * np.cos(angle), r * np.sin(angle), 1.6, 1.6)] = 0.9
    image[_disc(x, 0, 13, 13)] = 0.05
    image[_disc(x, 0, 8, 8)] = 0.8
    return image


def _thighs(rng: np.random.Generator, z: int) -> Volume:
    """Two thighs side by side."""
    del rng
    radius = 62.0 + z
    return _limb(-70.0, radius) + _limb(70.0, radius)


def _knee(rng: np.random.Generator, z: int) -> Volume:
    """One limb, mostly bone."""
    del rng
    image = _limb(0.0, 64.0 + z)
    image[_disc(0, -8, 38, 30)] = 0.7
    return image


WRONG_BODIES: dict[str, Callable[[np.random.Generator, int], Volume]] = {
    "nothing": _nothing,
    "bottle": _bottle,
    "head": _head,
    "thighs": _thighs,
    "knee": _knee,
}
