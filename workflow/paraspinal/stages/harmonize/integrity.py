"""Is a Dixon pair what it says? Fat lies under the skin, and water plus fat makes the in-phase image.

Nothing is repaired: a swap or a wrong scale is suspected, and the fat infiltration withheld.

What physics sees depends on what came with the pair. A wrong factor on one part changes water and fat exactly as
another weighting would, so that the pair alone shows it only when it leaves the brightnesses that occur, when the noise
of the air around the body tells (many scanners cut it away), or when the factor has left its mark on the steps between
values. An in-phase or opposed-phase image, or a fat-fraction map, shows it by itself. What cannot be seen:

- a factor of about 0.4 to 2 (0.3 to 4 where the timing is not stated) on a pair alone, without noise or steps;
- a factor of less than 1.25 (downwards) or 1.4 (upwards) in any case, and of 1.5 where the in- and opposed-phase images
  come from a reconstruction with several fat peaks, whose own factors differ by that much;
- a swap of a region smaller than about 5 cm, or one that lies in the same place in all slices away from the skin;
- a swap of everything where the skin is out of view;
- a shift of one part that its header does not state;
- a fat-fraction map and a pair that are wrong in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.vocab import Reason
from paraspinal.stages.harmonize.phases import fits
from paraspinal.stages.harmonize.physics import fat_over_water
from paraspinal.stages.harmonize.scale import (
    MAP_RATIO,
    NOISE_RATIO,
    fat_to_water,
    is_map_inverted,
    map_factor,
    noise_ratio,
)
from paraspinal.stages.harmonize.slopes import Slope, slope_fault, value_step
from paraspinal.stages.harmonize.swap import swap_fault
from paraspinal.stages.harmonize.trunk import MIN_VOXELS, Spacing, Trunk, thinned

FAT_HALF = 75.0
"""Percentile of the ring that is the median of its fattier half: where the layer is thin, muscle fills the other."""
MAX_DEEP_FF_FRAC = 0.9
"""Nobody is fatter than this in the middle, muscles and organs included."""
MIN_WATER_SHARE = 0.08
"""At least this share of everybody's trunk is nearly pure water: muscle, organs, blood, cerebrospinal fluid."""
LEAN_FF_FRAC = 0.2
"""Nearly pure water has a fat fraction below this."""


@dataclass(frozen=True)
class Pair:
    """A water and a fat image (z, y, x) on one grid, and what came with them; ``spacing_mm`` is (x, y, z).

    ``map_frac`` is a fat-fraction map, 0 to 1. The timing is that of the acquisition, None where not stated.
    """

    water: NDArray
    fat: NDArray
    spacing_mm: Spacing
    in_phase: NDArray | None = None
    opposed: NDArray | None = None
    map_frac: NDArray | None = None
    water_slope: Slope = field(default_factory=Slope)
    fat_slope: Slope = field(default_factory=Slope)
    tr_ms: float | None = None
    flip_deg: float | None = None


@dataclass(frozen=True)
class Finding:
    """What the checks of a pair say; ``reason`` is None when nothing speaks against it. None: could not be measured."""

    reason: Reason | None = None
    detail: str = ""
    subcutaneous_ff: float | None = None
    fat_to_water: float | None = None
    fit_ratio: float | None = None
    noise_ratio: float | None = None
    step_ratio: float | None = None
    n_swapped_slices: int | None = None

    @property
    def columns(self) -> dict[str, float | int | None]:
        """The measured numbers by the columns of a scan."""
        return {
            "subcutaneous_ff": self.subcutaneous_ff,
            "dixon_fat_to_water": self.fat_to_water,
            "dixon_fit_ratio": self.fit_ratio,
            "dixon_noise_ratio": self.noise_ratio,
            "dixon_step_ratio": self.step_ratio,
            "dixon_swapped_slices": self.n_swapped_slices,
        }


