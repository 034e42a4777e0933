"""Jobs that were killed are named: stage, shard, what they were at, and what to do."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from paraspinal.cli.main import main
from paraspinal.cohort.running import engine
from paraspinal.cohort.running.killed_jobs import KilledJob, killed_jobs
from paraspinal.core.errors import error_line
from paraspinal.core.records.notes import Note, job_path, running_job, units_at_death

UNITS = [("sub-a_ses-1", [{"subject": "a", "session": "1"}]), ("sub-b_ses-2", [{"subject": "b", "session": "2"}])]


def die(results: Path, number: signal.Signals) -> None:
    """A job on two visits that dies of a signal at the second one."""
    with running_job(results, "segment", 2):
        note = Note(results, "segment", 2, UNITS)
        with note.at("sub-a_ses-1"):
            pass
        with note.at("sub-b_ses-2"):
            os.kill(os.getpid(), number)


def killed(results: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=die, args=(results, signal.SIGKILL))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_a_killed_job_is_known_by_its_stage_shard_and_visit(results: Path) -> None:
    began = time.time()
    killed(results)
    ((at, job),) = killed_jobs(results)
    assert at >= began - 1
    assert job == KilledJob("segment", 2, ("sub-b_ses-2",))
    assert job.message == "segment, shard 2: killed at sub-b_ses-2, probably out of memory"
    assert "segment.threads" in job.hint
    assert "more memory" in job.hint


def test_a_job_that_runs_ends_or_fails_was_not_killed(results: Path) -> None:
    killed(results)
    with running_job(results, "segment", 2):
        assert killed_jobs(results) == []
    assert killed_jobs(results) == []
    with pytest.raises(RuntimeError), running_job(results, "segment", 2):
        raise RuntimeError
    assert units_at_death(results, "segment", 2) is None
    assert units_at_death(results, "segment", 3) is None


def test_a_crash_of_compiled_code_is_called_that(results: Path) -> None:
    killed(results)
    log = results / "logs" / "segment" / "shard-00002.log"
    log.parent.mkdir(parents=True)
    log.write_text("Fatal Python error: Segmentation fault\n\nCurrent thread:\n")
    ((_, job),) = killed_jobs(results)
    assert job.message == "segment, shard 2: crashed at sub-b_ses-2 (Segmentation fault)"


def test_a_stage_of_the_whole_cohort_is_named_without_a_shard(results: Path) -> None:
    job_path(results, "aggregate", None).write_text("+\n")
    ((_, job),) = killed_jobs(results)
    assert job.message == "aggregate: killed, probably out of memory"


def test_a_run_ends_with_what_went_wrong_first(results: Path) -> None:
    log = results / "logs" / "convert" / "shard-00001.log"
    log.parent.mkdir(parents=True)
    log.write_text(error_line(5, "a model is missing", ""))
    killed(results)
    assert engine._failure(results, 0, 1).message == "a model is missing"
    os.utime(log, (time.time() + 60,) * 2)
    assert engine._failure(results, 0, 1).message.startswith("segment, shard 2: killed at sub-b_ses-2")
    began = time.time() + 30
    assert engine._failure(results, began, 1).message == "a model is missing"
    assert engine._failure(results, began + 60, 1).message == "the workflow ended with code 1"


def test_status_names_killed_jobs(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    killed(results)
    assert main(["status", "--out", str(results)]) == 0
    assert "segment, shard 2: killed at sub-b_ses-2, probably out of memory - fewer" in capsys.readouterr().out
