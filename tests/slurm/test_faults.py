"""One run with the slurm profile into which six things go wrong, one after the other, each made for real.

1. The first job gets too little memory for what it does, and Slurm kills it.
2. The time of a job is over, and Slurm kills it.
3. Somebody more important takes the GPU of a job; Slurm puts it back into the queue.
4. The node of a job dies.
5. `paraspinal run` and the engine are killed with SIGKILL while a job runs; the same command is given again.
6. The controller is killed while the last stage of a job runs, and is away when the stage ends.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from ..workflow.canary_study import CanaryStudy
from ..workflow.conftest import assert_same_content
from .cluster_run import PATIENCE, ClusterRun, lose_node, preempt
from .lab import Lab, wait_until

PREEMPTIBLE = ("--set-resources", "segment:slurm_partition=spare", "segment:gpu=1")
TOO_LITTLE_MB = 60
"""The engine alone needs more than twice of that."""

Job = dict[str, str]


@dataclass
class Story:
    """The run, and what was seen at the moments things went wrong."""

    run: ClusterRun
    done: dict[str, set[str]] = field(default_factory=dict)
    """Fault to the units that the stage it hit had finished by then."""
    hit: dict[str, Job] = field(default_factory=dict)
    """Fault to the job it hit, as Slurm recorded it then."""


@pytest.fixture(scope="module")
def story(lab: Lab, made: CanaryStudy) -> Iterator[Story]:
    run = ClusterRun(made.study.root, made.study.input_name, lab=lab, profile="slurm", name="by-luck", more=PREEMPTIBLE)
    story = Story(run)
    try:
        for fault in (out_of_memory, out_of_time, preempted, dead_node, killed_engine, dead_controller):
            fault(story)
        run.finish()
        yield story
    finally:
        run.abandon()


def out_of_memory(story: Story) -> None:
    story.run.lab.next_submission("rule_ingest", f"--mem={TOO_LITTLE_MB}")
    story.run.start()


def out_of_time(story: Story) -> None:
    run = story.run
    run.freeze("harmonize")
    story.done["time"] = run.receipts.of("convert")
    job = story.hit["time"] = run.running("_before")
    run.lab.tell("scontrol", "update", f"JobId={job['JobId']}", "EndTime=now")
    wait_until("the job is killed", lambda: run.job(job["JobId"])["JobState"] == "TIMEOUT", PATIENCE)


def preempted(story: Story) -> None:
    run = story.run
    wait_until("one scan is segmented", lambda: run.receipts.of("segment"), PATIENCE)
    run.freeze("segment")
    story.done["preempted"] = run.receipts.of("segment")
    story.hit["preempted"] = run.running("_segment")
    preempt(run, story.hit["preempted"])


def dead_node(story: Story) -> None:
    run = story.run
    run.freeze("measure")
    story.done["node"] = run.receipts.of("levels")
    story.hit["node"] = run.running("_after")
    lose_node(run.lab, story.hit["node"]["NodeList"])


def killed_engine(story: Story) -> None:
    run = story.run
    run.freeze("quality")
    story.done["engine"] = run.receipts.of("measure")
    story.hit["engine"] = run.running("_after")
    run.kill()
    assert run.job(story.hit["engine"]["JobId"])["JobState"] == "RUNNING"
    run.start()


def dead_controller(story: Story) -> None:
    run = story.run
    process = run.freeze("report")
    story.hit["controller"] = run.running("_cohort")
    run.lab.kill("slurmctld")
    os.kill(process, signal.SIGCONT)
    wait_until("the last stage ends without a controller", lambda: not run.stage_process("report"), PATIENCE)
    assert (run.results / "report" / "index.html").exists()
    run.lab.start_controller()
    number = story.hit["controller"]["JobId"]
    wait_until("the controller hears of the end", lambda: run.job(number)["JobState"] == "COMPLETED", PATIENCE)
    # An executor (slurm plugin 2.8.0) that looked at the queue meanwhile has lost the job: the next run ends it.
    run.kill()
    run.start()


def memory_asked(story: Story, comment: str) -> list[int]:
    """Megabytes that the engine asked for, by attempt."""
    here = f"-D {story.run.results} "
    words = [line.split() for line in story.run.lab.submissions() if f"--comment {comment}" in line and here in line]
    return [int(line[line.index("--mem") + 1]) for line in words]


def test_out_of_memory_is_tried_again_with_more(story: Story) -> None:
    first, second = story.run.jobs("rule_ingest")[:2]
    assert first["MinMemoryNode"] == f"{TOO_LITTLE_MB}M"
    assert (first["JobState"], second["JobState"]) == ("FAILED", "COMPLETED")
    (log,) = (story.run.results / ".snakemake" / "slurm_logs" / "rule_ingest").glob(f"{first['JobId']}.log")
    assert "exceeded memory limit" in log.read_text()
    assert memory_asked(story, "rule_ingest")[:2] == [4000, 8000]
    assert second["MinMemoryNode"] == "8000M"


def test_out_of_time_is_tried_again_with_more(story: Story) -> None:
    first, second = story.run.jobs("_before")
    assert story.hit["time"]["TimeLimit"] == "02:00:00"
    assert (first["JobState"], second["JobState"]) == ("TIMEOUT", "COMPLETED")
    assert second["TimeLimit"] == "04:00:00"
    assert len(story.done["time"]) == 2
    assert story.run.computed("convert") == {"shard-00001": (0, 2)}


def test_a_preempted_job_is_put_back_and_goes_on_where_it_was(story: Story) -> None:
    (job,) = story.run.jobs("_segment")
    assert (job["Partition"], job["TresPerJob"]) == ("spare", "gres:gpu:1")
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1")
    done = len(story.done["preempted"])
    assert 0 < done < 4
    assert story.run.computed("segment") == {"shard-00001": (4 - done, done)}


def test_a_job_whose_node_dies_goes_on_elsewhere(story: Story) -> None:
    lost = story.hit["node"]
    job = story.run.job(lost["JobId"])
    assert job["Restarts"] == "1"
    assert job["NodeList"] != lost["NodeList"]
    assert len(story.done["node"]) == 2
    assert story.run.computed("levels") == {"shard-00001": (0, 2)}


def test_after_a_killed_engine_the_next_run_finishes(story: Story) -> None:
    left = story.run.job(story.hit["engine"]["JobId"])
    assert left["JobState"] == "CANCELLED"
    assert "cancelled 1 jobs that a killed run had left" in story.run.said
    (last,) = story.run.jobs("rule_after_quality")
    assert last["JobState"] == "COMPLETED"
    assert len(story.done["engine"]) == 4
    assert story.run.computed("quality") == {"shard-00001": (2, 0)}


def test_a_job_outlives_the_controller_and_the_next_run_finishes(story: Story) -> None:
    job = story.run.job(story.hit["controller"]["JobId"])
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "0")


def test_nothing_was_computed_twice(story: Story) -> None:
    assert story.run.receipts.rewritten == set()
    stages = {path.parent.name for path in story.run.receipts.first}
    assert stages == {"convert", "harmonize", "segment", "levels", "measure", "quality"}


def test_tables_equal_those_of_a_run_without_faults(story: Story, undisturbed: dict[str, pd.DataFrame]) -> None:
    assert_same_content(undisturbed, story.run.content())
    assert list(story.run.results.rglob(".partial-*")) == []


def test_failures_name_nobody(story: Story, made: CanaryStudy) -> None:
    """Logs of jobs that failed are kept; those of the controller and the nodes tell of every fault."""
    search = made.search()
    assert list((story.run.results / ".snakemake" / "slurm_logs").rglob("*.log"))
    words = "\n".join([story.run.lab.ask("scontrol", "show", "job"), story.run.said])
    assert list(search.hits("what Slurm says", words.encode())) == []
    for folder in (Path(story.run.lab.root), story.run.results):
        assert search.folder(folder) == [], folder.name
