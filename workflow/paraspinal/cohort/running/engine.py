"""Start the workflow engine on a results folder and show how far it is."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import yaml
from rich.console import Console

from paraspinal.cohort.asking.watch import final, follow
from paraspinal.cohort.running.earlier_logs import LOGS, keep_logs
from paraspinal.cohort.running.gpu import check_gpu
from paraspinal.cohort.running.killed_jobs import killed_jobs
from paraspinal.cohort.running.orphaned_jobs import cancel_leftovers
from paraspinal.cohort.running.plan import stage_params
from paraspinal.cohort.running.runs import LOCK_VARIABLE, check_key, check_writable, private_run_file, run_lock
from paraspinal.cohort.running.staleness import due, forget_earlier_version, set_times_right
from paraspinal.core.errors import ConfigError, InputError, ParaspinalError, WorkflowError, find_error, machine_trouble
from paraspinal.core.files import sweep_temporaries, write_text
from paraspinal.core.identity import Identity
from paraspinal.core.interpreter import caches, for_children
from paraspinal.core.levels_sheet import load_levels_sheet
from paraspinal.core.paths import PROJECT, SNAKEFILE
from paraspinal.core.settings import Settings
from paraspinal.stages.ingest.identity.participants import load_participants
from paraspinal.stages.ingest.reading.walk import input_root
from paraspinal.stages.ingest.sheets import load_sheets

CORES = 2
"""Cores a run on this machine takes unless it is told."""
_BRACES = re.compile(r"[{}]")
LITTLE_BYTES = 2**20
"""A drive with less room than this is full: no log or table fits on it."""


def run_workflow(
    settings: Settings,
    cores: int | None,
    profile: Path | None,
    more: Sequence[str],
    console: Console,
    *,
    must_hash: bool = False,
) -> None:
    """Run the workflow to its end; how many cores it takes is the profile's to say where ``cores`` is not given.

    What is done, and what not, the receipts decide; with ``must_hash`` every artifact is read for it.

    Everything that can be refused is refused before the first file is written: a missing or empty input, a wrong
    sheet, a missing or altered model, a GPU that is not there, an unsafe or another key, a results folder in use or of
    another user, names the engine cannot pass on. Raises the error of the first job that failed or was killed, or
    WorkflowError.
    """
    _check_input(settings)
    load_sheets(settings)
    load_levels_sheet(settings.levels.levels_sheet)
    load_participants(settings.ingest.participants_sheet)
    stage_params("segment", settings)
    check_gpu(settings, profile, more)
    Identity.load(settings.private_path)
    results = settings.out_path
    check_writable(results)
    check_key(settings)
    with run_lock(results) as lock:
        sweep_temporaries(results)
        keep_logs(results)
        _unlock(results)
        if left := cancel_leftovers(results):
            console.print(f"cancelled {left} jobs that a killed run had left on the cluster", highlight=False)
        if forget_earlier_version(results):
            console.print("the results are of an earlier version: every visit is computed again", highlight=False)
        # The path of the input may name people: it goes through a private file, not over a command line that is logged.
        config = private_run_file(settings.private_path, results, ".yaml")
        write_text(config, yaml.safe_dump(settings.model_dump()))
        config.chmod(0o600)
        options = [
            *("--snakefile", str(_snakefile(settings.private_path)), "--configfile", str(config)),
            *("--directory", str(results), "--scheduler", "greedy", "--rerun-incomplete", "--keep-going"),
            *(("--workflow-profile", str(profile.absolute())) if profile else ()),
            *(() if profile and cores is None else ("--cores", str(cores or CORES))),
            *more,
        ]
        _run_engine(settings, options, _environment(settings, lock), lock, console, must_hash)
    if console.is_terminal:
        console.print(final(results))


def _run_engine(
    settings: Settings,
    options: Sequence[str],
    environment: Mapping[str, str],
    lock: int,
    console: Console,
    must_hash: bool,
) -> None:
    """Run the engine on the input and then on what is due, under the lock whose descriptor it inherits."""
    began = time.time()
    results = settings.out_path
    log = results / LOGS / "engine.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as handle:
        # The look at the input is a run of its own: forced within the whole, the engine re-runs the report as well.
        shown: dict[str, int] = {}
        for target in (_ingest_call, partial(_due_call, settings, console, must_hash)):
            arguments = target()
            if arguments is None:
                break
            command = [sys.executable, "-P", "-m", "snakemake", *arguments, *options]
            engine = subprocess.Popen(
                command, stdout=handle, stderr=subprocess.STDOUT, env=environment, pass_fds=[lock]
            )
            try:
                follow(results, console, partial(_is_running, engine), shown)
            except KeyboardInterrupt:
                engine.wait()
                raise
            if engine.returncode:
                raise _failure(results, began, engine.returncode)


def _ingest_call() -> list[str]:
    return ["ingest", "--forcerun", "ingest"]


def _due_call(settings: Settings, console: Console, must_hash: bool) -> list[str] | None:
    """What to tell the engine after the look at the input; None where nothing is to be done."""
    what = due(settings.out_path, settings, must_hash=must_hash)
    set_times_right(settings.out_path, what)
    if not what.outputs():
        console.print("nothing to do: everything is up to date")
        return None
    return ["all", "--rerun-triggers", "mtime", "--forcerun", *what.outputs()]


def _is_running(engine: subprocess.Popen[bytes]) -> bool:
    return engine.poll() is None


def _environment(settings: Settings, lock: int) -> dict[str, str]:
    """What the engine and all jobs of a cluster inherit; not the folder we were called from, which may name people."""
    inherited = {name: value for name, value in os.environ.items() if name != "OLDPWD"}
    ours = {"PWD": settings.out, LOCK_VARIABLE: str(lock)}
    return {**inherited, **for_children(), **caches(settings.private_path), **ours}


def _snakefile(private: Path) -> Path:
    """The workflow, by a path without braces: the engine takes what stands in them for the name of a wildcard."""
    if not _BRACES.search(str(SNAKEFILE)):
        return SNAKEFILE
    if _BRACES.search(str(private)):
        raise ConfigError(
            "the paths of this checkout and of private_dir both hold braces", hint="move one of them to a path without"
        )
    link = private / "checkouts" / hashlib.sha256(os.fsencode(PROJECT)).hexdigest()[:16]
    link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileExistsError):
        link.symlink_to(PROJECT, target_is_directory=True)
    return link / SNAKEFILE.relative_to(PROJECT)


def _check_input(settings: Settings) -> None:
    if not any(files for _, _, files in os.walk(input_root(settings.input))):
        raise InputError("the input folder holds no files", hint="check the path")


def _unlock(results: Path) -> None:
    """Remove the engine's own lock that a killed run left behind; our own lock says that nobody works here."""
    for lock in (results / ".snakemake" / "locks").glob("*.lock"):
        lock.unlink(missing_ok=True)


def _failure(results: Path, began: float, returncode: int) -> ParaspinalError:
    """What ended the first job that failed: the error it wrote to its log, or a kill; else a general error."""
    found: list[tuple[float, ParaspinalError]] = [(at, job.error) for at, job in killed_jobs(results)]
    for path in (results / LOGS).rglob("*.log"):
        at = path.stat().st_mtime
        if at >= began and (error := find_error(path.read_text(encoding="utf-8", errors="replace"))):
            found.append((at, error))
    if now := [pair for pair in found if pair[0] >= began]:
        return min(now, key=lambda pair: pair[0])[1]
    # On a full disk even the logs may be empty.
    if shutil.disk_usage(results).free < LITTLE_BYTES and (full := machine_trouble(OSError(errno.ENOSPC, ""))):
        return full
    return WorkflowError(f"the workflow ended with code {returncode}", hint="see logs/engine.log in the results folder")
