"""How far the outlines of an image and of its mirror image differ, per muscle and slice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ClassMap = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]


def disagreement(one: ClassMap, other: ClassMap, n_classes: int) -> tuple[Doubles, Doubles]:
    """Compute 1 - Dice of two class maps (N, H, W): per class (L,) and per slice and class (N, L).

    NaN where both leave a class empty: that says nothing about it.
    """
    shared = _count(np.where(one == other, one, 0), n_classes)
    total = _count(one, n_classes) + _count(other, n_classes)
    return _one_minus_dice(shared.sum(axis=0), total.sum(axis=0)), _one_minus_dice(shared, total)


def _count(classes: ClassMap, n_classes: int) -> npt.NDArray[np.int64]:
    """Pixels of every class in every slice (N, L)."""
    codes = np.arange(len(classes))[:, None, None] * n_classes + classes
    return np.bincount(codes.ravel(), minlength=len(classes) * n_classes).reshape(len(classes), n_classes)


def _one_minus_dice(shared: npt.NDArray[np.int64], total: npt.NDArray[np.int64]) -> Doubles:
    return np.where(total > 0, 1.0 - 2.0 * shared / np.maximum(total, 1), np.nan)
