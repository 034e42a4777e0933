"""Which muscles the synthesis paints and where each stands, said once and by name: nobody else counts places."""

from __future__ import annotations

import numpy as np

from paraspinal.core.labels import muscle_labels
from paraspinal.core.vocab import Muscle, Side
from paraspinal.models.card import BACKGROUND

SIDES = (Side.LEFT, Side.RIGHT)
PAINTED = tuple(
    (muscle, side)
    for muscle in (Muscle.MULTIFIDUS, Muscle.ERECTOR_SPINAE, Muscle.PSOAS_MAJOR, Muscle.QUADRATUS_LUMBORUM)
    for side in SIDES
)
"""The muscles in the order of their distance fields and, behind the background, of the classes. A label that the
registry gains is no muscle of these until there is anatomy to paint it from."""

N_MUSCLES = len(PAINTED)
PAIR = (N_MUSCLES, N_MUSCLES + 1)
"""Fields of multifidus and erector of a side as one, left and right; they stand behind those of the muscles."""


def fields_of(muscle: Muscle) -> tuple[int, int]:
    """Name the fields of a muscle, left and right."""
    left, right = (PAINTED.index((muscle, side)) for side in SIDES)
    return left, right


def _other_side(field: int) -> int:
    for left, right in (PAIR, *(fields_of(muscle) for muscle, _ in PAINTED)):
        if field in (left, right):
            return left + right - field
    raise ValueError(f"no field {field}")


MULTIFIDUS, ERECTOR = fields_of(Muscle.MULTIFIDUS), fields_of(Muscle.ERECTOR_SPINAE)
PSOAS, QUADRATUS = fields_of(Muscle.PSOAS_MAJOR), fields_of(Muscle.QUADRATUS_LUMBORUM)

SIDES_SWAPPED = tuple(_other_side(field) for field in range(N_MUSCLES + len(PAIR)))
"""Field of the same muscle, or pair, on the other side."""

MUSCLE_CLASSES = (BACKGROUND, *(f"{muscle.value}_{side.value}" for muscle, side in PAINTED))
"""Class names in the order of the network's output: the class of a muscle stands one behind its field."""

SWAP_SIDES = np.array([0, *(1 + other for other in SIDES_SWAPPED[:N_MUSCLES])])
"""Class index of the same muscle on the other side."""

CLASS_OF_CODE = np.zeros(max(muscle_labels().values()) + 1, dtype=np.int64)
"""Class index of every label code; 0, the background, for what is none of these muscles."""
for _index, _muscle in enumerate(PAINTED, start=1):
    CLASS_OF_CODE[muscle_labels()[_muscle]] = _index
