"""What the engine must know of a run: the stages, what decides whether they run again, and the shards."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from paraspinal.core.files import sha256_file, sha256_json
from paraspinal.core.interpreter import for_children
from paraspinal.core.paths import PROJECT, RESOURCES
from paraspinal.core.records.digest import code_digest
from paraspinal.core.records.registry import Registry, shard_path
from paraspinal.core.records.schemas import SESSION_STACKS
from paraspinal.core.records.stage import Stage
from paraspinal.core.records.views import Source
from paraspinal.core.settings import Settings
from paraspinal.core.version import CODE_STATE_VARIABLE, code_state

SHARD_STAGES = ("convert", "harmonize", "segment", "levels", "measure", "quality")
"""Stages that work shard by shard, in the order of the workflow; each reads the table of the one before."""

PAGE = PROJECT / "workflow" / "report"
"""Template, style and script of the cohort page."""
CHECKLIST = RESOURCES / "claim2024.tsv"
"""Items of the reporting checklist the report answers."""

COHORT_STAGES = {
    "ingest": ("paraspinal.stages.ingest.stage", "ingest"),
    "aggregate": ("paraspinal.cohort.tables.aggregate", "aggregate"),
    "report": ("paraspinal.stages.report.stage", "write_report"),
}
"""Module and function of the stages that work on the whole cohort."""


def stage(name: str) -> Stage:
    """Get a shard stage by name; raises ValueError for one that does not exist."""
    if name not in SHARD_STAGES:
        raise ValueError(f"no such stage: {name}")
    found: Stage = importlib.import_module(f"paraspinal.stages.{name}").STAGE
    return found


def sources(name: str) -> list[Source]:
    """The tables a stage reads, earliest first: those before it that have a row for each item it works on."""
    tables = [Source("ingest", SESSION_STACKS), *(Source(n, stage(n).makes) for n in before(name))]
    return [source for source in tables if source.table.key == stage(name).key]


def before(name: str) -> tuple[str, ...]:
    """Name the shard stages before this one."""
    return SHARD_STAGES[: SHARD_STAGES.index(name)]


def stage_before(name: str) -> str:
    """Name the stage before this one."""
    return ("ingest", *before(name))[-1]


def scan_sources() -> list[Source]:
    """The tables that have a row for each scan, earliest first: all of them together are what is known of a scan."""
    return [Source(n, stage(n).makes) for n in SHARD_STAGES if stage(n).makes.key[-1] == "scan_id"]


def stage_params(name: str, settings: Settings) -> dict[str, Any]:
    """What of code, settings and models decides a stage's results; the ``params`` of its rule."""
    if name in COHORT_STAGES:
        far = settings.quality
        parameters = {
            "ingest": {"sheets": _sheet_digests(settings)},
            "aggregate": {
                **settings.failure_limit.model_dump(),
                "max_robust_z": far.max_robust_z,
                "min_peers": far.min_peers,
                "fat_methods": _fat_method_codes(),
            },
            "report": {"page": _page_digest()},
        }[name]
        return {"code": code_digest(*COHORT_STAGES[name]), "parameters": parameters}
    found = stage(name)
    return {
        "code": found.code,
        "parameters": found.parameters(settings),
        "models": found.models(settings),
        "tools": found.tools(),
    }


def _fat_method_codes() -> dict[str, str]:
    """Digests of the fat methods' files: their words go to the data dictionary."""
    fat = importlib.import_module("paraspinal.stages.measure.fat")
    codes: dict[str, str] = fat.codes_of(fat.fat_methods())
    return codes


def trained_tasks(settings: Settings) -> list[str]:
    """Models `train` makes: the shipped ones, or with a cohort sheet the user's own muscles model."""
    return ["muscles"] if settings.train.cohort_sheet else ["muscles", "spine"]


def train_params(settings: Settings) -> dict[str, Any]:
    """What of settings and sheets decides a trained model. Not the code: a finished training is not begun again."""
    return {**settings.public()["train"], "sheets": _sheet_digests(settings, "train")}


def _sheet_digests(settings: Settings, group: str = "ingest") -> list[str]:
    """Digests of the user's sheets, so that an edited one is read; an unreadable one is the reader's to refuse."""
    paths = [Path(path) for path in settings.private_paths()[group].values() if path]
    return [sha256_file(path) if path.is_file() else "" for path in paths]


def _page_digest() -> str:
    """Digest of the page's template, style, script and checklist: no Python, and so outside the code digest."""
    return sha256_json({path.name: sha256_file(path) for path in [*PAGE.iterdir(), CHECKLIST] if path.is_file()})


def job_environment() -> dict[str, str]:
    """What every job inherits: this checkout's package, and the interpreter of the engine.

    Where a profile activates an environment for a job, its interpreter comes before ours. The state of the code is
    asked of git here, once for all jobs.
    """
    return {**for_children(), CODE_STATE_VARIABLE: code_state()}


def shard_tables(name: str, results: Path) -> list[str]:
    """List the shard tables of a stage, relative to ``results``, from the registry."""
    return [str(shard_path(Path(), name, shard)) for shard in Registry.read(results).shard_numbers]
