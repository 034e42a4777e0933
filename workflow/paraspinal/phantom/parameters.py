"""What can vary between two procedural people: one frozen record, drawn or default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from paraspinal.core.labels import muscle_labels
from paraspinal.core.vocab import Muscle, Side

MuscleValues = Mapping[tuple[Muscle, Side], float]
"""One number per muscle and side."""

MAX_LUMBAR_DISCS = 7
"""Discs T12_L1 to L6_S1, the longest lumbar column allowed here."""

_NORMAL_FAT_FRAC = {
    Muscle.MULTIFIDUS: 0.16,
    Muscle.ERECTOR_SPINAE: 0.12,
    Muscle.PSOAS_MAJOR: 0.05,
    Muscle.QUADRATUS_LUMBORUM: 0.08,
}
"""Typical mean intramuscular fat fraction of a healthy adult."""
PHANTOM_MUSCLES = tuple(_NORMAL_FAT_FRAC)
"""The muscles the phantom has; the registry may know more."""


def phantom_labels() -> dict[tuple[Muscle, Side], int]:
    """Map the muscles of the phantom to their label codes."""
    return {key: code for key, code in muscle_labels().items() if key[0] in PHANTOM_MUSCLES}


def per_muscle(values: Mapping[Muscle, float] | float) -> dict[tuple[Muscle, Side], float]:
    """Give both sides of every muscle the same value (a mapping by muscle, or one number)."""
    table = dict.fromkeys(PHANTOM_MUSCLES, values) if isinstance(values, float) else values
    return {(muscle, side): table[muscle] for muscle in PHANTOM_MUSCLES for side in Side}


@dataclass(frozen=True)
class AnatomyParameters:
    """Describe one person; the defaults are a normal adult with five lumbar vertebrae.

    Every length is in mm, every angle in degrees, every fraction in [0, 1] unless said otherwise.
    `muscle_bulk` multiplies the cross-sectional area of a normal adult; `intramuscular_fat_frac`
    is the mean of the fat fraction field over the whole muscle. `deformation_mm` is the amplitude
    of the soft, seeded irregularity of all soft tissue: 0 gives a left-right mirror image as long
    as the muscle values are symmetric and the scoliosis is 0.
    """

    n_lumbar: int = 5
    # trunk
    body_half_width_mm: float = 168.0
    body_front_mm: float = 112.0  # L3 centre to the front skin
    subcutaneous_fat_mm: float = 19.0  # behind the erector spinae; other directions scale with it
    abdominal_wall_mm: float = 20.0
    visceral_fat_frac: float = 0.5  # share of the peritoneal cavity that is not bowel
    # spine
    lordosis_deg: float = 48.0  # L1 to S1
    sacral_kyphosis_deg: float = 50.0
    scoliosis_deg: float = 0.0
    vertebra_width_mm: float = 48.0  # L3
    vertebra_depth_mm: float = 34.0  # L3
    vertebra_height_mm: float = 27.0  # L3
    disc_height_mm: float = 10.5  # L3_L4
    level_growth_frac: float = 0.03  # width and depth, per level caudally
    disc_growth_frac: float = 0.09  # disc height, per level caudally
    disc_height_scale: tuple[float, ...] = (1.0,) * MAX_LUMBAR_DISCS  # T12_L1 downwards
    canal_width_mm: float = 23.0
    canal_depth_mm: float = 16.5
    spinous_length_mm: float = 31.0
    transverse_length_mm: float = 24.0
    sacral_disc_mm: float = 4.5  # the S1/S2 remnant
    conus_offset_mm: float = 0.0  # conus tip above (+) or below (-) the middle of L1
    iliac_crest_offset_mm: float = 0.0  # crest above (+) or below (-) the last lumbar mid-height
    # muscles
    muscle_bulk: MuscleValues = field(default_factory=lambda: per_muscle(1.0))
    intramuscular_fat_frac: MuscleValues = field(default_factory=lambda: per_muscle(_NORMAL_FAT_FRAC))
    caudal_fat_gain: float = 0.6  # logit units of fat per 100 mm caudally
    multifidus_share_shift: float = 0.0  # moves the MF/ES border: +0.1 = MF 10 % larger, ES smaller
    psoas_lateral_shift_mm: float = 0.0
    septum_mm: float = 1.6  # fat plane between the muscles at L1; the MF/ES one fades caudally
    streak_mm: float = 9.0  # wavelength of the fat streaks across the fibres
    # irregularity
    deformation_mm: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject a number of lumbar vertebrae that does not occur (ValueError)."""
        if self.n_lumbar not in (4, 5, 6):
            raise ValueError(f"n_lumbar must be 4, 5 or 6, got {self.n_lumbar}")


