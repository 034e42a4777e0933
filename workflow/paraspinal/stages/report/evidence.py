"""What a methods text must cite beside the cohort tables: software, models with their cards, parameters, files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from paraspinal.core.errors import ModelError
from paraspinal.core.files import sha256_file
from paraspinal.core.paths import PROJECT, SCHEMAS
from paraspinal.core.records import software
from paraspinal.core.records.registry import Registry
from paraspinal.core.records.schemas import COHORT_TABLES
from paraspinal.core.records.tables import Row
from paraspinal.models.card import ModelCard, read_card
from paraspinal.models.registry import find
from paraspinal.stages.report.agreement import agreements
from paraspinal.stages.report.data import Cohort, groups

SHARD_JOBS = ("convert", "harmonize", "segment", "levels", "measure", "quality")
PLACES = frozenset({"input", "out", "private_dir"})
"""Settings that are paths: they say nothing about the numbers and may name people, so nothing here shows them."""


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


def gather(cohort: Cohort, results: Path) -> Evidence:
    """Gather the evidence of a results folder; what an older run did not note is left out, never guessed."""
    shards: list[int | None] = list(Registry.read(results).shard_numbers)
    whole: list[int | None] = [None]
    jobs = {"engine": whole, "ingest": whole, **dict.fromkeys(SHARD_JOBS, shards), "aggregate": whole}
    noted = {stage: software.used(results, stage, where) for stage, where in jobs.items()}
    return Evidence(
        software={stage: versions for stage, versions in noted.items() if versions},
        models=models(cohort),
        parameters=tuple(_parameters(cohort.config)),
        files=tuple(
            TableFile(table.name, pq.read_metadata(path).num_rows, sha256_file(path))
            for table in COHORT_TABLES
            if (path := results / "tables" / f"{table.name}.parquet").is_file()
        ),
        agreements=tuple(agreements(results)),
    )


def models(cohort: Cohort) -> tuple[Model, ...]:
    """Models the tables name, with the sha256 of their weights and how many scans each outlined."""
    used = cohort.scans.dropna(subset=["model", "model_sha256"])
    folder = PROJECT / Path(str(cohort.config.get("segment", {}).get("models_folder", "resources"))).expanduser()
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


def _parameters(config: dict[str, Any]) -> Iterator[Parameter]:
    schema = yaml.safe_load((SCHEMAS / "config.schema.yaml").read_text(encoding="utf-8"))
    yield from _leaves({k: v for k, v in config.items() if k not in PLACES}, schema, "")


def _leaves(config: dict[str, Any], schema: dict[str, Any], prefix: str) -> Iterator[Parameter]:
    for key, value in config.items():
        found = schema.get("properties", {}).get(key, {})
        if isinstance(value, dict):
            yield from _leaves(value, found, f"{prefix}{key}.")
        elif value != "(private)" and not Path(str(value)).is_absolute():
            yield Parameter(prefix + key, str(value), found.get("description", ""))
