"""MR images of the procedural person: ideal signals with partial volume, then bias field and Rician noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from scipy.ndimage import gaussian_filter

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.vocab import DixonPart
from paraspinal.phantom.anatomy import Anatomy, Tissue

Offset = tuple[float, float, float]
"""Position of a sub-sample in fractions of a voxel from its centre, along x, y, z."""


def lattice(nx: int, ny: int, nz: int) -> tuple[Offset, ...]:
    """Return a regular lattice of sub-samples."""
    steps = [(np.arange(n) + 0.5) / n - 0.5 for n in (nx, ny, nz)]
    return tuple((float(a), float(b), float(c)) for a in steps[0] for b in steps[1] for c in steps[2])


THOROUGH = lattice(2, 2, 3)
"""Twelve sub-samples per voxel: the through-slice direction is the thick one."""

QUICK: tuple[Offset, ...] = ((-1 / 3, 0.0, 1 / 3), (0.0, 1 / 3, -1 / 3), (1 / 3, -1 / 3, 0.0))
"""Three sub-samples that cover each axis evenly (a Latin cube): a quarter of the time."""

MUSCLE_PROTON_SIGNAL = 0.62
"""Water plus fat signal of muscle in a Dixon set, whatever its fat fraction: F / (F + W) is then exactly the field."""

_TEXTURE_PIXELS = 1.3
_BIAS_TERMS = 9


class Weighting(StrEnum):
    """The contrasts that are linear in the tissues; in- and opposed-phase images follow from water and fat."""

    T1W = "T1w"
    T2W = "T2w"
    STIR = "STIR"
    WATER = "water"
    FAT = "fat"


@dataclass(frozen=True)
class Contrast:
    """Brightness of every tissue relative to the brightest fat or fluid (about 1).

    Inside the eight muscles the signal is `(1 - ff) * muscle_water + ff * muscle_fat` with the fat fraction ff.
    """

    name: str
    mean: Mapping[Tissue, float]
    muscle_water: float
    muscle_fat: float
    lut: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Tabulate the means by tissue code; every tissue must be named (KeyError)."""
        table = np.array([self.muscle_water if t is Tissue.MUSCLE else self.mean[t] for t in Tissue], dtype=np.float32)
        object.__setattr__(self, "lut", table)

    def signal(self, tissue: np.ndarray, fat_frac: np.ndarray) -> np.ndarray:
        """Return the ideal signal (float32) of tissues with intramuscular fat fractions of the same shape."""
        return np.asarray(self.lut[tissue] + np.float32(self.muscle_fat - self.muscle_water) * fat_frac)


# One row per tissue: T1w, T2w, STIR, proton signal of the Dixon set, fat share of that signal.
_TISSUES: dict[Tissue, tuple[float, float, float, float, float]] = {
    Tissue.AIR: (0.0, 0.0, 0.0, 0.0, 0.0),
    Tissue.SKIN: (0.45, 0.35, 0.30, 0.55, 0.15),
    Tissue.SUBCUTANEOUS_FAT: (1.00, 0.88, 0.06, 1.00, 0.95),
    Tissue.FASCIA: (0.92, 0.80, 0.07, 0.95, 0.92),
    Tissue.MUSCLE: (0.30, 0.17, 0.26, MUSCLE_PROTON_SIGNAL, 0.0),
    Tissue.OTHER_MUSCLE: (0.30, 0.18, 0.27, 0.61, 0.05),
    Tissue.VERTEBRAL_BODY: (0.52, 0.42, 0.15, 0.60, 0.42),
    Tissue.CORTICAL_BONE: (0.07, 0.05, 0.03, 0.06, 0.20),
    Tissue.DISC: (0.33, 0.18, 0.16, 0.40, 0.02),
    Tissue.NUCLEUS: (0.36, 0.58, 0.62, 0.58, 0.01),
    Tissue.POSTERIOR_ELEMENTS: (0.62, 0.50, 0.14, 0.62, 0.55),
    Tissue.LIGAMENT: (0.22, 0.13, 0.10, 0.25, 0.10),
    Tissue.CSF: (0.15, 1.15, 1.20, 0.42, 0.0),
    Tissue.CORD_OR_CAUDA: (0.36, 0.45, 0.42, 0.55, 0.02),
    Tissue.EPIDURAL_FAT: (0.97, 0.84, 0.07, 0.95, 0.93),
    Tissue.SACRUM: (0.57, 0.45, 0.15, 0.64, 0.48),
    Tissue.ILIUM: (0.64, 0.50, 0.13, 0.66, 0.56),
    Tissue.RIB: (0.52, 0.42, 0.13, 0.52, 0.40),
    Tissue.VISCERAL_FAT: (0.94, 0.82, 0.07, 0.96, 0.93),
    Tissue.BOWEL: (0.36, 0.42, 0.48, 0.55, 0.03),
    Tissue.BOWEL_GAS: (0.02, 0.02, 0.02, 0.02, 0.0),
    Tissue.KIDNEY: (0.38, 0.62, 0.68, 0.75, 0.02),
    Tissue.RENAL_SINUS: (0.75, 0.80, 0.30, 0.85, 0.80),
    Tissue.VESSEL: (0.12, 0.07, 0.10, 0.62, 0.01),
    Tissue.LIVER_OR_SPLEEN: (0.46, 0.27, 0.33, 0.72, 0.05),
}


