"""Model cards: written, read back, and refused when they do not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from label_factory import NINTH_CODE, nine_labels

from paraspinal.core.errors import ModelError
from paraspinal.core.labels import all_labels, label_by_name
from paraspinal.core.paths import RESOURCES
from paraspinal.models.card import Accuracy, CardLabel, ModelCard, card_labels, check_order, read_card, write_card

NAMES = ("background", "multifidus_left", "multifidus_right")

MUSCLES = tuple(label.name for label in all_labels() if label.muscle)


@pytest.fixture
def card() -> ModelCard:
    return ModelCard(
        name="toy",
        version="1.0.0",
        task="muscles",
        licence="MIT",
        summary="A toy.",
        input={"pixel_mm": 2.0},
        network={"n_inputs": 2, "n_classes": 3, "n_heatmaps": 0, "channels": [4, 8]},
        labels=card_labels(NAMES),
        heatmaps=(),
        training={"data": ["synthetic"]},
        intended_use="Tests.",
        limits=("everything",),
        accuracy=(Accuracy("nobody", "dsc", "multifidus_left", 0.5, "1"),),
    )


def test_labels_carry_the_registered_codes() -> None:
    assert card_labels(NAMES) == (
        CardLabel(0, "background", None),
        CardLabel(1, "multifidus_left", 5101),
        CardLabel(2, "multifidus_right", 5102),
    )


def test_a_model_draws_the_muscles_of_its_card_and_no_others(card: ModelCard, tmp_path: Path) -> None:
    six = [name for name in MUSCLES if not name.startswith("quadratus")]
    drawn = tuple(label_by_name(name).code for name in six)
    names = ("background", *reversed(six), "other_spleen")
    assert replace(card, labels=card_labels(names)).muscle_codes == drawn, "whatever the order of its channels"
    shipped = read_card(RESOURCES / "models" / "muscles" / "0.2.0" / "card.json")
    eight = (5101, 5102, 5111, 5112, 5121, 5122, 5131, 5132)
    assert shipped.muscle_codes == eight
    with nine_labels(tmp_path):
        assert shipped.muscle_codes == eight
        more = card_labels(("background", *MUSCLES, "rotatores_left"))
        assert replace(card, labels=more).muscle_codes == (*(label_by_name(n).code for n in MUSCLES), NINTH_CODE)
    spine = read_card(RESOURCES / "models" / "spine" / "0.2.0" / "card.json")
    assert spine.muscle_codes == ()


def test_round_trip(card: ModelCard, tmp_path: Path) -> None:
    write_card(tmp_path / "card.json", card)
    assert read_card(tmp_path / "card.json") == card
    assert card.codes == (0, 5101, 5102)


def test_exchanged_codes_are_refused(card: ModelCard, tmp_path: Path) -> None:
    swapped = (card.labels[0], replace(card.labels[1], code=5102), replace(card.labels[2], code=5101))
    with pytest.raises(ModelError, match="out of order"):
        write_card(tmp_path / "card.json", replace(card, labels=swapped))


def test_reordered_labels_are_refused_when_read(card: ModelCard, tmp_path: Path) -> None:
    write_card(tmp_path / "card.json", card)
    data = json.loads((tmp_path / "card.json").read_text())
    data["labels"][1], data["labels"][2] = data["labels"][2], data["labels"][1]
    (tmp_path / "card.json").write_text(json.dumps(data))
    with pytest.raises(ModelError, match="out of order"):
        read_card(tmp_path / "card.json")


def test_consistent_card_of_other_weights_is_refused(card: ModelCard) -> None:
    check_order(card, NAMES, ())
    with pytest.raises(ModelError, match="other outputs"):
        check_order(card, ("background", "multifidus_right", "multifidus_left"), ())


@pytest.mark.parametrize("change", [{"surprise": 1}, {"summary": ...}])
def test_unknown_or_missing_keys_are_refused(card: ModelCard, tmp_path: Path, change: dict[str, object]) -> None:
    write_card(tmp_path / "card.json", card)
    data = json.loads((tmp_path / "card.json").read_text())
    data |= change
    data = {key: value for key, value in data.items() if value is not ...}
    (tmp_path / "card.json").write_text(json.dumps(data))
    with pytest.raises(ModelError, match="cannot be read"):
        read_card(tmp_path / "card.json")


def test_network_with_other_outputs_is_refused(card: ModelCard, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="number of outputs"):
        write_card(tmp_path / "card.json", replace(card, network={**card.network, "n_classes": 4}))


def test_background_comes_first(card: ModelCard, tmp_path: Path) -> None:
    labels = card_labels(("multifidus_left", "background", "multifidus_right"))
    with pytest.raises(ModelError, match="background"):
        write_card(tmp_path / "card.json", replace(card, labels=labels))
