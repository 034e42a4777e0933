"""Dixon pairs with known truth: an elliptic body in no time, the procedural person, and faults made on purpose."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from paraspinal.core.imaging.geometry import Grid
from paraspinal.phantom.anatomy import Anatomy, sample_parameters
from paraspinal.phantom.contrast import CONTRASTS, QUICK, Weighting, add_noise, bias_field, ideal_signals, texture
from paraspinal.stages.harmonize.integrity import Finding, Pair, check_pair
from paraspinal.stages.harmonize.physics import spoiled_echo

SPACING = (2.0, 2.0, 5.0)
MIN_RING = 0.8
Images = dict[str, np.ndarray]
"""water, fat, in_phase, opposed: (z, y, x)."""
PHANTOM_FAT_TO_WATER = 1.6
"""Brightness of fat over muscle in the phantom's own Dixon set."""


def body(fat_mm: float = 20.0, muscle_ff: float = 0.1, noise: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    """Water and fat of an elliptic body, 150 x 100 mm half axes: skin, a layer of fat, muscle inside; (z, y, x)."""
    y, x = np.mgrid[-60:60, -90:90] * 2.0
    radius = np.hypot(x / 150, y / 100)
    depth = (1 - radius) * 100  # millimetres along the short axis, close enough elsewhere
    inside, skin, fatty = depth > 0, (depth > 0) & (depth < 2), (depth >= 2) & (depth < 2 + fat_mm)
    fraction = np.where(fatty, 0.95, np.where(skin, 0.2, muscle_ff))
    brightness = np.where(fraction > 0.5, 800.0, 400.0) * inside
    rng = np.random.default_rng(1)
    water, fat = (add_noise(np.stack([brightness * part] * 6), rng, noise) for part in (1 - fraction, fraction))
    return water, fat


@cache
def _ideal(number: int) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    """Noise-free water and fat of a random person, with the spacing; the shading of the coils is in them."""
    rng = np.random.default_rng([number, 77])
    spacing = (3.0, 3.0, float(rng.choice([4.0, 6.0, 8.0])))
    size = (136, 108, int(72 / spacing[2]))
    origin = (-1.5 * size[0], -1.5 * size[1] - 25.0, -36.0 + float(rng.uniform(-30, 30)))
    grid = Grid(size, spacing, origin, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    anatomy = Anatomy(sample_parameters(rng))
    water, fat = ideal_signals(anatomy, grid, [CONTRASTS[Weighting.WATER], CONTRASTS[Weighting.FAT]], QUICK)
    gain = bias_field(grid, rng, float(rng.uniform(0.05, 0.4))) * texture(grid, rng, 0.04)
    return water * gain, fat * gain, spacing


def person(number: int, is_masked: bool | None = None, is_whole_numbers: bool = True) -> tuple[Images, dict[str, Any]]:
    """Draw a sound Dixon set of a random person in a random contrast; returns images and spacing, timing, true a / b.

    The contrast follows from timing, T1 (a tenth of the people had a contrast agent) and flip angle error by the signal
    equation; half of the in- and opposed-phase images are those of a two-point set, half have lost signal to T2* and to
    the several peaks of fat. ``is_masked`` cuts the air to zero, as some scanners do.
    """
    rng = np.random.default_rng([number, 78])
    water, fat, spacing = _ideal(number)
    tr, flip = [(5.6, 9.0), (6.4, 3.0), (4.0, 10.0), (7.0, 5.0), (120.0, 70.0)][int(rng.integers(5))]
    t1_water = rng.uniform(300, 500) if rng.random() < 0.1 else rng.uniform(850, 1450)
    reached = flip * rng.uniform(0.85, 1.15)
    contrast = spoiled_echo(rng.uniform(320, 390), tr, reached) / spoiled_echo(t1_water, tr, reached)
    fat = fat * np.float32(contrast * rng.uniform(1.05, 1.25) / PHANTOM_FAT_TO_WATER)
    a, b = (1.0, 1.0) if rng.random() < 0.5 else (rng.uniform(0.85, 0.97), rng.uniform(0.78, 0.85))
    noise, amplitude = float(rng.uniform(0.004, 0.03)), float(rng.uniform(300, 900))
    cut = rng.random() < 0.4 if is_masked is None else is_masked
    air = water + fat < 0.02
    images = {}
    ideal = {"water": water, "fat": fat, "in_phase": a * water + b * fat, "opposed": np.abs(a * water - b * fat)}
    for name, image in ideal.items():
        noisy = add_noise(image, rng, noise) * np.float32(amplitude)
        noisy = np.where(air, 0, noisy) if cut else noisy
        images[name] = np.rint(noisy).astype(np.float32) if is_whole_numbers else noisy.astype(np.float32)
    return images, {"spacing_mm": spacing, "tr_ms": tr, "flip_deg": flip, "ratio": a / b}


def check(images: Images, known: dict[str, Any], evidence: str = "") -> Finding:
    """Check a pair; letters of ``evidence`` say what comes with it: I and O phase images, T timing."""
    return check_pair(
        Pair(
            images["water"],
            images["fat"],
            known["spacing_mm"],
            images["in_phase"] if "I" in evidence else None,
            images["opposed"] if "O" in evidence else None,
            tr_ms=known["tr_ms"] if "T" in evidence else None,
            flip_deg=known["flip_deg"] if "T" in evidence else None,
        ),
        MIN_RING,
    )


Fault = Callable[[Images], Images]


def scaled(part: str, factor: float) -> Fault:
    """Multiply a part and round, as if it had been stored on another scale."""
    return lambda images: {**images, part: np.rint(images[part] * np.float32(factor))}


def renamed(**parts: str) -> Fault:
    """Give parts the images of others."""
    return lambda images: {**images, **{name: images[source] for name, source in parts.items()}}


def swapped(where: tuple[slice, ...]) -> Fault:
    """Exchange water and fat in a part of the volume, (z, y, x)."""

    def fault(images: Images) -> Images:
        water, fat = images["water"].copy(), images["fat"].copy()
        water[where], fat[where] = images["fat"][where], images["water"][where]
        return {**images, "water": water, "fat": fat}

    return fault
