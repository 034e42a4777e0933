"""Cards of models from other frameworks; importable without torch.

Such a model's network, preprocessing and labels also stand in the metadata of its weights file, so that the
one sha256 covers everything that decides a result. Card and file must say the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from paraspinal.core.errors import ModelError
from paraspinal.models.card import ModelCard, check_order

CLASS_NAMES_KEY, ENGINE_KEY = "class_names", "engine"
KINDS = ("paraspinal", "nnunet", "monai")


def kind_of(card: ModelCard) -> str:
    """Name the engine a model needs; a card that names an unknown one raises ModelError."""
    kind = str(card.network.get("kind", KINDS[0]))
    if kind not in KINDS:
        raise ModelError(f"{card.name}@{card.version} needs engine {kind!r}", hint=f"known: {', '.join(KINDS)}")
    return kind


def engine_metadata(card: ModelCard) -> dict[str, str]:
    """Say in a weights file what its card says."""
    return {CLASS_NAMES_KEY: ",".join(card.class_names), ENGINE_KEY: _canonical(card.network)}


def check_foreign(card: ModelCard, metadata: Mapping[str, str]) -> None:
    """Refuse a card whose labels, network or preprocessing are not those of the weights file."""
    names = tuple(metadata.get(CLASS_NAMES_KEY, "").split(","))
    check_order(card, names, ())
    if metadata.get(ENGINE_KEY) != _canonical(card.network):
        raise ModelError(
            f"the card of {card.name}@{card.version} describes another network or preprocessing than its weights",
            hint="use the card that was written with the weights",
        )


def _canonical(network: dict[str, Any]) -> str:
    return json.dumps(network, sort_keys=True)
