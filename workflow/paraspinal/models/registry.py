"""Which models exist: ``resources/models.tsv``, one pinned version a row, each with its sha256.

Importable without torch. There is no ``latest``: a model is named ``name@version`` or not at all.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from paraspinal.core.errors import ModelError
from paraspinal.core.files import sha256_file, write_text
from paraspinal.core.paths import RESOURCES

MODELS_TABLE = "models.tsv"
COLUMNS = ("name", "version", "task", "path", "sha256", "licence", "card")


@dataclass(frozen=True)
class ModelEntry:
    """One row of the registry; paths are absolute."""

    name: str
    version: str
    task: str
    weights: Path
    sha256: str
    licence: str
    card: Path

    @property
    def identifier(self) -> str:
        """The only way to name a model: ``name@version``."""
        return f"{self.name}@{self.version}"


def list_models(resources: Path = RESOURCES) -> tuple[ModelEntry, ...]:
    """List every registered model; no table means none, a table with other columns raises ModelError."""
    table = resources / MODELS_TABLE
    if not table.exists():
        return ()
    with table.open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle, delimiter="\t")
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ModelError("the model registry does not have the expected columns", hint=", ".join(COLUMNS))
        return tuple(
            ModelEntry(
                name=row["name"],
                version=row["version"],
                task=row["task"],
                weights=resources / row["path"],
                sha256=row["sha256"],
                licence=row["licence"],
                card=resources / row["card"],
            )
            for row in reader
        )


def known_models(resources: Path = RESOURCES) -> tuple[ModelEntry, ...]:
    """List the models of a folder, then those shipped with the project whose names it does not use itself."""
    own = list_models(resources)
    names = {entry.identifier for entry in own}
    return (*own, *(entry for entry in list_models() if entry.identifier not in names))


def find(identifier: str, resources: Path = RESOURCES) -> ModelEntry:
    """Look a model up by ``name@version`` without touching its files, in ``resources`` and then among those shipped.

    Raises ModelError if it is unknown.
    """
    known = {entry.identifier: entry for entry in known_models(resources)}
    if identifier not in known:
        raise ModelError(f"there is no model {identifier!r}", hint=f"known models: {', '.join(known) or 'none'}")
    return known[identifier]


def resolve(identifier: str, resources: Path = RESOURCES) -> ModelEntry:
    """Look a model up and verify its weights; a missing or altered file raises ModelError."""
    entry = find(identifier, resources)
    for path in (entry.weights, entry.card):
        if not path.exists():
            raise ModelError(
                f"a file of model {identifier} is missing: {path.name}",
                hint="check the repository out again; weights are part of it",
            )
    found = sha256_file(entry.weights)
    if found != entry.sha256:
        raise ModelError(
            f"MODEL_HASH_MISMATCH: the weights of {identifier} are not the registered ones",
            hint=f"expected sha256 {entry.sha256}, found {found}",
        )
    return entry


def register(entry: ModelEntry, resources: Path = RESOURCES) -> None:
    """Add a model to the table, or replace the row of the same name and version."""
    kept = [e for e in list_models(resources) if e.identifier != entry.identifier]
    rows = sorted([*kept, entry], key=lambda e: (e.name, e.version))
    lines = ["\t".join(COLUMNS)]
    for e in rows:
        weights, card = (p.relative_to(resources).as_posix() for p in (e.weights, e.card))
        lines.append("\t".join((e.name, e.version, e.task, weights, e.sha256, e.licence, card)))
    write_text(resources / MODELS_TABLE, "\n".join(lines) + "\n")
