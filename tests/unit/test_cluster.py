"""What a run does about clusters, told from the outside by stand-ins for Slurm's commands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from paraspinal.cli import main
from paraspinal.cohort.running.orphaned_jobs import cancel_leftovers
from paraspinal.core.paths import PROJECT

PROFILES = PROJECT / "workflow" / "profiles"
GENERIC = PROFILES / "cluster-generic"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that goes before all others where commands are looked for."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def stand_in(tools: Path, name: str, script: str) -> None:
    """Put a command there."""
    path = tools / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_only_our_jobs_on_these_results_are_cancelled(tools: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    (tmp_path / "link").symlink_to(results)
    listed = [
        f"11|paraspinal_0b1c|{results}",
        f"12|paraspinal_after|{tmp_path}/link",
        f"13|paraspinal_after|{tmp_path}/other",
        f"14|my analysis|{results}",
        "15|paraspinal_x",
    ]
    stand_in(tools, "squeue", "cat <<'EOF'\n" + "\n".join(listed) + "\nEOF")
    stand_in(tools, "scancel", f'echo "$@" > {tmp_path}/cancelled')
    assert cancel_leftovers(results) == 2
    assert (tmp_path / "cancelled").read_text() == "11 12\n"


def test_nothing_happens_where_there_is_no_slurm_or_none_that_answers(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tools, "scancel", f"touch {tmp_path}/cancelled")
    stand_in(tools, "squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    assert cancel_leftovers(tmp_path) == 0
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert cancel_leftovers(tmp_path) == 0
    assert not (tmp_path / "cancelled").exists()


@pytest.mark.parametrize(
    ("squeue", "said"),
    [
        ("echo COMPLETED", "success"),
        ("echo RUNNING", "running"),
        ("echo PENDING", "running"),
        ("echo COMPLETING", "running"),
        ("echo REQUEUED", "running"),
        ("echo CANCELLED", "failed"),
        ("echo OUT_OF_MEMORY", "failed"),
        ("echo NODE_FAIL", "failed"),
        ("echo TIMEOUT", "failed"),
        ("echo PREEMPTED", "failed"),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", "failed"),
        ("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", "running"),
    ],
)
def test_states_of_slurm_in_the_words_of_the_engine(tools: Path, squeue: str, said: str) -> None:
    stand_in(tools, "squeue", squeue)
    stand_in(tools, "sacct", "exit 1")
    done = subprocess.run([GENERIC / "status.sh", "7"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{said}\n"


def test_a_job_that_only_the_accounts_know_is_told_by_them(tools: Path) -> None:
    stand_in(tools, "squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    stand_in(tools, "sacct", "echo ' COMPLETED'")
    done = subprocess.run([GENERIC / "status.sh", "7"], capture_output=True, text=True, check=True)
    assert done.stdout == "success\n"


def test_engine_options_may_follow_all_others() -> None:
    arguments = main._parsed(["run", "images", "--out", "results", "--", "--jobs", "5", "--", "x"])
    assert (arguments.input, arguments.out, arguments.engine) == ("images", "results", ["--jobs", "5", "--", "x"])
    assert main._parsed(["run", "images"]).engine == []
    assert main._parsed(["run", "images"]).cores is None


def test_other_commands_take_no_engine_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main._parsed(["status", "--", "--jobs", "5"])
    assert "only run and demo" in capsys.readouterr().err


SEGMENT = {
    "type": "single",
    "rule": "segment",
    "wildcards": {"shard": "00002"},
    "threads": 1,
    "resources": {"mem_mb": 6000, "runtime": 240, "gpu": 1, "slurm_partition": "gpu", "slurm_account": "back"},
}
AFTER = {
    "type": "group",
    "groupid": "after",
    "threads": 1,
    "resources": {"mem_mb": 4000, "runtime": 180, "gpu": 0, "slurm_partition": "cpu"},
}


def submit(profile: str, job: dict[str, object], folder: Path) -> str:
    """Hand a job script of the engine to a profile's own script; returns what it printed."""
    script = folder / "job.sh"
    script.write_text(f"#!/bin/sh\n# properties = {json.dumps(job)}\ntrue\n")
    command = [sys.executable, PROFILES / profile / "submit.py", script]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def test_what_slurm_is_asked_for(tools: Path, tmp_path: Path) -> None:
    stand_in(tools, "sbatch", f'echo "$@" >> {tmp_path}/asked; echo 17')
    assert [submit("cluster-generic", job, tmp_path) for job in (SEGMENT, AFTER)] == ["17", "17"]
    segment, after = (tmp_path / "asked").read_text().splitlines()
    assert segment.split() == [
        "--parsable", "--requeue", "--job-name=paraspinal_segment_00002", "--comment=single_segment_00002",
        "--output=logs/cluster/segment_00002-%j.log", "--ntasks=1", "--cpus-per-task=1", "--mem=6000", "--time=240",
        "--partition=gpu", "--gpus=1", "--account=back", f"{tmp_path}/job.sh",
    ]  # fmt: skip
    assert "--job-name=paraspinal_after" in after.split()
    assert "gpus" not in after


def test_what_kubernetes_is_asked_for(tools: Path, tmp_path: Path) -> None:
    stand_in(tools, "kubectl", f'[ "$*" = "create --filename=-" ] && cat >> {tmp_path}/asked && echo created')
    name = submit("kubernetes", SEGMENT, tmp_path)
    body = json.loads((tmp_path / "asked").read_text())
    assert body["metadata"]["name"] == name
    assert re.fullmatch(r"paraspinal-segment-00002-[0-9a-f]{8}", name)
    assert (body["spec"]["backoffLimit"], body["spec"]["activeDeadlineSeconds"]) == (0, 240 * 60)
    pod = body["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (container["command"], container["workingDir"]) == (["/bin/sh", f"{tmp_path}/job.sh"], str(tmp_path))
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "6000M", "nvidia.com/gpu": "1"}
    (tmp_path / "asked").unlink()
    submit("kubernetes", AFTER, tmp_path)
    (container,) = json.loads((tmp_path / "asked").read_text())["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "4000M"}


@pytest.mark.parametrize("profile", ["cluster-generic", "kubernetes"])
def test_a_refused_submission_is_an_error(tools: Path, tmp_path: Path, profile: str) -> None:
    for name in ("sbatch", "kubectl"):
        stand_in(tools, name, "echo no such account >&2; exit 1")
    with pytest.raises(subprocess.CalledProcessError):
        submit(profile, SEGMENT, tmp_path)


@pytest.mark.parametrize(
    ("kubectl", "said"),
    [
        ("printf 1/", "success"),
        ("printf /1", "failed"),
        ("printf /", "running"),
        ("echo 'Error from server (NotFound): jobs.batch not found' >&2; exit 1", "failed"),
        ("echo 'The connection to the server was refused' >&2; exit 1", "running"),
    ],
)
def test_states_of_kubernetes_in_the_words_of_the_engine(tools: Path, kubectl: str, said: str) -> None:
    stand_in(tools, "kubectl", kubectl)
    done = subprocess.run([PROFILES / "kubernetes" / "status.sh", "x"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{said}\n"
