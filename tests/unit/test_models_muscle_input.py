"""What a muscles network is shown, and that models which see less are shown what they always were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from paraspinal.core.errors import ModelError
from paraspinal.core.paths import RESOURCES
from paraspinal.models.card import read_card
from paraspinal.models.evaluation.muscles import MUSCLES_MODEL
from paraspinal.models.inference import MuscleSegmenter, load_model
from paraspinal.models.input.muscle_input import Convention, MuscleInput, neighbour_step
from paraspinal.models.input.normalise import input_channels
from paraspinal.models.registry import find

EVERYTHING = MuscleInput(has_neighbours=True, has_convention=True)


def slices(n: int = 5) -> np.ndarray:
    """Draw slices that differ."""
    return np.random.default_rng(0).uniform(0.0, 100.0, (n, 48, 64)).astype(np.float32)


@pytest.mark.parametrize("shown", [MuscleInput(a, b) for a in (False, True) for b in (False, True)])
def test_a_card_says_what_a_network_takes(shown: MuscleInput) -> None:
    said = shown.to_card()
    assert MuscleInput.from_card(said) == shown
    assert len(said["channels"]) == shown.n_channels
    assert shown.inputs(slices(), range(5), 1).shape == (5, shown.n_channels, 48, 64)


def test_the_shipped_model_sees_one_slice_as_it_always_did() -> None:
    shown = MuscleInput.from_card(read_card(find(MUSCLES_MODEL, RESOURCES).card).input)
    assert shown == MuscleInput()
    expected = np.stack([input_channels(one) for one in slices()])
    assert np.array_equal(shown.inputs(slices(), range(5), 2, Convention.COMPARTMENT), expected)


def test_neighbours_are_the_slices_a_step_below_and_above_and_nothing_beyond_the_end() -> None:
    stack = slices()
    inputs = EVERYTHING.inputs(stack, (1, 2, 4), 2, Convention.COMPARTMENT)
    local = [input_channels(one)[1] for one in stack]
    assert np.array_equal(inputs[1, :2], input_channels(stack[2]))
    assert np.array_equal(inputs[1, 2], local[0])
    assert np.array_equal(inputs[1, 3], local[4])
    assert not inputs[0, 2].any()
    assert np.array_equal(inputs[0, 3], local[3])
    assert not inputs[2, 3].any()
    assert (inputs[:, 4] == 1.0).all()
    assert (EVERYTHING.inputs(stack, (1,), 2, Convention.LEAN)[:, 4] == 0.0).all()


def test_neighbours_lie_six_millimetres_off_at_most_unless_slices_do() -> None:
    assert [neighbour_step(mm) for mm in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)] == [6, 3, 2, 1, 1, 1, 1, 1]


def test_conventions_nobody_knows_are_refused() -> None:
    with pytest.raises(ModelError, match="conventions"):
        MuscleInput.from_card({"conventions": ["lean", "generous"]})


def test_a_model_of_one_convention_is_asked_for_no_other() -> None:
    model = load_model(MUSCLES_MODEL)
    with pytest.raises(ModelError, match="does not know the convention"):
        MuscleSegmenter(model, Convention.LEAN)
    told = replace(model, card=replace(model.card, input={**model.card.input, **EVERYTHING.to_card()}))
    with pytest.raises(ModelError, match="other inputs than its card says"):
        MuscleSegmenter(told)
