"""One BLAS thread per process: in the command and in the jobs of the engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from paraspinal.core.paths import PROJECT

NAMES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
COMMAND = """
import os, sys
from contextlib import suppress
from paraspinal.__main__ import main
sys.argv = ["paraspinal", "--version"]
with suppress(SystemExit):
    main()
assert "numpy" in sys.modules
import scipy.linalg
print(len(os.listdir("/proc/self/task")))
"""
JOB = """
configfile: {config!r}
include: {common!r}

rule threads:
    output: "threads.txt"
    threads: 2
    shell: "printenv OPENBLAS_NUM_THREADS OMP_NUM_THREADS > {{output}}"
"""

needs_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
needs_cores = pytest.mark.skipif(os.cpu_count() == 1, reason="on one core every pool has one thread")


def environment(**more: str) -> dict[str, str]:
    """That of a user who set nothing."""
    return {name: value for name, value in os.environ.items() if name not in NAMES} | more


def threads_of_command(**more: str) -> int:
    """Threads of a process that has imported the command, numpy and scipy."""
    command = [sys.executable, "-c", COMMAND]
    done = subprocess.run(command, env=environment(**more), capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


@needs_proc
@needs_cores
def test_the_command_has_one_blas_thread_unless_the_user_wants_more() -> None:
    one = threads_of_command(OPENBLAS_NUM_THREADS="1")
    assert threads_of_command() == one
    # numpy and scipy bring a library each.
    assert threads_of_command(OPENBLAS_NUM_THREADS="2") == one + 2


@pytest.mark.parametrize(("chosen", "expected"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")])
def test_a_job_of_two_threads_has_one_for_blas(tmp_path: Path, chosen: dict[str, str], expected: str) -> None:
    """The engine sets the variables of all such libraries to the threads of the job."""
    snakefile = tmp_path / "Snakefile"
    common = PROJECT / "workflow" / "rules" / "common.smk"
    snakefile.write_text(JOB.format(config=str(PROJECT / "config" / "config.yaml"), common=str(common)))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--cores", "2", "threads"]
    subprocess.run(command, cwd=tmp_path, env=environment(**chosen), capture_output=True, check=True)
    assert (tmp_path / "threads.txt").read_text().split() == [expected, "2"]
