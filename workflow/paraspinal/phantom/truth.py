"""What is known exactly about a procedural person: sizes and fat fractions per muscle, side and level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from paraspinal.core.vocab import LevelScheme
from paraspinal.phantom.anatomy import Anatomy
from paraspinal.phantom.parameters import phantom_labels

TRUTH_STEP_MM = 1.0
"""Spacing of the counting grid; an area of 500 mm2 is then known to about 0.5 %."""

LAYER_MM = 2.0
"""Distance of the counted layers of a slab: areas change slowly along the spine."""

_HALF_WIDTH_MM = 105.0
_FRONT_MM, _BEHIND_MM = -75.0, 130.0
"""The box around the spine that holds the eight muscles between T12 and S1."""


@dataclass(frozen=True)
class LevelSpan:
    """Heights (LPS z, mm) between which a level lies on axial slices; a mid-plane has equal ends."""

    level: str
    scheme: LevelScheme
    low_mm: float
    high_mm: float


def level_spans(anatomy: Anatomy) -> list[LevelSpan]:
    """List the spans of the lumbar vertebrae and discs, cranial to caudal.

    The slab of a vertebra is cut at the heights where the axis of its body meets its two end plates.
    """
    spans = []
    planes = {name: ends for name, ends in anatomy.level_planes().items() if name.startswith("L")}
    for name, ends in planes.items():
        low, high = float(ends.inferior_point_mm[2]), float(ends.superior_point_mm[2])
        middle = float(ends.centre_mm[2])
        spans.append(LevelSpan(name, LevelScheme.VERTEBRA_SLAB, low, high))
        spans.append(LevelSpan(name, LevelScheme.VERTEBRA_MID, middle, middle))
    for name, disc in anatomy.disc_planes().items():
        if name.split("_")[0] in planes:
            spans.append(LevelSpan(name, LevelScheme.DISC_MID, float(disc.point_mm[2]), float(disc.point_mm[2])))
    return spans


def axial_sums(anatomy: Anatomy, z_mm: float, step_mm: float = TRUTH_STEP_MM) -> dict[int, tuple[float, float]]:
    """Return label -> (area in mm2, area times mean fat fraction) of the muscles in the axial plane at z."""
    x = np.arange(-_HALF_WIDTH_MM + step_mm / 2, _HALF_WIDTH_MM, step_mm, dtype=np.float32)
    y = np.arange(_FRONT_MM + step_mm / 2, _BEHIND_MM, step_mm, dtype=np.float32)
    points = np.empty((len(y), len(x), 3), dtype=np.float32)
    points[..., 0], points[..., 1], points[..., 2] = x, y[:, None], z_mm
    _, label = anatomy.tissue_and_label(points)
    fat = anatomy.fat_of(points, label)
    cell = step_mm**2
    return {
        code: (float((label == code).sum()) * cell, float(fat[label == code].sum(dtype=np.float64)) * cell)
        for code in phantom_labels().values()
    }


def truth(anatomy: Anatomy, step_mm: float = TRUTH_STEP_MM) -> pd.DataFrame:
    """Tabulate the truth: one row per muscle, side, level and scheme.

    Columns: muscle, side, level, level_scheme, z_low_mm, z_high_mm, volume_mm3 (slabs only, else NaN), acsa_mm2 (mean
    area over the span), csa_mid_mm2 (area at the middle of the span), fat_fraction_frac (mean of the field).
    """
    rows = []
    for span in level_spans(anatomy):
        height = span.high_mm - span.low_mm
        is_slab = span.scheme is LevelScheme.VERTEBRA_SLAB
        middle = axial_sums(anatomy, (span.low_mm + span.high_mm) / 2, step_mm)
        n = max(1, round(height / LAYER_MM)) if is_slab else 1
        layers = [
            axial_sums(anatomy, span.low_mm + (k + 0.5) * height / n, step_mm) for k in range(n)
        ] if is_slab else [middle]  # fmt: skip
        for (muscle, side), code in phantom_labels().items():
            area = float(np.mean([layer[code][0] for layer in layers]))
            fat = float(np.mean([layer[code][1] for layer in layers]))
            rows.append(
                {
                    "muscle": muscle.value,
                    "side": side.value,
                    "level": span.level,
                    "level_scheme": span.scheme.value,
                    "z_low_mm": span.low_mm,
                    "z_high_mm": span.high_mm,
                    "volume_mm3": area * height if is_slab else np.nan,
                    "acsa_mm2": area,
                    "csa_mid_mm2": middle[code][0],
                    "fat_fraction_frac": fat / area if area > 0 else np.nan,
                }
            )
    return pd.DataFrame(rows)
