"""Muscles of the synthesis are found by name, and a label the registry gains moves none of them."""

from __future__ import annotations

import runpy
from pathlib import Path

from label_factory import NINTH_CODE, nine_labels

from paraspinal.core.labels import label_by_name
from paraspinal.core.paths import RESOURCES
from paraspinal.core.vocab import Muscle, Side
from paraspinal.models.card import read_card
from paraspinal.models.synthesis.muscles import layout
from paraspinal.models.synthesis.muscles.layout import CLASS_OF_CODE, MUSCLE_CLASSES, PAIR, SIDES_SWAPPED, SWAP_SIDES


def test_every_place_is_that_of_its_name() -> None:
    assert layout.fields_of(Muscle.PSOAS_MAJOR) == layout.PSOAS == (4, 5)
    for field, (muscle, side) in enumerate(layout.PAINTED):
        name = f"{muscle.value}_{side.value}"
        assert MUSCLE_CLASSES[field + 1] == name
        assert CLASS_OF_CODE[label_by_name(name).code] == field + 1
        other = (muscle, Side.RIGHT if side is Side.LEFT else Side.LEFT)
        assert layout.PAINTED[SIDES_SWAPPED[field]] == other
    assert SWAP_SIDES.tolist() == [0, 2, 1, 4, 3, 6, 5, 8, 7]
    assert (SIDES_SWAPPED[PAIR[0]], SIDES_SWAPPED[PAIR[1]]) == (PAIR[1], PAIR[0])
    assert CLASS_OF_CODE[label_by_name("sacrum").code] == 0


def test_the_shipped_model_answers_in_this_order() -> None:
    assert read_card(RESOURCES / "models" / "muscles" / "0.2.0" / "card.json").class_names == MUSCLE_CLASSES


def test_a_ninth_label_leaves_the_classes_alone(tmp_path: Path) -> None:
    with nine_labels(tmp_path):
        found = runpy.run_path(layout.__file__)
    assert found["MUSCLE_CLASSES"] == MUSCLE_CLASSES
    assert found["CLASS_OF_CODE"][NINTH_CODE] == 0