def sample_parameters(rng: np.random.Generator) -> AnatomyParameters:
    """Draw one person with broad but plausible variation (for training and cohorts)."""

    def normal(mean: float, sd: float, low: float, high: float) -> float:
        return float(np.clip(rng.normal(mean, sd), low, high))

    stature = normal(1.0, 0.07, 0.84, 1.18)
    fatness = float(rng.beta(2.0, 3.0))
    fitness = normal(1.0, 0.22, 0.55, 1.6)
    marbling = float(rng.beta(1.4, 3.0))
    bulk: dict[tuple[Muscle, Side], float] = {}
    fat: dict[tuple[Muscle, Side], float] = {}
    for muscle in PHANTOM_MUSCLES:
        muscle_bulk = fitness * normal(1.0, 0.16, 0.6, 1.5)
        muscle_fat = _NORMAL_FAT_FRAC[muscle] * (0.35 + 3.2 * marbling) * normal(1, 0.25, 0.4, 1.8)
        for side in Side:
            bulk[muscle, side] = float(np.clip(muscle_bulk * stature**2 * normal(1, 0.06, 0.75, 1.3), 0.4, 1.9))
            fat[muscle, side] = float(np.clip(muscle_fat * normal(1, 0.12, 0.6, 1.5), 0.01, 0.65))
    n_lumbar = int(rng.choice([4, 5, 6], p=[0.06, 0.86, 0.08]))
    degenerate = rng.random(MAX_LUMBAR_DISCS) < np.linspace(0.05, 0.45, MAX_LUMBAR_DISCS)
    disc_scale = np.where(
        degenerate,
        rng.uniform(0.35, 0.8, MAX_LUMBAR_DISCS),
        rng.normal(1.0, 0.07, MAX_LUMBAR_DISCS),
    )
    return AnatomyParameters(
        n_lumbar=n_lumbar,
        body_half_width_mm=normal(158, 12, 130, 190) * stature**0.5 + 34 * (fatness - 0.4),
        body_front_mm=normal(100, 12, 72, 130) + 70 * (fatness - 0.4),
        subcutaneous_fat_mm=4 + 46 * fatness * normal(1, 0.2, 0.5, 1.5),
        abdominal_wall_mm=normal(19, 4, 9, 30) * fitness**0.5,
        visceral_fat_frac=float(np.clip(0.2 + fatness * normal(0.9, 0.2, 0.4, 1.4), 0.15, 0.9)),
        lordosis_deg=normal(46, 11, 18, 75),
        sacral_kyphosis_deg=normal(50, 15, 10, 85),
        scoliosis_deg=normal(0, 4, -12, 12),
        vertebra_width_mm=48 * stature * normal(1, 0.04, 0.88, 1.12),
        vertebra_depth_mm=34 * stature * normal(1, 0.04, 0.88, 1.12),
        vertebra_height_mm=27 * stature * normal(1, 0.04, 0.88, 1.12),
        disc_height_mm=10.5 * stature * normal(1, 0.12, 0.65, 1.35),
        level_growth_frac=normal(0.03, 0.008, 0.01, 0.05),
        disc_growth_frac=normal(0.09, 0.03, 0.0, 0.16),
        disc_height_scale=tuple(float(v) for v in disc_scale),
        canal_width_mm=normal(23, 2, 18, 28),
        canal_depth_mm=normal(16, 1.8, 11, 20),
        spinous_length_mm=normal(31, 3.5, 22, 40) * stature,
        transverse_length_mm=normal(24, 3, 16, 32) * stature,
        sacral_disc_mm=normal(4.5, 2, 1.2, 9),
        conus_offset_mm=normal(0, 14, -35, 35),
        iliac_crest_offset_mm=normal(0, 9, -22, 22),
        muscle_bulk=bulk,
        intramuscular_fat_frac=fat,
        caudal_fat_gain=normal(0.6, 0.5, -0.3, 2.0),
        multifidus_share_shift=normal(0, 0.14, -0.3, 0.4),
        psoas_lateral_shift_mm=normal(0, 3, -6, 8),
        septum_mm=normal(1.6, 0.6, 0.5, 3.5),
        streak_mm=normal(9, 3, 4, 18),
        deformation_mm=normal(2.5, 1.0, 0.5, 5.5),
        seed=int(rng.integers(2**31)),
    )
