"""Whole runs on a small phantom cohort, each in a copy of the checkout that a test may edit."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from paraspinal.cohort.running.jobs import run_job
from paraspinal.cohort.running.plan import SHARD_STAGES
from paraspinal.cohort.running.runs import RUN_CONFIG, private_run_file, settings_of
from paraspinal.cohort.running.staleness import due
from paraspinal.core.paths import PROJECT
from paraspinal.core.records.registry import Registry
from paraspinal.phantom.cohort import PLANS, Plan, write_visit
from paraspinal.phantom.contrast import Weighting

from ..conftest import made_once

TABLES = ("inventory", "scans", "levels", "metrics", "quality")


def small(plan: Plan) -> Plan:
    """The same visit with coarse axial images and one contrast, so that a run takes seconds."""
    return replace(
        plan, axial=(Weighting.T2W,), sagittal=(Weighting.T2W,), pixel_mm=2.1, spacing_mm=9.0, has_dixon=False
    )


@dataclass
class Study:
    """A checkout, an input folder, a results folder and a private folder that belong together."""

    root: Path
    input_name: str = "dicom"

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def dicom(self) -> Path:
        return self.root / self.input_name

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.project / "workflow")}

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "paraspinal", "run", str(self.dicom), "--out", str(self.results)]

    @property
    def options(self) -> list[str]:
        return ["--set", f"private_dir={self.root / 'private'}", "--set", "shard_size=2"]

    def run(self, *more: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the workflow to its end."""
        done = subprocess.run(
            [*self.command, *self.options, *more],
            env=self.environment,
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr + self.engine_log()
        return done

    def engine_log(self) -> str:
        log = self.results / "logs" / "engine.log"
        return log.read_text() if log.exists() else ""

    def executed(self) -> list[str]:
        """Rules the last run executed, without the look at the input and the target."""
        rules = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):", self.engine_log(), re.MULTILINE)
        return sorted(set(rules) - {"ingest", "all"})

    def computed(self, stage: str) -> dict[str, tuple[int, int]]:
        """Units computed and reused by the last job of every shard of a stage, from its logs."""
        found = {}
        for log in sorted((self.results / "logs" / stage).glob("*.log")):
            counts = re.search(r"(\d+) computed, (\d+) reused", log.read_text())
            assert counts, log.read_text()
            found[log.stem] = (int(counts[1]), int(counts[2]))
        return found

    def content(self) -> dict[str, pd.DataFrame]:
        """Logical content of the cohort tables."""
        return {name: pd.read_parquet(self.results / "tables" / f"{name}.parquet") for name in TABLES}

    def clone(self, root: Path) -> Study:
        """Copy everything, keeping times, as a study of its own."""
        shutil.copytree(self.root, root, dirs_exist_ok=True, copy_function=shutil.copy2)
        return Study(root, self.input_name)


def make_study(root: Path, plans: tuple[Plan, ...], input_name: str = "dicom") -> Study:
    """Copy the checkout and write the visits of some plans as DICOM."""
    study = Study(root, input_name)
    for name in ("workflow", "config", "resources", "envs"):
        shutil.copytree(
            PROJECT / name, study.project / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    shutil.copy2(PROJECT / "Snakefile", study.project / "Snakefile")
    for plan in plans:
        write_visit(small(plan), study.dicom / plan.folder)
    return study


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Three visits of two people in two shards, run to the end once for all workers; tests clone it."""
    return Study(made_once(tmp_path_factory, "finished-study", lambda root: make_study(root, PLANS[:3]).run()))


@pytest.fixture
def study(finished: Study, tmp_path: Path) -> Study:
    """A finished study of one's own."""
    return finished.clone(tmp_path)


@pytest.fixture
def results(study: Study) -> Path:
    """Results of a study of one's own, as jobs in this process find them."""
    config = study.results / RUN_CONFIG
    told = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump(told | {"private_dir": str(study.root / "private"), "out": str(study.results)}))
    nothing = {"ingest": {}, "levels": {}, "train": {}}
    record = private_run_file(study.root / "private", study.results, ".json")
    record.write_text(json.dumps({"input": str(study.dicom), **nothing}))
    return study.results


def run_what_is_due(results: Path) -> None:
    """What `paraspinal run` does, in one process: of each shard the stages from the first that is due."""
    what = due(results, settings_of(results))
    for shard in Registry.read(results).shard_numbers:
        first = next((n for n, name in enumerate(SHARD_STAGES) if shard in what.shards[name]), len(SHARD_STAGES))
        for name in SHARD_STAGES[first:]:
            run_job(name, results, shard)
    if what.tables:
        run_job("aggregate", results, None)
    if what.report:
        run_job("report", results, None)


def assert_same_content(one: dict[str, pd.DataFrame], other: dict[str, pd.DataFrame]) -> None:
    """Tables say the same, row by row."""
    for name in TABLES:
        pd.testing.assert_frame_equal(one[name], other[name], check_exact=True, obj=name)
