"""Which labels of somebody else's model are muscles of the registry: proposed by name, decided by the user.

Importable without torch.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from paraspinal.core.errors import ModelError
from paraspinal.core.labels import all_labels, muscle_labels
from paraspinal.core.vocab import Muscle, Side
from paraspinal.models.card import BACKGROUND

MAP_COLUMNS = ("model_label", "label")
"""Columns of a mapping file: a label of the model, and one of the registry or nothing for background."""

_MUSCLE_WORDS = {
    Muscle.MULTIFIDUS: ("multifidus", "multifidi", "mf"),
    Muscle.ERECTOR_SPINAE: ("erector", "erectors", "es"),
    Muscle.PSOAS_MAJOR: ("psoas", "pm"),
    Muscle.QUADRATUS_LUMBORUM: ("quadratus", "ql"),
}
_SIDE_WORDS = {Side.LEFT: ("left", "l", "lt"), Side.RIGHT: ("right", "r", "rt")}
_SIDE_GLUED = re.compile(r"^(?:([lr])(mf|es|pm|ql)|(mf|es|pm|ql)([lr]))$")


class Certainty(StrEnum):
    """How a label of a model came to one of the registry."""

    EXACT = "exact"  # it has the name of the registry, or is the background
    GUESSED = "guessed"  # its words name a muscle of the registry and a side
    UNMAPPED = "unmapped"  # it becomes background
    GIVEN = "given"  # the user's mapping file says so


@dataclass(frozen=True)
class LabelMatch:
    """A label of a model and of the registry; ``registry_label`` is None for background."""

    model_label: str
    registry_label: str | None
    certainty: Certainty


def muscle_names() -> tuple[str, ...]:
    """Names of the muscles with their sides, in the order of the label registry."""
    return tuple(label.name for label in all_labels() if label.muscle)


def propose(model_labels: Sequence[str]) -> tuple[LabelMatch, ...]:
    """Propose a label of the registry for each of a model's, in their order; the first one is the background."""
    return (LabelMatch(model_labels[0], None, Certainty.EXACT), *(_match(name) for name in model_labels[1:]))


def read_map(path: Path, model_labels: Sequence[str]) -> tuple[LabelMatch, ...]:
    """Read the user's mapping of a model's labels (TSV with ``MAP_COLUMNS``).

    Raises ModelError unless it names every label but the background exactly once, and the registry's by their names.
    """
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            reader = csv.DictReader(handle, delimiter="\t")
            if tuple(reader.fieldnames or ()) != MAP_COLUMNS:
                raise ModelError("the label map does not have the expected columns", hint=", ".join(MAP_COLUMNS))
            pairs = [(row["model_label"] or "", row["label"] or "") for row in reader]
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError("the label map cannot be read", hint="expected a tab-separated file") from error
    said = dict(pairs)
    said.pop(model_labels[0], None)
    if len(dict(pairs)) != len(pairs) or set(said) != set(model_labels[1:]):
        raise ModelError(
            "the label map must name every label of the model once", hint=f"labels: {', '.join(model_labels[1:])}"
        )
    unknown = sorted(set(said.values()) - set(muscle_names()) - {""})
    if unknown:
        raise ModelError(
            f"the label map names labels that are not in the registry: {', '.join(unknown)}",
            hint=", ".join(muscle_names()),
        )
    given = (LabelMatch(name, said[name] or None, Certainty.GIVEN) for name in model_labels[1:])
    return (LabelMatch(model_labels[0], None, Certainty.EXACT), *given)


def class_names(matches: Sequence[LabelMatch]) -> tuple[str, ...]:
    """Name a model's output classes for its card: the registry's where mapped, else its own behind ``other_``.

    Raises ModelError if no class is a muscle of the registry.
    """
    if not any(match.registry_label for match in matches):
        raise ModelError(
            "no label of the model is a muscle of the registry", hint=f"registry: {', '.join(muscle_names())}"
        )
    return (BACKGROUND, *(match.registry_label or f"other_{_plain(match.model_label)}" for match in matches[1:]))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _match(name: str) -> LabelMatch:
    plain = _plain(name)
    if plain in muscle_names():
        return LabelMatch(name, plain, Certainty.EXACT)
    words: list[str] = []
    for word in plain.split("_"):
        glued = _SIDE_GLUED.match(word)
        words += [part for part in glued.groups() if part] if glued else [word]
    muscles = [muscle for muscle, known in _MUSCLE_WORDS.items() if set(known) & set(words)]
    sides = [side for side, known in _SIDE_WORDS.items() if set(known) & set(words)]
    if len(muscles) != 1 or len(sides) != 1:
        return LabelMatch(name, None, Certainty.UNMAPPED)
    code = muscle_labels()[muscles[0], sides[0]]
    return LabelMatch(name, next(x.name for x in all_labels() if x.code == code), Certainty.GUESSED)
