"""Every profile plans the same jobs from the same Snakefile, and the one for Kubernetes runs them.

There is no Kubernetes here: a stand-in for kubectl starts the command of a Job's container as a process.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from paraspinal.cohort.running.plan import SHARD_STAGES
from paraspinal.core.paths import PROJECT

from .conftest import Study, assert_same_content

pytestmark = pytest.mark.workflow

PROFILES = PROJECT / "workflow" / "profiles"
CLUSTERS = ("slurm", "cluster-generic", "kubernetes")
KUBECTL = """\
#!{python}
import json, pathlib, subprocess, sys

jobs = pathlib.Path({jobs!r})
match sys.argv[1:]:
    case ["create", "--filename=-"]:
        body = json.load(sys.stdin)
        name, (container,) = body["metadata"]["name"], body["spec"]["template"]["spec"]["containers"]
        (jobs / (name + ".json")).write_text(json.dumps(body))
        with (jobs / (name + ".log")).open("w") as log, (jobs / name).open("w") as state:
            subprocess.Popen(
                ["/bin/sh", "-c", 'if "$@" >&2; then echo 1/; else echo /1; fi', "sh", *container["command"]],
                cwd=container["workingDir"], stdout=state, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )
    case ["get", "job", name, "--output=jsonpath={{.status.succeeded}}/{{.status.failed}}"]:
        print((jobs / name).read_text().strip() or "/")
    case _:
        sys.exit("not a call of kubectl that is known here")
"""


def planned(study: Study, *options: str) -> dict[str, int]:
    """Rules and their numbers of jobs, as the engine plans them for results without tables."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(study.project / "Snakefile"), "--dry-run"]
    config = [f"input={study.dicom}", f"out={study.results}", f"private_dir={study.root / 'private'}", "shard_size=2"]
    done = subprocess.run(
        [*command, *options, "--config", *config],
        env=study.environment, cwd=study.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    counts = re.search(r"^job +count\n-+ +-+\n((?:\w+ +\d+\n)+)", done.stdout + done.stderr, re.MULTILINE)
    assert counts, done.stdout + done.stderr
    return {name: int(number) for name, number in (line.split() for line in counts[1].splitlines())}


@pytest.mark.parametrize("profile", CLUSTERS)
def test_the_same_snakefile_plans_the_same_jobs(study: Study, profile: str) -> None:
    for made in (*(f"shards/{stage}" for stage in SHARD_STAGES), "tables", "report"):
        shutil.rmtree(study.results / made)
    here = planned(study, "--cores", "2")
    assert here == {
        **dict.fromkeys(SHARD_STAGES, 2),
        **{"aggregate": 1, "report": 1, "all": 1, "total": 15},
    }
    assert planned(study, "--workflow-profile", str(PROFILES / profile)) == here


def test_profiles_say_the_same_where_they_may() -> None:
    """Groups, GPU and attempts of one profile are those of all."""
    found = [yaml.safe_load((PROFILES / name / "config.yaml").read_text()) for name in CLUSTERS]
    for key in ("groups", "retries", "keep-going", "rerun-incomplete", "scheduler", "latency-wait", "jobs"):
        assert [profile[key] for profile in found] == [found[0][key]] * len(found), key
    assert [profile["set-resources"]["segment"]["gpu"] for profile in found] == [1] * len(found)


def test_kubernetes_runs_the_whole_road(finished: Study, tmp_path: Path) -> None:
    study = finished.clone(tmp_path)
    shutil.rmtree(study.results)
    jobs, tools = tmp_path / "jobs", tmp_path / "bin"
    jobs.mkdir()
    tools.mkdir()
    (tools / "kubectl").write_text(KUBECTL.format(python=sys.executable, jobs=str(jobs)))
    (tools / "kubectl").chmod(0o755)
    command = [*study.command, *study.options, "--workflow-profile", str(PROFILES / "kubernetes")]
    done = subprocess.run(
        [*command, "--", "--seconds-between-status-checks", "1"],
        env={**study.environment, "PATH": f"{tools}:{os.environ['PATH']}"},
        cwd=study.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + study.engine_log()
    assert_same_content(finished.content(), study.content())
    bodies = [json.loads(path.read_text()) for path in jobs.glob("*.json")]
    pods = {}
    for body in bodies:
        (pods[body["metadata"]["name"].rpartition("-")[0]],) = body["spec"]["template"]["spec"]["containers"]
    segment = ["paraspinal-segment-00001", "paraspinal-segment-00002"]
    assert sorted(pods) == ["paraspinal-after", "paraspinal-before", "paraspinal-cohort", "paraspinal-ingest", *segment]
    assert len(bodies) == 8
    gpu = {"cpu": "2", "memory": "6000M", "nvidia.com/gpu": "1"}  # two scans side by side
    assert [pods[name]["resources"]["limits"] for name in segment] == [gpu, gpu]
    assert pods["paraspinal-after"]["resources"]["limits"] == {"cpu": "1", "memory": "4000M"}
    assert {body["spec"]["backoffLimit"] for body in bodies} == {0}
