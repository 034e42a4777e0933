"""Water and fat image of a Dixon scan, as the Dixon methods read them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.vocab import Reason
from paraspinal.stages.measure.fat.profile import FatReading
from paraspinal.stages.measure.regions import Voxels
from paraspinal.stages.measure.scan import Scan

PAIR = ("water_path", "fat_path")
"""Columns of a scan that has both."""

Pair = tuple[NDArray, NDArray]
"""Water and fat, (z, y, x) each."""


def stored_pair(scan: Scan) -> Pair | None:
    """Read water and fat as they are stored; None if one of them is not on the grid of the label map."""
    water, fat = (scan.image(column) for column in PAIR)
    return None if water is None or fat is None else (water, fat)


def read_pair(scan: Scan, by: Callable[[NDArray, NDArray], FatReading]) -> FatReading | Reason:
    """Read the pair of a scan by a function of water and fat."""
    pair = scan.once(stored_pair)
    return Reason.DIXON_GRID_MISMATCH if pair is None else by(*pair)


def values(image: NDArray, voxels: Voxels) -> NDArray[np.float64]:
    """Values of an image at voxels, (n,)."""
    found: NDArray[np.float64] = image[voxels].astype(np.float64)
    return found
