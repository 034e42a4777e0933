"""Share of every pixel that each muscle fills, from the distances to their outlines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from paraspinal.core.imaging.slice_grid import PIXEL_MM
from paraspinal.models.synthesis.muscles.layout import ERECTOR, MULTIFIDUS, N_MUSCLES, PAIR, PSOAS, QUADRATUS
from paraspinal.models.synthesis.muscles.septa import Sheet, not_muscle_share

Field = npt.NDArray[np.float32]


def class_shares(fields_mm: Field, parting: Sequence[Sheet] = ()) -> Field:
    """Turn muscles and pairs (10, H, W) into shares of each pixel (9, H, W), background first; they add up to 1.

    An outline that crosses a pixel at its middle leaves half of it on either side. ``parting`` are the septa of the
    left and of the right pair, whose thick parts belong to neither muscle.
    """
    shares = np.zeros((1 + N_MUSCLES, *fields_mm.shape[1:]), dtype=np.float32)
    for side, (m, e, pair) in enumerate(zip(MULTIFIDUS, ERECTOR, PAIR, strict=True)):
        other = fields_mm[PAIR[1 - side]]
        whole = filled(np.maximum(fields_mm[pair], 0.5 * (fields_mm[pair] - other)))  # half-way where sides overlap
        if parting:
            whole = whole * (1.0 - not_muscle_share(parting[side], PIXEL_MM))
        in_multifidus = filled(0.5 * (fields_mm[m] - fields_mm[e]))
        shares[1 + m], shares[1 + e] = whole * in_multifidus, whole * (1.0 - in_multifidus)
    for index in (*PSOAS, *QUADRATUS):
        shares[1 + index] = np.minimum(filled(fields_mm[index]), 1.0 - shares[1:].sum(axis=0))
    shares[0] = 1.0 - shares[1:].sum(axis=0)
    return np.clip(shares, 0.0, 1.0)


def filled(distance_mm: Field) -> Field:
    """Share (H, W) of each pixel inside an outline at these distances from its middle."""
    return np.asarray(np.clip(0.5 - distance_mm / PIXEL_MM, 0.0, 1.0), dtype=np.float32)
