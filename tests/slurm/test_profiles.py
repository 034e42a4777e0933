"""Both cluster profiles, as shipped, on a real Slurm: where jobs land, what they ask for, what comes out."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import pytest

from ..workflow.canary_study import CanaryStudy
from ..workflow.conftest import assert_same_content
from .cluster_run import PATIENCE, ClusterRun, preempt
from .lab import Lab, wait_until

ASKED = {
    "ingest": ("cpu", "3", "4000M", "04:00:00", "None"),
    "before": ("cpu", "1", "2000M", "02:00:00", "None"),
    "segment": ("gpu", "2", "6000M", "04:00:00", "gres:gpu:1"),
    "after": ("cpu", "1", "4000M", "03:00:00", "None"),
    "cohort": ("cpu", "1", "8000M", "02:00:00", "None"),
}
"""Job to partition, CPUs, memory, time and GPUs of its first attempt; a group asks for the largest memory of its stages
and for all their time."""
PREEMPTIBLE = ("--set-resources", "segment:slurm_partition=spare", "segment:gpu=1")


def asked(job: dict[str, str]) -> tuple[str, ...]:
    """What Slurm says a job asked for."""
    return tuple(job.get(key, "None") for key in ("Partition", "NumCPUs", "MinMemoryNode", "TimeLimit", "TresPerJob"))


@dataclass
class Runs:
    """A run with each profile; the second had one job cancelled and one preempted."""

    slurm: ClusterRun
    generic: ClusterRun
    second: subprocess.CompletedProcess[str]
    """Somebody else's attempt to run on the results of the first."""
    done_when_preempted: set[str]


@pytest.fixture(scope="module")
def runs(lab: Lab, made: CanaryStudy, request: pytest.FixtureRequest) -> Iterator[Runs]:
    """Both at once, and the run without a cluster beside them."""
    root, folder = made.study.root, made.study.input_name
    slurm = ClusterRun(root, folder, lab=lab, profile="slurm", name="by-slurm")
    generic = ClusterRun(root, folder, lab=lab, profile="cluster-generic", name="by-generic", more=PREEMPTIBLE)
    try:
        generic.start()
        slurm.start()
        generic.freeze("convert")
        lab.tell("scancel", generic.running("before")["JobId"])
        wait_until("the first job", lambda: slurm.jobs(), PATIENCE)
        second = slurm.run(check=False)
        wait_until("one scan is segmented", lambda: generic.receipts.of("segment"), PATIENCE)
        generic.freeze("segment")
        done = generic.receipts.of("segment")
        preempt(generic, generic.running("segment"))
        request.getfixturevalue("undisturbed")
        slurm.finish()
        generic.finish()
        yield Runs(slurm, generic, second, done)
    finally:
        slurm.abandon()
        generic.abandon()


def test_jobs_land_where_the_profile_says_and_ask_for_what_the_rules_need(runs: Runs) -> None:
    for name, expected in ASKED.items():
        (job,) = runs.slurm.jobs(f"_{name}")
        assert asked(job) == expected, name
        assert job["JobState"] == "COMPLETED"
        assert job["Requeue"] == "1"
    assert len(runs.slurm.jobs()) == len(ASKED)


def test_the_slurm_profile_gives_the_tables_of_a_run_without_a_cluster(
    runs: Runs, undisturbed: dict[str, pd.DataFrame]
) -> None:
    assert_same_content(undisturbed, runs.slurm.content())
    assert runs.slurm.receipts.rewritten == set()


def test_the_user_sees_progress_and_where_the_results_are(runs: Runs) -> None:
    for line in ("segment    2/2 sessions", "quality    2/2 sessions"):
        assert line in runs.slurm.said
    assert f"report:          {runs.slurm.results / 'report' / 'index.html'}" in runs.slurm.said
    assert "cancelled" not in runs.slurm.said


def test_a_second_run_is_refused_while_jobs_are_on_the_cluster(runs: Runs) -> None:
    assert runs.second.returncode == 7
    assert "in use by process" in runs.second.stderr


def test_a_cancelled_job_is_tried_again_with_more(runs: Runs) -> None:
    first, second = runs.generic.jobs("_before")
    assert (first["JobState"], second["JobState"]) == ("CANCELLED", "COMPLETED")
    assert asked(first) == ASKED["before"]
    assert asked(second) == ("cpu", "1", "4000M", "04:00:00", "None")


def test_a_preempted_job_goes_on_where_it_was(runs: Runs) -> None:
    (job,) = runs.generic.jobs("_segment")
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1")
    assert asked(job) == ("spare", "2", "6000M", "04:00:00", "gres:gpu:1")
    (counts,) = runs.generic.computed("segment").values()
    assert counts == (4 - len(runs.done_when_preempted), len(runs.done_when_preempted))
    assert 0 < len(runs.done_when_preempted) < 4


def test_the_generic_profile_gives_the_tables_of_a_run_without_a_cluster(
    runs: Runs, undisturbed: dict[str, pd.DataFrame]
) -> None:
    assert_same_content(undisturbed, runs.generic.content())
    assert runs.generic.receipts.rewritten == set()
    assert [job["JobState"] for job in runs.generic.jobs()].count("COMPLETED") == len(ASKED)


def test_nobody_is_named_to_the_scheduler_or_in_a_log(runs: Runs, lab: Lab, made: CanaryStudy) -> None:
    search = made.search()
    words = "\n".join([lab.ask("scontrol", "show", "job"), *lab.submissions(), runs.slurm.said, runs.generic.said])
    assert "rule_segment_wildcards_00001" in words
    assert list(search.hits("what Slurm was told", words.encode())) == []
    # The folder of the lab has the job scripts and environments the controller keeps, and all its logs.
    for folder in (lab.root, runs.slurm.results, runs.generic.results):
        assert search.folder(folder) == [], folder.name


def test_the_search_would_find_the_input(runs: Runs, made: CanaryStudy) -> None:
    hits = made.search().folder(made.study.root / "private" / "runs")
    assert {"the input folder"} <= {hit.what for hit in hits}
