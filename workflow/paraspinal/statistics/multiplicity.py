"""Many tests at once: Holm's step-down adjustment of p values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust the p values of one family (Holm 1979); a test that was not made (None) does not count."""
    made = [i for i, p in enumerate(p_values) if p is not None]
    raw = np.array([p_values[i] for i in made], dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    steps = np.maximum.accumulate(raw[order] * (len(raw) - np.arange(len(raw))))
    adjusted: list[float | None] = [None] * len(p_values)
    for place, step in zip(order, steps, strict=True):
        adjusted[made[place]] = min(1.0, float(step))
    return adjusted
