"""Measure what a job on a cluster costs, and what sharing jobs saves: the same small cohort by every road.

    PYTHONPATH=. python benchmarks/scale_slurm.py

Two people in two shards, on a Slurm of two nodes that is started for it on this machine (tests/slurm/lab.py; needs
slurmctld, slurmd, slurm-client and munge). Writes benchmarks/scale_slurm.json and prints the table of scale.md.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from measure import machine
from tests.slurm.lab import Lab
from tests.workflow.conftest import Study, make_study

from paraspinal.core.paths import PROJECT
from paraspinal.phantom.cohort import PLANS

PROFILES = PROJECT / "workflow" / "profiles"
PROMPT = {
    "slurm": ("--slurm-init-seconds-before-status-checks", "3"),
    "cluster-generic": ("--seconds-between-status-checks", "2"),
}
ROADS = {
    "no cluster, two cores": ("", True),
    "slurm, a job per stage and shard": ("slurm", False),
    "slurm, jobs shared (as shipped)": ("slurm", True),
    "cluster-generic, a job per stage and shard": ("cluster-generic", False),
    "cluster-generic, jobs shared (as shipped)": ("cluster-generic", True),
}
"""Name to profile, and whether its groups are kept."""


def main() -> None:
    """Run the cohort by every road, and report."""
    with tempfile.TemporaryDirectory() as name:
        study = make_study(Path(name) / "study", (PLANS[1], PLANS[3]))
        lab = Lab(Path(name) / "lab")
        lab.start()
        try:
            roads = {road: measure(lab, study, *how) for road, how in ROADS.items()}
        finally:
            lab.stop()
    found = {"machine": machine(), "load": os.getloadavg()[1], "roads": roads}
    Path(__file__).with_name("scale_slurm.json").write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))


def measure(lab: Lab, study: Study, profile: str, is_grouped: bool) -> dict[str, Any]:
    """Run once into an empty results folder."""
    shutil.rmtree(study.results, ignore_errors=True)
    before = len(lab.jobs())
    command = [*study.command, "--set", f"private_dir={study.root / 'private'}", "--set", "shard_size=1"]
    if profile:
        folder = study.root / "profile"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(PROFILES / profile, folder)
        settings = yaml.safe_load((folder / "config.yaml").read_text())
        if not is_grouped:
            del settings["groups"]
        (folder / "config.yaml").write_text(yaml.safe_dump(settings))
        command += ["--workflow-profile", str(folder), "--", *PROMPT[profile]]
    environment = {**study.environment, "PATH": lab.environment["PATH"]}
    began = time.monotonic()
    subprocess.run(command, env=environment, check=True, stdout=sys.stderr)
    jobs = lab.jobs()[before:]
    return {
        "wall_s": time.monotonic() - began,
        "jobs": len(jobs),
        "allocated_s": sum(seconds(job["RunTime"]) for job in jobs),
        "stages_s": sum(stage_seconds(path) for path in (study.results / "benchmarks").rglob("*.tsv")),
        "gpu_jobs": sum(job["Partition"] == "gpu" for job in jobs),
    }


def seconds(clock: str) -> int:
    """Seconds of HH:MM:SS."""
    hours, minutes, rest = clock.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + int(rest)


def stage_seconds(path: Path) -> float:
    """Seconds a stage ran, as the engine noted them."""
    with path.open() as handle:
        (row,) = csv.DictReader(handle, delimiter="\t")
    return float(row["s"])


def table(found: dict[str, Any]) -> str:
    """Lay the roads out side by side."""
    lines = ["| road | jobs | of them GPU | wall, s | allocated, s | stages, s | beside the stages, s a job |"]
    lines.append("|---" * 7 + "|")
    for road, cost in found["roads"].items():
        beside = f"{(cost['allocated_s'] - cost['stages_s']) / cost['jobs']:.1f}" if cost["jobs"] else ""
        numbers = (cost[key] for key in ("jobs", "gpu_jobs", "wall_s", "allocated_s", "stages_s"))
        lines.append(f"| {road} | {' | '.join(f'{n:.0f}' for n in numbers)} | {beside} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
