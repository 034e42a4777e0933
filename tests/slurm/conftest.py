"""One Slurm, one study full of canaries, and one run of it without a cluster that all others have to equal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import pytest

from paraspinal.phantom.cohort import PLANS

from ..workflow.canaries import Canaries
from ..workflow.canary_study import CanaryStudy
from ..workflow.conftest import make_study
from .lab import Lab, missing

SEED = int.from_bytes(os.urandom(4), "big")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running cluster; `make test-slurm` insists on it."""
    if absent := missing():
        reason = f"Slurm is not installed (missing: {', '.join(absent)}); see the Makefile for the packages"
        if os.environ.get("SLURM_REQUIRED"):
            pytest.fail(reason)
        pytest.skip(reason)
    lab = Lab(tmp_path_factory.mktemp("slurm"))
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()


@pytest.fixture(scope="session")
def made(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> CanaryStudy:
    """Two people in one shard; their names, days and institutions and the names of all folders are canaries."""
    print(f"canaries from seed {SEED}")
    canaries = Canaries(SEED)
    root = tmp_path_factory.mktemp("study")
    plans = []
    for plan in (PLANS[1], PLANS[3]):
        birth, visit = sorted((canaries.date(), canaries.date()))
        plans.append(
            replace(
                plan,
                name=canaries.value("PN", "name"),
                institution=canaries.word("institution"),
                birth_date=birth,
                study_date=visit,
                folder=canaries.word("folder of a visit"),
            )
        )
    study = make_study(root, tuple(plans), canaries.word("the input folder"))
    return CanaryStudy(study, canaries, [plan.patient_id for plan in plans], [plan.name for plan in plans])


@pytest.fixture(scope="session")
def undisturbed(made: CanaryStudy) -> dict[str, pd.DataFrame]:
    """The cohort tables of a run on this machine, without a cluster and without faults."""
    made.study.run("--set", "ingest.workers=3")
    return made.study.content()
