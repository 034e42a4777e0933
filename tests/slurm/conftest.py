"""One Slurm, one study full of canaries, and one run of it without a cluster that all others have to equal."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pandas as pd
import pytest

from paraspinal.phantom.cohort import PLANS

from ..workflow.canary_study import CanaryStudy, make_sound_study
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
    """Two people in one shard; every text of their headers is a canary, and so are the names of folders and files."""
    print(f"canaries from seed {SEED}")
    return make_sound_study(tmp_path_factory.mktemp("study"), SEED, (PLANS[1], PLANS[3]))


@pytest.fixture(scope="session")
def undisturbed(made: CanaryStudy) -> dict[str, pd.DataFrame]:
    """The cohort tables of a run on this machine, without a cluster and without faults."""
    made.study.run("--set", "ingest.workers=3")
    return made.study.content()
