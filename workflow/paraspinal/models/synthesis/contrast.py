"""Which tissue is how bright: MR contrasts and random ones, for synthetic training images."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]
Values = npt.NDArray[np.float32]


class Paint(IntEnum):
    """Tissues that have an intensity of their own."""

    AIR = 0
    SKIN = 1
    SUBCUTANEOUS_FAT = 2
    VISCERAL_FAT = 3
    FASCIA = 4
    MUSCLE = 5
    OTHER_MUSCLE = 6
    MARROW = 7
    CORTICAL_BONE = 8
    NUCLEUS = 9
    ANNULUS = 10
    CSF = 11
    NERVE = 12
    BOWEL = 13
    GAS = 14
    KIDNEY = 15
    VESSEL = 16
    LIVER = 17


# Relative signal of each tissue, fat of T1w = 1: rounded textbook appearance, jittered at every draw.
_T1, _T2, _WATER, _FAT, _STIR = range(5)
_TABLE = np.array(
    [  # T1w   T2w   water fat   STIR
        [0.00, 0.00, 0.00, 0.00, 0.00],  # AIR
        [0.45, 0.40, 0.50, 0.25, 0.40],  # SKIN
        [1.00, 0.85, 0.06, 1.00, 0.06],  # SUBCUTANEOUS_FAT
        [0.95, 0.80, 0.08, 0.92, 0.07],  # VISCERAL_FAT
        [0.15, 0.08, 0.25, 0.12, 0.10],  # FASCIA
        [0.36, 0.20, 0.72, 0.05, 0.35],  # MUSCLE
        [0.36, 0.20, 0.72, 0.06, 0.35],  # OTHER_MUSCLE
        [0.60, 0.48, 0.40, 0.40, 0.18],  # MARROW
        [0.08, 0.05, 0.12, 0.08, 0.05],  # CORTICAL_BONE
        [0.32, 0.65, 0.75, 0.04, 0.65],  # NUCLEUS
        [0.25, 0.15, 0.55, 0.05, 0.20],  # ANNULUS
        [0.14, 1.05, 0.85, 0.03, 1.00],  # CSF
        [0.38, 0.42, 0.75, 0.06, 0.45],  # NERVE
        [0.40, 0.50, 0.70, 0.08, 0.55],  # BOWEL
        [0.02, 0.02, 0.03, 0.02, 0.02],  # GAS
        [0.42, 0.65, 0.92, 0.05, 0.75],  # KIDNEY
        [0.20, 0.12, 0.85, 0.04, 0.15],  # VESSEL
        [0.52, 0.30, 0.85, 0.08, 0.30],  # LIVER
    ],
    dtype=np.float32,
)

TISSUE_JITTER_SD = 0.15  # log-normal spread of every tissue's signal about the table
SAME_MUSCLE_SD = 0.05  # other muscles differ from the paraspinal ones this little: they are one tissue
MIN_FAT_CONTRAST = 0.15  # a random contrast in which fat and muscle look alike teaches nothing

_FAMILIES = ("t1", "t2", "water", "fat", "opposed", "mixture", "stir", "random", "remapped")
_FAMILY_FRAC = (0.17, 0.17, 0.17, 0.17, 0.07, 0.07, 0.06, 0.07, 0.05)


class Scene(Protocol):
    """A slice of anatomy that can be rendered with any intensities."""

    @property
    def shares(self) -> Image:
        """Share of every pixel that each class fills (L, H, W), background first; they add up to 1."""
        ...

    @property
    def depth_mm(self) -> Image:
        """Depth of every pixel (H, W) below the skin of the back, 0 outside."""
        ...

    def render(self, values: Values) -> Image:
        """Paint the slice (H, W) with one intensity per :class:`Paint`."""
        ...


@dataclass(frozen=True)
class ThickScene:
    """A slice that shares its signal with its neighbours; the outlines are those of its middle."""

    middle: Scene
    neighbours: tuple[Scene, ...]

    @property
    def shares(self) -> Image:
        """Shares (L, H, W) of the middle of the slice."""
        return self.middle.shares

    @property
    def depth_mm(self) -> Image:
        """Depth (H, W) of the middle of the slice."""
        return self.middle.depth_mm

    def render(self, values: Values) -> Image:
        """Mix the middle half and half with the mean of its neighbours."""
        beside = np.mean([scene.render(values) for scene in self.neighbours], axis=0)
        return np.asarray(0.5 * self.middle.render(values) + 0.5 * beside, dtype=np.float32)


@dataclass(frozen=True)
class Contrast:
    """One or two sets of intensities and how they combine into the image."""

    family: str
    values: tuple[Values, ...]
    weights: tuple[float, ...]
    curve: npt.NDArray[np.float32] | None = None

    def render(self, scene: Scene) -> Image:
        """Render a magnitude image (H, W), not negative."""
        parts = [w * scene.render(v) for w, v in zip(self.weights, self.values, strict=True)]
        image = np.abs(np.sum(parts, axis=0, dtype=np.float32))
        if self.curve is not None:
            image = np.interp(image, np.linspace(0.0, 1.2, self.curve.size), self.curve)
        return image.astype(np.float32)


def sample_contrast(rng: np.random.Generator, family: str | None = None) -> Contrast:
    """Draw a contrast: T1w, T2w, Dixon parts and mixtures, STIR, or one that no scanner makes."""
    family = family or str(rng.choice(_FAMILIES, p=_FAMILY_FRAC))
    if family in ("t1", "t2", "water", "fat", "stir"):
        column = {"t1": _T1, "t2": _T2, "water": _WATER, "fat": _FAT, "stir": _STIR}[family]
        return Contrast(family, (_tissue_values(rng, column),), (1.0,))
    if family == "random":
        return Contrast(family, (_random_values(rng),), (1.0,))
    if family == "remapped":
        values = _tissue_values(rng, int(rng.choice([_T1, _T2])))
        curve = np.concatenate([[0.0], rng.uniform(0.1, 1.0, 4)]).astype(np.float32)
        return Contrast(family, (values,), (1.0,), curve)
    water, fat = _tissue_values(rng, _WATER), _tissue_values(rng, _FAT)
    weights = (1.0, -rng.uniform(0.5, 1.2)) if family == "opposed" else tuple(rng.uniform(0.1, 1.0, 2))
    return Contrast(family, (water, fat), (float(weights[0]), float(weights[1])))


def _tissue_values(rng: np.random.Generator, column: int) -> Values:
    values = _TABLE[:, column] * np.exp(rng.normal(0.0, TISSUE_JITTER_SD, len(Paint)))
    values[Paint.VESSEL] *= np.exp(rng.normal(0.0, 0.8))  # flow: void or inflow
    values[Paint.MARROW] *= np.exp(rng.normal(0.0, 0.25))  # red or yellow
    return _keep_muscles_alike(rng, values)


def _random_values(rng: np.random.Generator) -> Values:
    values = rng.uniform(0.05, 1.0, len(Paint))
    while abs(values[Paint.MUSCLE] - values[Paint.SUBCUTANEOUS_FAT]) < MIN_FAT_CONTRAST:
        values[Paint.SUBCUTANEOUS_FAT] = rng.uniform(0.05, 1.0)
    values[Paint.VISCERAL_FAT] = values[Paint.SUBCUTANEOUS_FAT] * np.exp(rng.normal(0.0, 0.08))
    values[[Paint.AIR, Paint.GAS]] = rng.uniform(0.0, 0.05)
    return _keep_muscles_alike(rng, values)


def _keep_muscles_alike(rng: np.random.Generator, values: npt.NDArray[np.floating]) -> Values:
    values[Paint.OTHER_MUSCLE] = values[Paint.MUSCLE] * np.exp(rng.normal(0.0, SAME_MUSCLE_SD))
    return values.astype(np.float32)
