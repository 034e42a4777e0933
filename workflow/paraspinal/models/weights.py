"""Export of trained weights: safetensors, a card and a row in the registry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from paraspinal.core.files import sha256_file
from paraspinal.core.paths import RESOURCES
from paraspinal.models.card import ModelCard, write_card
from paraspinal.models.registry import ModelEntry, register
from paraspinal.models.training.checkpoint import read_checkpoint, save_tensors

CLASS_NAMES_KEY, HEATMAP_NAMES_KEY = "class_names", "heatmap_names"
SEPARATOR = ","  # class names hold letters, digits and underscores only


def split_names(text: str) -> tuple[str, ...]:
    """Read a list of names from the metadata of a weights file."""
    return tuple(text.split(SEPARATOR)) if text else ()


def export_model(checkpoint: Path, card: ModelCard, resources: Path = RESOURCES) -> ModelEntry:
    """Write the averaged weights of a checkpoint as a registered model and return its registry row.

    The card's network, labels and heatmaps must be those of the checkpoint; its ``training`` gains
    the step count, schedule and precision of the checkpoint.
    """
    trained = read_checkpoint(checkpoint)
    said = trained.description
    card = replace(
        card,
        network=said["spec"],
        training={**card.training, **{k: said[k] for k in ("step", "schedule", "precision")}},
    )
    folder = Path("models") / card.name / card.version
    (resources / folder).mkdir(parents=True, exist_ok=True)
    weights, card_path = resources / folder / "weights.safetensors", resources / folder / "card.json"
    names = {
        CLASS_NAMES_KEY: SEPARATOR.join(said["class_names"]),
        HEATMAP_NAMES_KEY: SEPARATOR.join(said["heatmap_names"]),
    }
    save_tensors(weights, trained.average, names)
    write_card(card_path, card)
    entry = ModelEntry(card.name, card.version, card.task, weights, sha256_file(weights), card.licence, card_path)
    register(entry, resources)
    return entry