def check_pair(pair: Pair, min_subcutaneous_ff: float) -> Finding:
    """Check a water and a fat image against each other and against what came with them."""
    trunk = Trunk.of(pair.water, pair.fat, pair.spacing_mm)
    subcutaneous_ff = float(np.percentile(trunk.fat_frac[trunk.ring], FAT_HALF)) if trunk.is_whole else None
    steps = value_step(pair.water), value_step(pair.fat)
    fit = fits(trunk, pair.in_phase, pair.opposed, pair.spacing_mm)
    brightness, noise = fat_to_water(trunk), noise_ratio(trunk, *steps)
    swap = swap_fault(trunk)
    seen = Finding(
        subcutaneous_ff=subcutaneous_ff,
        fat_to_water=brightness,
        fit_ratio=next((f.ratio for f in fit), None),
        noise_ratio=noise,
        step_ratio=None if None in steps else steps[1] / steps[0],  # type: ignore[operator]
        n_swapped_slices=swap.n_slices if swap else 0 if trunk.body.any() else None,
    )
    if swap:
        return _suspected(seen, Reason.DIXON_SWAP_SUSPECTED, swap.detail)
    faults = [*_tissue_faults(trunk, subcutaneous_ff, min_subcutaneous_ff), *(str(f) for f in fit if not f.is_sound)]
    if not any(f.is_proof for f in fit):
        faults += _scale_faults(pair, trunk, steps, brightness, noise)
    if faults:
        return _suspected(seen, Reason.DIXON_SCALE_MISMATCH, "; ".join(faults))
    return seen if subcutaneous_ff is not None else _suspected(seen, None, "the skin is not in the field of view")


def _suspected(seen: Finding, reason: Reason | None, detail: str) -> Finding:
    return replace(seen, reason=reason, detail=detail)


def _tissue_faults(trunk: Trunk, subcutaneous_ff: float | None, min_subcutaneous_ff: float) -> list[str]:
    """Compare the fat fraction of some tissues with what everybody has."""
    if subcutaneous_ff is None:
        return []
    faults = []
    if subcutaneous_ff < min_subcutaneous_ff:
        faults.append(f"fat fraction {subcutaneous_ff:.2f} under the skin")
    if trunk.deep.sum() >= MIN_VOXELS and (inside := float(np.median(trunk.fat_frac[trunk.deep]))) > MAX_DEEP_FF_FRAC:
        faults.append(f"fat fraction {inside:.2f} deep inside")
    if (share := float((trunk.fat_frac[trunk.body] < LEAN_FF_FRAC).mean())) < MIN_WATER_SHARE:
        faults.append(f"only {share:.1%} of the body looks like water")
    return faults


def _scale_faults(
    pair: Pair, trunk: Trunk, steps: tuple[float | None, float | None], brightness: float | None, noise: float | None
) -> list[str]:
    """Gather what speaks for a wrong factor on one part; a fit of the in- or opposed-phase image may refute it."""
    faults = [slope_fault(pair.water_slope, pair.fat_slope, *steps)]
    low, high = fat_over_water(pair.tr_ms, pair.flip_deg)
    if trunk.is_whole and brightness is not None and not low <= brightness <= high:
        faults.append(f"pure fat is {brightness:.2f} times as bright as pure water, {low:.1f} to {high:.1f} expected")
    if noise is not None and not 1 / NOISE_RATIO <= noise <= NOISE_RATIO:
        faults.append(f"the noise of fat is {noise:.2f} times that of water")
    if pair.map_frac is not None:
        stated = thinned(pair.map_frac, pair.spacing_mm)
        if is_map_inverted(trunk, stated):
            faults.append("the fat-fraction map is high where water is and low where fat is")
        factor = map_factor(trunk, stated)
        if factor is not None and not MAP_RATIO[0] <= factor <= MAP_RATIO[1]:
            faults.append(f"fat over water is {factor:.2f} times what the fat-fraction map says")
    return [fault for fault in faults if fault]
