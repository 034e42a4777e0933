"""What a muscles network is shown: channels, neighbouring slices and the convention; the same in training and use.

A model's card says which of these its network takes; importable without torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from paraspinal.core.errors import ModelError
from paraspinal.models.input.normalise import LOCAL_SIGMA_MM, N_CHANNELS, input_channels

Array = npt.NDArray[np.float32]

NEIGHBOUR_MM = 6.0
"""The slices shown beside one lie at most this far off, or are the next ones where slices are farther apart."""

NEIGHBOURS_KEY, CONVENTIONS_KEY = "neighbour_mm", "conventions"
"""Keys of a card's ``input``: absent from models that see one slice at a time, or know one convention."""


class Convention(StrEnum):
    """Which fat belongs to a muscle's outline."""

    LEAN = "lean"  # none between muscle and bone, midline or fascia: lean muscle with the fat inside it
    COMPARTMENT = "compartment"  # all within the fascia, wherever it lies


_CONDITION = {Convention.LEAN: 0.0, Convention.COMPARTMENT: 1.0}


@dataclass(frozen=True)
class MuscleInput:
    """Which channels a network takes: always two of the slice itself, then those it was made for."""

    has_neighbours: bool = False
    has_convention: bool = False

    @property
    def n_channels(self) -> int:
        """Number of input channels."""
        return N_CHANNELS + 2 * self.has_neighbours + self.has_convention

    @classmethod
    def from_card(cls, said: Mapping[str, Any]) -> MuscleInput:
        """Read the ``input`` of a model card; ModelError for conventions this version does not know."""
        conventions = said.get(CONVENTIONS_KEY)
        if conventions not in (None, [c.value for c in Convention]):
            raise ModelError("the model card names unknown outline conventions")
        return cls(NEIGHBOURS_KEY in said, conventions is not None)

    def to_card(self) -> dict[str, Any]:
        """Describe the channels for the ``input`` of a model card."""
        channels = [
            "intensity over the 97th percentile of the foreground of the slice",
            f"local z-score, Gaussian of {LOCAL_SIGMA_MM:g} mm",
        ]
        said: dict[str, Any] = {"channels": channels}
        if self.has_neighbours:
            channels += ["local z-score of the slice below", "local z-score of the slice above"]
            said[NEIGHBOURS_KEY] = NEIGHBOUR_MM
        if self.has_convention:
            channels.append("convention of the outlines: 0 lean, 1 compartment")
            said[CONVENTIONS_KEY] = [c.value for c in Convention]
        return said

    def inputs(
        self,
        slices: Sequence[Array] | Array,
        chosen: Sequence[int],
        step: int,
        convention: Convention = Convention.LEAN,
    ) -> Array:
        """Turn the chosen of ``slices`` (n, H, W), caudal first, into what the network sees (len(chosen), C, H, W).

        Neighbours lie ``step`` slices off; where the stack ends their channels are zero.
        """
        if not self.has_neighbours:
            own = {i: input_channels(slices[i]) for i in chosen}
        else:
            near = {j for i in chosen for j in (i - step, i, i + step) if 0 <= j < len(slices)}
            own = {j: input_channels(slices[j]) for j in near}
        shape = slices[chosen[0]].shape
        inputs = np.zeros((len(chosen), self.n_channels, *shape), dtype=np.float32)
        for row, i in zip(inputs, chosen, strict=True):
            row[:N_CHANNELS] = own[i]
            if self.has_neighbours:
                for channel, j in ((N_CHANNELS, i - step), (N_CHANNELS + 1, i + step)):
                    if j in own:
                        row[channel] = own[j][1]
            if self.has_convention:
                row[-1] = _CONDITION[convention]
        return inputs


def neighbour_step(slice_mm: float) -> int:
    """Tell how many slices off the neighbours lie that a network is shown, for slices ``slice_mm`` apart."""
    return max(1, int(np.floor(NEIGHBOUR_MM / slice_mm + 1e-6)))
