"""What a run has to do, by the receipts alone: shards of a stage, the cohort tables, the report.

The engine decides by times and by hidden metadata, which a copy loses; it is told what follows from here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paraspinal.cohort.asking.evidence import CODE, DAMAGED
from paraspinal.cohort.asking.rerun_estimate import Forecast, forecast
from paraspinal.cohort.running.plan import SHARD_STAGES, stage_before, stage_params
from paraspinal.core.errors import ResultsError
from paraspinal.core.files import sha256_json
from paraspinal.core.records.manifest import Manifest, misfits, read_manifest
from paraspinal.core.records.registry import Registry, shard_path
from paraspinal.core.records.seals import COHORT, read_seal
from paraspinal.core.settings import Settings

OF_EARLIER_VERSIONS = ("receipts/*/sub-*.json", "shards/*.software.json", "shards/*/*.software.json")
TABLES, REPORT = "tables", "report"
BENCHMARKS = "benchmarks"
"""What jobs took; to the engine a result is as old as this file of its job."""
AGGREGATE = "aggregate"
MISSING = "not there yet"
EARLIER = "the shards have changed since"


@dataclass(frozen=True)
class Due:
    """What is to be done: shards with the reason by stage, and why tables and report are made again, if they are."""

    shards: Mapping[str, Mapping[int, str]]
    tables: str | None
    report: str | None

    @property
    def reasons(self) -> dict[str, str]:
        """The first reason of every stage that has something to do."""
        of_shards = {name: next(iter(found.values())) for name, found in self.shards.items() if found}
        return of_shards | {k: v for k, v in ((AGGREGATE, self.tables), (REPORT, self.report)) if v}

    def outputs(self) -> list[str]:
        """Outputs of the rules to run, relative to the results; what follows from them the engine knows."""
        paths = [str(shard_path(Path(), name, shard)) for name, found in self.shards.items() for shard in found]
        more = {f"{TABLES}/dictionary.json": self.tables, f"{REPORT}/index.html": self.report}
        return paths + [path for path, reason in more.items() if reason]


def due(results: Path, settings: Settings, found: list[Forecast] | None = None, *, must_hash: bool = False) -> Due:
    """Say what a run with these settings has to do; ``found`` is the forecast of the shard stages, if it is known."""
    found = found if found is not None else forecast(results, settings, must_hash=must_hash)
    shards = {stage.stage: stage.shards for stage in found}
    tables = cohort_reason(results, AGGREGATE, settings)
    if any(shards.values()):
        tables = tables or EARLIER
    report = cohort_reason(results, REPORT, settings)
    return Due(shards, tables, report or (EARLIER if tables else None))


def cohort_reason(results: Path, name: str, settings: Settings) -> str | None:
    """Why the cohort tables, or the report, are made again; None if they are what a run would make."""
    folder = results / (TABLES if name == AGGREGATE else REPORT)
    manifest = read_manifest(folder)
    if manifest is None:
        return MISSING
    if misfits(folder, manifest):
        return DAMAGED
    recipe = stage_params(name, settings)
    if manifest.recipe["code"] != recipe["code"]:
        return CODE
    if manifest.recipe != recipe:
        return _changed(manifest.recipe, recipe)
    return None if manifest.reads_sha256 == reads_of(results, name) else EARLIER


def reads_of(results: Path, name: str) -> str:
    """Digest of what the cohort tables (every seal), or the report (the manifest of the tables), are made from."""
    if name == REPORT:
        manifest: Manifest | None = read_manifest(results / TABLES)
        return manifest.sha256 if manifest else ""
    shards = Registry.read(results).shard_numbers
    seals = [read_seal(results, "ingest", COHORT)]
    seals += [read_seal(results, stage, shard) for stage in ("ingest", *SHARD_STAGES) for shard in shards]
    return sha256_json([sorted(seal.items()) for seal in seals])


def tables_state(results: Path) -> str:
    """Say in a few words whether the cohort tables are made from the shards as they stand; opens no table."""
    manifest = read_manifest(results / TABLES)
    if manifest is None:
        return MISSING
    is_current = manifest.reads_sha256 == reads_of(results, AGGREGATE)
    return f"of {manifest.finished_utc}" + ("" if is_current else f", an earlier run: {EARLIER}")


def require_current(results: Path, settings: Settings) -> None:
    """Refuse to make cohort tables of shards that this run would make otherwise; raises ResultsError."""
    for stage in forecast(results, settings, with_artifacts=False):
        for shard, reason in stage.shards.items():
            raise ResultsError(
                f"{stage.stage}, shard {shard}, was not made as this run would make it: {reason}",
                hint="the engine's own records do not show it; type: paraspinal run INPUT --out OUT",
            )


def notices(settings: Settings) -> list[str]:
    """What to tell somebody who calls the engine himself: what is due, for the engine goes by records of its own."""
    results = settings.out_path
    if not Registry.read(results).shards:
        return []
    return [
        f"{name} is due ({reason}): where the engine leaves it out, type: paraspinal run INPUT --out OUT"
        for name, reason in due(results, settings, forecast(results, settings, with_artifacts=False)).reasons.items()
    ]


def forget_earlier_version(results: Path) -> bool:
    """Take away receipts of version 0.1, which nobody reads any more; returns whether there were any.

    They have no seals, so that every visit is computed again; images and tables stay until they are replaced.
    """
    left = [path for pattern in OF_EARLIER_VERSIONS for path in results.glob(pattern)]
    for path in left:
        path.unlink(missing_ok=True)
    return bool(left)


def set_times_right(results: Path, what: Due) -> None:
    """Let no current file look older than what it was made from, as after a copy that kept no times.

    The engine goes by times; what the receipts say is current needs no job. Nor may anything be of a time to come: what
    a job makes of it now would be older, which the engine takes for a wrong clock.
    """
    now = time.time_ns()
    for path in (path for folder in ("shards", TABLES, REPORT) for path in (results / folder).rglob("*.*")):
        if _time_ns(path) > now:
            os.utime(path, ns=(now, now))
    for shard in Registry.read(results).shard_numbers:
        newest = 0
        for name in SHARD_STAGES:
            newest = max(newest, _time_ns(shard_path(results, stage_before(name), shard)))
            path = shard_path(results, name, shard)
            if shard in what.shards.get(name, {}):
                break
            _be_newer([path, results / BENCHMARKS / name / f"{path.stem}.tsv"], newest)
    if what.tables is None:
        newest = max((_time_ns(path) for path in (results / "shards").rglob("*.parquet")), default=0)
        _be_newer([*(results / TABLES).iterdir(), results / BENCHMARKS / f"{AGGREGATE}.tsv"], newest)
        if what.report is None:
            newest = max(_time_ns(path) for path in (results / TABLES).iterdir())
            _be_newer([*(results / REPORT).iterdir(), results / BENCHMARKS / f"{REPORT}.tsv"], newest)


def _time_ns(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _be_newer(paths: Iterable[Path], than_ns: int) -> None:
    for path in paths:
        if path.exists() and _time_ns(path) < than_ns:
            os.utime(path, ns=(than_ns, than_ns))


def _changed(was: dict[str, Any], now: dict[str, Any]) -> str:
    """Name the first parameter that changed."""
    old, new = was.get("parameters", {}), now["parameters"]
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            is_digest = isinstance(new.get(name), str | list)
            return f"{name} changed" if is_digest else f"{name} {old.get(name)} -> {new.get(name)}"
    return CODE
