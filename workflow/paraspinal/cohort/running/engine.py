"""Start the workflow engine on a results folder and show how far it is."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import yaml
from rich.console import Console

from paraspinal.cohort.asking.watch import final, follow
from paraspinal.cohort.running.gpu import check_gpu
from paraspinal.cohort.running.orphaned_jobs import cancel_leftovers
from paraspinal.cohort.running.plan import stage_params
from paraspinal.cohort.running.runs import LOCK_VARIABLE, private_run_file, run_lock
from paraspinal.core.errors import InputError, ParaspinalError, WorkflowError, find_error, machine_trouble
from paraspinal.core.files import sweep_temporaries, write_text
from paraspinal.core.identity import Identity
from paraspinal.core.levels_sheet import load_levels_sheet
from paraspinal.core.paths import SNAKEFILE
from paraspinal.core.settings import Settings
from paraspinal.stages.ingest.identity.participants import load_participants
from paraspinal.stages.ingest.reading.walk import input_root
from paraspinal.stages.ingest.sheets import load_sheets

CORES = 2
"""Cores a run on this machine takes unless it is told."""
LITTLE_BYTES = 2**20
"""A drive with less room than this is full: no log or table fits on it."""


def run_workflow(
    settings: Settings, cores: int | None, profile: Path | None, more: Sequence[str], console: Console
) -> None:
    """Run the workflow to its end; how many cores it takes is the profile's to say where ``cores`` is not given.

    Everything that can be refused is refused before the first file is written: a missing or empty input, a wrong
    sheet, a missing or altered model, a GPU that is not there, an unsafe key, a results folder in use. Raises the
    error of the first job that failed, or WorkflowError.
    """
    _check_input(settings)
    load_sheets(settings)
    load_levels_sheet(settings.levels.levels_sheet)
    load_participants(settings.ingest.participants_sheet)
    stage_params("segment", settings)
    check_gpu(settings, profile, more)
    Identity.load(settings.private_path)
    results = settings.out_path
    results.mkdir(parents=True, exist_ok=True)
    with run_lock(results) as lock:
        sweep_temporaries(results)
        _unlock(results)
        if left := cancel_leftovers(results):
            console.print(f"cancelled {left} jobs that a killed run had left on the cluster", highlight=False)
        # The path of the input may name people: it goes through a private file, not over a command line that is logged.
        config = private_run_file(settings.private_path, results, ".yaml")
        write_text(config, yaml.safe_dump(asdict(settings)))
        config.chmod(0o600)
        options = [
            *("--snakefile", str(SNAKEFILE), "--configfile", str(config)),
            *("--directory", str(results), "--scheduler", "greedy", "--rerun-incomplete", "--keep-going"),
            *(("--workflow-profile", str(profile.absolute())) if profile else ()),
            *(() if profile and cores is None else ("--cores", str(cores or CORES))),
            *more,
        ]
        _run_engine(results, options, lock, console)
    if console.is_terminal:
        console.print(final(results))


def _run_engine(results: Path, options: Sequence[str], lock: int, console: Console) -> None:
    """Run the engine on the input and then on everything, under the lock whose descriptor it inherits."""
    began = time.time()
    log = results / "logs" / "engine.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as handle:
        # The look at the input is a run of its own: forced within the whole, the engine re-runs the report as well.
        shown: dict[str, int] = {}
        for target in (("ingest", "--forcerun", "ingest"), ("all",)):
            command = [sys.executable, "-m", "snakemake", *target, *options]
            engine = subprocess.Popen(
                command, stdout=handle, stderr=subprocess.STDOUT, env=_environment(results, lock), pass_fds=[lock]
            )
            try:
                follow(results, console, partial(_is_running, engine), shown)
            except KeyboardInterrupt:
                engine.wait()
                raise
            if engine.returncode:
                raise _failure(results, began, engine.returncode)


def _is_running(engine: subprocess.Popen[bytes]) -> bool:
    return engine.poll() is None


def _environment(results: Path, lock: int) -> dict[str, str]:
    """What the engine and all jobs of a cluster inherit; not the folder we were called from, which may name people."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    inherited = {name: value for name, value in os.environ.items() if name != "OLDPWD"}
    return {**inherited, "PATH": path, "PWD": str(results), LOCK_VARIABLE: str(lock)}


def _check_input(settings: Settings) -> None:
    if not any(files for _, _, files in os.walk(input_root(settings.input))):
        raise InputError("the input folder holds no files", hint="check the path")


def _unlock(results: Path) -> None:
    """Remove the engine's own lock that a killed run left behind; our own lock says that nobody works here."""
    for lock in (results / ".snakemake" / "locks").glob("*.lock"):
        lock.unlink(missing_ok=True)


def _failure(results: Path, began: float, returncode: int) -> ParaspinalError:
    """The error the first failed job wrote to its log, else a general one."""
    logs = sorted(
        (p for p in (results / "logs").rglob("*.log") if p.stat().st_mtime >= began), key=lambda p: p.stat().st_mtime
    )
    for path in logs:
        error = find_error(path.read_text(encoding="utf-8", errors="replace"))
        if error:
            return error
    # On a full disk even the logs may be empty.
    if shutil.disk_usage(results).free < LITTLE_BYTES and (full := machine_trouble(OSError(errno.ENOSPC, ""))):
        return full
    return WorkflowError(f"the workflow ended with code {returncode}", hint="see logs/engine.log in the results folder")
