"""Do the parts carry the same rescale slope: by their headers, and by the steps between their values?

A scanner stores whole numbers; a slope spreads them. So the values of an image tell the slope they carry even when its
header has lost it (seen: a fat image whose header says 1 and whose values lie 1.549 apart, beside a water image in
steps of 1). Philips states two slopes: value = (stored * rescale slope + intercept) / (rescale slope * scale slope) is
what can be compared between images (Chenevert et al., Transl Oncol 2014;7:65), and what dcm2niix writes; without the
private scale slope (2005,100E) it writes stored * rescale slope + intercept, as for all other makers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.records.tables import Row

SAME = 0.01
"""Slopes are alike within this share."""
SAME_STEP = 0.1
"""Steps measured from values are alike within this share."""
WINDOW = 8
"""Levels that are looked at together ..."""
MIN_COUNT = 15.0
"""... where each has this many voxels on average, so that none is missing by chance."""
MIN_WINDOWS = 3
"""Fewer such windows tell nothing."""
MAX_VOXELS = 1_000_000
"""Larger images are thinned to about this size."""
PHILIPS = "Philips"


@dataclass(frozen=True)
class Slope:
    """What the header of a part says of its scale; None where it says nothing."""

    slope: float | None = None
    intercept: float | None = None
    scale_slope: float | None = None
    varies: bool = False
    maker: str | None = None

    @classmethod
    def of(cls, row: Row) -> Slope:
        """Read the columns of a stack."""
        return cls(
            row["rescale_slope"] or None, row["rescale_intercept"], row["scale_slope"] or None,
            bool(row["rescale_varies"]), row["manufacturer"],
        )  # fmt: skip

    @property
    def applied(self) -> float:
        """Factor between stored and converted values."""
        return 1.0 / self.scale_slope if self.scale_slope else self.slope or 1.0


def value_step(image: NDArray) -> float | None:
    """Mean step between the values of an image; None where they do not lie on steps.

    A factor that was followed by rounding shows as well: times 1.5 and rounded, every third whole number is missing,
    and the mean step is 1.5.
    """
    values = image.ravel()[:: max(1, image.size // MAX_VOXELS)]
    values = values[values > 0].astype(np.float64)
    if not values.size:
        return None
    gaps = np.diff(np.unique(values))
    gaps = gaps[gaps > 1e-6 * float(values.max())]  # one stored value may come out as two neighbouring floats
    if not gaps.size or values.max() / gaps.min() > values.size:
        return None
    finest = float(gaps.min())
    counts = np.bincount(np.rint(values / finest).astype(np.int64))
    windows = counts[1 : 1 + (counts.size - 1) // WINDOW * WINDOW].reshape(-1, WINDOW)
    dense = windows[windows.sum(axis=1) >= MIN_COUNT * WINDOW]
    if len(dense) < MIN_WINDOWS:
        return None
    return finest / float((dense > 0).mean())


def slope_fault(water: Slope, fat: Slope, step_water: float | None, step_fat: float | None) -> str:
    """Say what speaks against one scale; empty when nothing does."""
    if water.varies != fat.varies:
        return f"the rescale slope varies between the slices of the {'water' if water.varies else 'fat'} image only"
    if (water.scale_slope is None) != (fat.scale_slope is None):
        return f"only the {'fat' if water.scale_slope is None else 'water'} image states a scale slope"
    slopes, shifts = (water.slope or 1.0, fat.slope or 1.0), (water.intercept or 0.0, fat.intercept or 0.0)
    is_stated = None not in (water.slope, fat.slope)
    is_philips_display = is_stated and PHILIPS in (water.maker, fat.maker) and water.scale_slope is None
    if not _alike(*slopes, SAME) and (not is_stated or is_philips_display) and water.scale_slope is None:
        return f"rescale slope {_said(water.slope)} of water, {_said(fat.slope)} of fat"
    if shifts[0] != shifts[1] and (water.intercept is None or fat.intercept is None):
        return f"rescale intercept {_said(water.intercept)} of water, {_said(fat.intercept)} of fat"
    return _step_fault(water, fat, step_water, step_fat)


def _step_fault(water: Slope, fat: Slope, step_water: float | None, step_fat: float | None) -> str:
    if step_water is None or step_fat is None or water.varies:
        return ""
    if _alike(step_fat / step_water, fat.applied / water.applied, SAME_STEP):
        return ""
    has_both = all(not _alike(step, 1.0, SAME_STEP) for step in (step_water, step_fat))
    if has_both and water.slope is None and fat.slope is None:
        return ""  # an image kept as NIfTI has its slope in the values, each part its own
    return f"values of water lie {step_water:.3g} apart, those of fat {step_fat:.3g}"


def _alike(a: float, b: float, tolerance: float) -> bool:
    return abs(a / b - 1.0) <= tolerance if b else a == b


def _said(number: float | None) -> str:
    return "none" if number is None else f"{number:.4g}"
