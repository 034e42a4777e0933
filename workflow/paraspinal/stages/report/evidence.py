"""What a methods text must cite beside the cohort tables: software, models with their cards, parameters, files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from paraspinal.core.config_files import descriptions
from paraspinal.core.errors import ModelError
from paraspinal.core.files import sha256_file
from paraspinal.core.paths import PROJECT
from paraspinal.core.records.environments import versions_in
from paraspinal.core.records.manifest import read_manifest
from paraspinal.core.records.receipts import ACTIVITIES
from paraspinal.core.records.schemas import COHORT_TABLES
from paraspinal.core.records.tables import Row
from paraspinal.models.card import ModelCard, read_card
from paraspinal.models.registry import find
from paraspinal.stages.report.agreement import agreements
from paraspinal.stages.report.data import Cohort, groups, read_arrow


@dataclass(frozen=True)
class Model:
    """A model the tables name; ``card`` is None where the registry does not hold these very weights."""

    name: str
    sha256: str
    scans: int
    card: ModelCard | None
    card_path: str


@dataclass(frozen=True)
class Parameter:
    """One leaf of the configuration with what the schema says of it, unit included."""

    key: str
    value: str
    meaning: str


@dataclass(frozen=True)
class TableFile:
    """One cohort table as it lies on disk."""

    name: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class Evidence:
    """Everything the methods text cites that is not in a cohort table."""

    software: dict[str, dict[str, list[str]]]
    models: tuple[Model, ...]
    parameters: tuple[Parameter, ...]
    files: tuple[TableFile, ...]
    agreements: tuple[tuple[str, list[Row]], ...]


def gather(cohort: Cohort, results: Path, models_folder: Path) -> Evidence:
    """Gather the evidence of a results folder; what was not recorded is left out, never guessed."""
    return Evidence(
        software=_software(results),
        models=models(cohort, models_folder),
        parameters=tuple(_parameters(cohort.parameters)),
        files=tuple(
            TableFile(table.name, pq.read_metadata(path).num_rows, sha256_file(path))
            for table in COHORT_TABLES
            if (path := results / "tables" / f"{table.name}.parquet").is_file()
        ),
        agreements=tuple(agreements(results)),
    )


def _software(results: Path) -> dict[str, dict[str, list[str]]]:
    """Versions of every package by stage, from the environments that the receipts name."""
    units = read_arrow(ACTIVITIES, results / "tables", ["stage", "environment"])
    distinct = units.group_by(["stage", "environment"]).aggregate([]).to_pylist()
    named: dict[str, set[str]] = {}
    for row in distinct:
        named.setdefault(row["stage"], set()).add(row["environment"])
    if manifest := read_manifest(results / "tables"):
        named["aggregate"] = {manifest.environment}
    found = {stage: versions_in(results, environments) for stage, environments in sorted(named.items())}
    return {stage: versions for stage, versions in found.items() if versions}


def models(cohort: Cohort, folder: Path) -> tuple[Model, ...]:
    """Models the tables name, with the sha256 of their weights and how many scans each outlined."""
    used = cohort.scans.dropna(subset=["model", "model_sha256"])
    return tuple(
        Model(name, sha256, len(rows), *_card(name, sha256, folder))
        for (name, sha256), rows in groups(used, ["model", "model_sha256"])
    )


def _card(name: str, sha256: str, folder: Path) -> tuple[ModelCard | None, str]:
    """The card of exactly these weights and its place below the project, else nothing."""
    try:
        entry = find(name, folder)
        if entry.sha256 != sha256:
            return None, ""
        is_ours = entry.card.is_relative_to(PROJECT)
        return read_card(entry.card), str(entry.card.relative_to(PROJECT)) if is_ours else entry.card.name
    except ModelError:
        return None, ""


def _parameters(used: dict[str, Any]) -> Iterator[Parameter]:
    """Parameters with what the setting of that name means, in whatever group it stands."""
    meanings = {key.rpartition(".")[2]: text for key, text in descriptions().items()}
    for key, value in used.items():
        yield Parameter(key, str(value), meanings.get(key.split(".", 1)[1], ""))