def _plain(name: Weighting, column: int, fat: float) -> Contrast:
    return Contrast(name, {t: row[column] for t, row in _TISSUES.items()}, _TISSUES[Tissue.MUSCLE][column], fat)


CONTRASTS: dict[Weighting, Contrast] = {
    Weighting.T1W: _plain(Weighting.T1W, 0, 0.95),
    Weighting.T2W: _plain(Weighting.T2W, 1, 0.82),
    Weighting.STIR: _plain(Weighting.STIR, 2, 0.06),
    Weighting.WATER: Contrast(
        Weighting.WATER, {t: row[3] * (1 - row[4]) for t, row in _TISSUES.items()}, MUSCLE_PROTON_SIGNAL, 0.0
    ),
    Weighting.FAT: Contrast(
        Weighting.FAT, {t: row[3] * row[4] for t, row in _TISSUES.items()}, 0.0, MUSCLE_PROTON_SIGNAL
    ),
}
"""The contrasts that are linear in the tissues; in- and opposed-phase images follow from water and fat."""


def sample_points(grid: Grid, k: int, offset: Offset = (0.0, 0.0, 0.0)) -> np.ndarray:
    """Return LPS points (rows, columns, 3) of slice k, shifted by a fraction of a voxel along x, y, z."""
    columns, rows = grid.size[0], grid.size[1]
    axes = (grid.axes * np.asarray(grid.spacing_mm)).astype(np.float32)
    start = np.asarray(grid.origin_mm, dtype=np.float32) + axes @ np.asarray((*offset[:2], k + offset[2]), np.float32)
    along = np.arange(columns, dtype=np.float32)[:, None] * axes[:, 0]
    down = np.arange(rows, dtype=np.float32)[:, None] * axes[:, 1]
    return np.asarray(start + down[:, None, :] + along[None, :, :])


def ideal_signals(
    anatomy: Anatomy,
    grid: Grid,
    contrasts: Sequence[Contrast],
    samples: Sequence[Offset] = THOROUGH,
    thickness_frac: float = 1.0,
) -> list[np.ndarray]:
    """Render noise-free images (z, y, x) float32, one per contrast, by averaging the signal of sub-samples.

    The anatomy is evaluated once for all contrasts and slice by slice. `thickness_frac` is slice thickness / spacing.
    """
    images = [np.zeros(grid.size[::-1], dtype=np.float32) for _ in contrasts]
    for k in range(grid.size[2]):
        for x, y, z in samples:
            points = sample_points(grid, k, (x, y, z * thickness_frac))
            tissue, label = anatomy.tissue_and_label(points)
            fat = anatomy.fat_of(points, label)
            for image, contrast in zip(images, contrasts, strict=True):
                image[k] += contrast.signal(tissue, fat)
    return [np.asarray(image / np.float32(len(samples))) for image in images]


