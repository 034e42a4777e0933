"""Model cards: what a model eats, says, was taught, is good for, and how well it did on what.

A card is JSON beside the weights. It is checked when loaded: labels must carry the registry's codes
and stand in the order the weights were trained with. Importable without torch.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from paraspinal.core.errors import ModelError
from paraspinal.core.labels import all_labels, muscles_among

BACKGROUND = "background"


@dataclass(frozen=True)
class CardLabel:
    """One output class: its channel, name, and code in label images (null: not a registered label)."""

    index: int
    name: str
    code: int | None


@dataclass(frozen=True)
class Accuracy:
    """One measured number with the data it was measured on, and its 95 % confidence interval where there is one."""

    data: str
    measure: str
    structure: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ModelCard:
    """Everything a user must know before trusting a model."""

    name: str
    version: str
    task: str
    licence: str
    summary: str
    input: dict[str, Any]  # plane, orientation, pixel_mm, channels
    network: dict[str, Any]  # NetworkSpec as JSON
    labels: tuple[CardLabel, ...]
    heatmaps: tuple[str, ...]
    training: dict[str, Any]  # data with licences, steps, seed, ...
    intended_use: str
    limits: tuple[str, ...]
    accuracy: tuple[Accuracy, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the output classes in channel order, background first."""
        return tuple(label.name for label in self.labels)

    @property
    def codes(self) -> tuple[int, ...]:
        """Code in label images of every output class; background and unregistered ones are 0."""
        return tuple(label.code or 0 for label in self.labels)

    @property
    def muscle_codes(self) -> tuple[int, ...]:
        """Codes of the muscles the model can draw; by these, and no others, what it draws is judged."""
        return tuple(muscles_among(self.codes).values())


def card_labels(class_names: tuple[str, ...]) -> tuple[CardLabel, ...]:
    """Describe output classes with the codes of the label registry."""
    codes = {label.name: label.code for label in all_labels()}
    return tuple(CardLabel(i, name, codes.get(name)) for i, name in enumerate(class_names))


def write_card(path: Path, card: ModelCard) -> None:
    """Write a card after checking it."""
    _check(card)
    path.write_text(json.dumps(asdict(card), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_card(path: Path) -> ModelCard:
    """Read and check a card; unknown or missing keys, wrong or reordered labels raise ModelError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if set(data) != {f.name for f in fields(ModelCard)}:
            raise ValueError("keys differ from the card schema")
        data["labels"] = tuple(CardLabel(**x) for x in data["labels"])
        data["accuracy"] = tuple(Accuracy(**x) for x in data["accuracy"])
        data["heatmaps"], data["limits"] = tuple(data["heatmaps"]), tuple(data["limits"])
        card = ModelCard(**data)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"the model card cannot be read: {error}") from error
    _check(card)
    return card


def check_order(card: ModelCard, class_names: tuple[str, ...], heatmaps: tuple[str, ...]) -> None:
    """Refuse a card whose outputs stand in another order than the weights say they were trained in."""
    if card.class_names != class_names or card.heatmaps != heatmaps:
        raise ModelError(
            f"the card of {card.name}@{card.version} lists other outputs than its weights",
            hint="labels were added, removed or reordered; use the card that came with the weights",
        )


def _check(card: ModelCard) -> None:
    names = card.class_names
    if not names or names[0] != BACKGROUND:
        raise ModelError("the first label of a model card must be the background")
    if card.labels != card_labels(names):
        raise ModelError("labels of the model card are out of order or carry codes of other labels")
    if card.network.get("n_classes") != len(names) or card.network.get("n_heatmaps") != len(card.heatmaps):
        raise ModelError("the network of the model card has another number of outputs than the card lists")
