"""A run of the workflow on the lab's Slurm: started like a user starts it, watched, and hit where it hurts."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from paraspinal.core.paths import PROJECT

from ..workflow.conftest import Study
from .lab import Lab, wait_until

PROFILES = PROJECT / "workflow" / "profiles"
PATIENCE = 600.0
"""Seconds until what must happen next is given up on; generous, for machines with other work."""
PROMPT = {
    "slurm": ("--slurm-init-seconds-before-status-checks", "3"),
    "cluster-generic": ("--seconds-between-status-checks", "2"),
}
"""Engine options that make it look at the queue more often than the profile does."""


class Receipts(threading.Thread):
    """Watches the receipts of a results folder: each is written once, or work was done twice."""

    def __init__(self, results: Path) -> None:
        super().__init__(daemon=True)
        self.folder = results / "receipts"
        self.first: dict[Path, int] = {}
        self.rewritten: set[Path] = set()
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.05):
            self.look()

    def look(self) -> None:
        """Note receipts that are new, and those that changed."""
        for path in self.folder.glob("*/sub-*.json.gz"):
            with suppress(FileNotFoundError):
                written = path.stat().st_mtime_ns
                if self.first.setdefault(path, written) != written:
                    self.rewritten.add(path)

    def of(self, stage: str) -> set[str]:
        """Units of a stage that are done by now."""
        self.look()
        return {path.name for path in self.first if path.parent.name == stage}

    def stop(self) -> None:
        """Have a last look."""
        self._over.set()
        self.join()
        self.look()


@dataclass
class ClusterRun(Study):
    """One results folder of a study, filled through a profile."""

    lab: Lab = field(kw_only=True)
    profile: str = field(kw_only=True)
    name: str = field(kw_only=True)
    more: tuple[str, ...] = field(kw_only=True, default=())
    said: str = ""
    """All that `paraspinal run` printed."""

    def __post_init__(self) -> None:
        self.results.mkdir()
        self.receipts = Receipts(self.results)
        self.receipts.start()
        self._process: subprocess.Popen[str] | None = None

    @property
    def results(self) -> Path:
        return self.root / self.name

    @property
    def options(self) -> list[str]:
        return [*super().options, "--set", "ingest.workers=3"]

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.lab.environment, "PYTHONPATH": super().environment["PYTHONPATH"]}

    def start(self) -> None:
        """Start it as the manual says, from within the folder of the images: whatever that is called."""
        engine = [*PROMPT[self.profile], *self.more]
        command = [*self.command, *self.options, "--workflow-profile", str(PROFILES / self.profile), "--", *engine]
        self._process = subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.dicom,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self) -> None:
        """Wait for its end, which has to be a good one."""
        assert self._process
        said, _ = self._process.communicate(timeout=2 * PATIENCE)
        self.said += said
        self.receipts.stop()
        assert self._process.returncode == 0, self.said + self.engine_log()

    def kill(self) -> None:
        """Kill `paraspinal run` and the engine it started with SIGKILL; the cluster's jobs live on."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGKILL)
        self.said += self._process.communicate()[0]

    def abandon(self) -> None:
        """Leave nothing running, however the test went."""
        if self._process and self._process.poll() is None:
            self.kill()
        self.receipts.stop()

    def stage_process(self, stage: str) -> int | None:
        """Number of the process in which a job of this run works on a stage."""
        for process in _processes():
            with suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                if words[2:5] == [b"paraspinal", b"stage", stage.encode()] and self._is_here(process):
                    return int(process.name)
        return None

    def _is_here(self, process: Path) -> bool:
        return (process / "cwd").readlink() == self.results.resolve()

    def freeze(self, stage: str) -> int:
        """Stop the process of a stage as soon as it is there; returns its number."""
        found: list[int] = []

        def stopped() -> bool:
            assert self._process
            assert self._process.poll() is None, self.engine_log()
            found[:] = [pid for pid in [self.stage_process(stage)] if pid]
            return bool(found)

        wait_until(f"{stage} at work", stopped, PATIENCE, step=0.02)
        os.kill(found[0], signal.SIGSTOP)
        return found[0]

    def jobs(self, comment: str = "") -> list[dict[str, str]]:
        """What Slurm records of the jobs of this run, or of those whose comment holds a word."""
        return [j for j in self.lab.jobs() if j["WorkDir"] == str(self.results) and comment in j.get("Comment", "")]

    def running(self, comment: str) -> dict[str, str]:
        """The one job with this word in its comment that is running."""
        (job,) = [job for job in self.jobs(comment) if job["JobState"] == "RUNNING"]
        return job

    def job(self, number: str) -> dict[str, str]:
        """What Slurm records of a job by now."""
        (job,) = [job for job in self.lab.jobs() if job["JobId"] == number]
        return job


def _processes() -> Iterator[Path]:
    yield from (path for path in Path("/proc").iterdir() if path.name.isdigit())


def processes_of_node(node: str) -> tuple[set[int], set[int]]:
    """Numbers of the processes a node runs for jobs, and of the daemons that look after them."""
    tasks, keepers = set(), set()
    for process in _processes():
        with suppress(OSError):
            if f"SLURMD_NODENAME={node}".encode() in (process / "environ").read_bytes().split(b"\0"):
                tasks.add(int(process.name))
                parent = Path("/proc") / (process / "stat").read_text().rpartition(")")[2].split()[1]
                if (parent / "comm").read_text().startswith("slurmstepd"):
                    keepers.add(int(parent.name))
    return tasks, keepers


def lose_node(lab: Lab, node: str) -> None:
    """Let a node die: its daemons and everything it ran, at once; then Slurm is told that it is down."""
    tasks, keepers = processes_of_node(node)
    lab.kill(node)
    for number in (*keepers, *tasks):
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    lab.tell("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=dead")


def preempt(run: ClusterRun, job: dict[str, str]) -> None:
    """Let somebody more important take the GPU a job has; returns when Slurm has put the job back into the queue."""
    run.lab.tell(
        *("sbatch", "--partition=urgent", f"--nodelist={job['NodeList']}", "--gpus=1", "--mem=100"),
        *("--output=/dev/null", "--wrap=sleep 1"),
    )
    wait_until("the job is put back", lambda: run.job(job["JobId"])["Restarts"] == "1", PATIENCE)
