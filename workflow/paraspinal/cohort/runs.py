"""One run at a time on a results folder, and the record of what it was told."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import yaml

from paraspinal import __version__
from paraspinal.core import software
from paraspinal.core.errors import ConfigError, ResultsError
from paraspinal.core.files import write_text_if_changed
from paraspinal.core.settings import SHEETS, Settings, load_settings, merge, read_config

RUN_CONFIG = "run_config.yaml"
_held: list[IO[str]] = []


def private_run_file(private: Path, results: Path, extension: str) -> Path:
    """A file in the private folder for what a run on ``results`` must remember and nobody else may read."""
    private.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = private / "runs"
    folder.mkdir(exist_ok=True, mode=0o700)
    name = hashlib.sha256(str(results.resolve()).encode()).hexdigest()[:16]
    return folder / f"{name}{extension}"


def begin_run(settings: Settings) -> None:
    """Take the results folder for this process and record the configuration.

    The public part goes to ``run_config.yaml``; paths that may name people stay in the private folder. Raises
    ResultsError if another run holds the folder.
    """
    results = settings.out_path
    results.mkdir(parents=True, exist_ok=True)
    _held.append(_lock(results))
    write_text_if_changed(results / RUN_CONFIG, yaml.safe_dump(settings.public(), sort_keys=False))
    record = private_run_file(settings.private_path, results, ".json")
    write_text_if_changed(record, json.dumps(settings.private_paths()))
    record.chmod(0o600)
    software.record(results, "engine", None, software.loaded(__version__))


def settings_of(results: Path) -> Settings:
    """Read the settings of the run that owns a results folder; jobs begin with this.

    Raises ConfigError if no run was begun there.
    """
    try:
        config = yaml.safe_load((results / RUN_CONFIG).read_text(encoding="utf-8"))
        record = private_run_file(Path(config["private_dir"]).expanduser(), results, ".json")
        kept = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    except (OSError, TypeError, KeyError, ValueError, yaml.YAMLError):
        raise ConfigError(
            "the results folder has no run_config.yaml of a run", hint="start with: paraspinal run"
        ) from None
    # A run begun before a key was added lacks it: the defaults stand below what was recorded.
    nothing = {"input": "", "ingest": dict.fromkeys(SHEETS, "")}
    return load_settings(read_config(None, merge(merge(config, nothing), {**kept, "out": str(results)})))


@contextmanager
def run_lock(results: Path) -> Iterator[None]:
    """Hold a results folder while the block runs; raises ResultsError if another run holds it."""
    handle = _lock(results)
    try:
        yield
    finally:
        handle.close()


def _lock(results: Path) -> IO[str]:
    path = results / ".run.lock"
    handle = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.seek(0)
        holder = handle.read().strip() or "another process"
        handle.close()
        raise ResultsError(
            f"the results folder is in use by {holder}", hint="wait for it, or choose another OUT"
        ) from None
    handle.seek(0)
    handle.truncate()
    handle.write(f"process {os.getpid()} on {socket.gethostname()}")
    handle.flush()
    return handle