def label_map(anatomy: Anatomy, grid: Grid) -> np.ndarray:
    """Return the label (z, y, x) uint16 at every voxel centre of a grid."""
    return np.stack([anatomy.tissue_and_label(sample_points(grid, k))[1] for k in range(grid.size[2])])


def bias_field(grid: Grid, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Return a smooth positive gain (z, y, x): exp of a random quadratic, spread by `strength` (log units), mean 1."""
    shape = grid.size[::-1]
    z, y, x = (np.linspace(-1, 1, n, dtype=np.float32) if n > 1 else np.zeros(1, np.float32) for n in shape)
    z, y = z[:, None, None], y[:, None]
    weight = rng.normal(size=_BIAS_TERMS).astype(np.float32) * np.float32(strength / 2)
    one = np.ones(1, dtype=np.float32)
    terms = (
        (x, one, one), (one, y, one), (one, one, z), (x * x, one, one), (one, y * y, one), (one, one, z * z),
        (x, y, one), (one, y, z), (x, one, z),
    )  # fmt: skip
    total = np.zeros(shape, dtype=np.float32)
    for w, (tx, ty, tz) in zip(weight, terms, strict=True):
        total += w * tz * ty * tx
    gain = np.exp(total)
    return np.asarray(gain / gain.mean())


def texture(grid: Grid, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Return a fine-grained gain (z, y, x) around 1 with standard deviation `strength`: real tissue is never flat."""
    grain = gaussian_filter(rng.standard_normal(grid.size[::-1], dtype=np.float32), (0.3, *(_TEXTURE_PIXELS,) * 2))
    return np.asarray(1 + np.float32(strength) * grain / max(float(grain.std()), 1e-6), dtype=np.float32)


def add_noise(image: np.ndarray, rng: np.random.Generator, noise: float) -> np.ndarray:
    """Return the magnitude of the image plus complex Gaussian noise of standard deviation `noise` (Rician)."""
    if noise == 0:
        return image
    real = image + np.float32(noise) * rng.standard_normal(image.shape, dtype=np.float32)
    imaginary = np.float32(noise) * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.hypot(real, imaginary), dtype=np.float32)


def render(
    anatomy: Anatomy,
    grid: Grid,
    contrast: Contrast,
    rng: np.random.Generator,
    noise: float = 0.02,
    bias: float = 0.15,
    grain: float = 0.04,
    samples: Sequence[Offset] = THOROUGH,
) -> np.ndarray:
    """Render one image (z, y, x) float32: partial volume, texture `grain`, bias field, Rician noise.

    `noise` is relative to the brightest tissue (1.0); 0 switches a degradation off.
    """
    image = ideal_signals(anatomy, grid, [contrast], samples)[0]
    gain = bias_field(grid, rng, bias) * texture(grid, rng, grain)
    return add_noise(image * gain, rng, noise)


def dixon_parts(water: np.ndarray, fat: np.ndarray) -> dict[DixonPart, np.ndarray]:
    """Return the four images of a Dixon set from water and fat: in phase W + F, opposed phase |W - F|."""
    return {
        DixonPart.WATER: water,
        DixonPart.FAT: fat,
        DixonPart.IN_PHASE: water + fat,
        DixonPart.OPPOSED_PHASE: np.abs(water - fat),
    }


def render_dixon(
    anatomy: Anatomy,
    grid: Grid,
    rng: np.random.Generator,
    noise: float = 0.006,
    bias: float = 0.15,
    grain: float = 0.03,
    samples: Sequence[Offset] = THOROUGH,
) -> dict[DixonPart, np.ndarray]:
    """Render a Dixon set whose parts share gain and texture, so that F / (F + W) is the fat fraction up to noise."""
    pair = [CONTRASTS[Weighting.WATER], CONTRASTS[Weighting.FAT]]
    water, fat = ideal_signals(anatomy, grid, pair, samples)
    gain = bias_field(grid, rng, bias) * texture(grid, rng, grain)
    parts = dixon_parts(water * gain, fat * gain)
    return {name: add_noise(image, rng, noise) for name, image in parts.items()}
