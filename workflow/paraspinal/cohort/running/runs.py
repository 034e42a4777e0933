"""One run at a time on a results folder, and the record of what it was told."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import yaml

from paraspinal.core.errors import ConfigError, ResultsError
from paraspinal.core.files import write_text_if_changed
from paraspinal.core.records import software
from paraspinal.core.settings import PRIVATE, Settings, load_settings, merge, read_config
from paraspinal.core.version import version

RUN_CONFIG = "run_config.yaml"
LOCK_FILE = ".run.lock"
LOCK_VARIABLE = "PARASPINAL_RUN_LOCK"
"""Environment variable by which `paraspinal run` tells the engine the descriptor of the lock it hands down."""
LOOKS, LOOK_SECONDS = 3, 0.1
_held: list[IO[str]] = []


def private_run_file(private: Path, results: Path, extension: str) -> Path:
    """A file in the private folder for what a run on ``results`` must remember and nobody else may read."""
    private.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = private / "runs"
    folder.mkdir(exist_ok=True, mode=0o700)
    name = hashlib.sha256(str(results.resolve()).encode()).hexdigest()[:16]
    return folder / f"{name}{extension}"


def begin_run(settings: Settings) -> None:
    """Take the results folder for this process, unless it was handed down, and record the configuration.

    The public part goes to ``run_config.yaml``; paths that may name people stay in the private folder. Raises
    ResultsError if another run holds the folder.
    """
    results = settings.out_path
    results.mkdir(parents=True, exist_ok=True)
    if not _is_handed_down(results):
        _held.append(_lock(results))
    told = yaml.safe_dump(settings.public(), sort_keys=False)
    write_text_if_changed(results / RUN_CONFIG, f"# paraspinal {version()}\n{told}")
    record = private_run_file(settings.private_path, results, ".json")
    write_text_if_changed(record, json.dumps(settings.private_paths()))
    record.chmod(0o600)
    software.record(results, "engine", None, software.loaded(version()))


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
    nothing = {"input": "", **{group: dict.fromkeys(names, "") for group, names in PRIVATE.items()}}
    return load_settings(read_config(None, merge(merge(config, nothing), {**kept, "out": str(results)})))


@contextmanager
def run_lock(results: Path) -> Iterator[int]:
    """Hold a results folder while the block runs; raises ResultsError if another run holds it.

    Yields the descriptor of the lock. A process that inherits it holds the folder too, until the last of them ends.
    """
    handle = _lock(results)
    try:
        yield handle.fileno()
    finally:
        handle.close()


def _is_handed_down(results: Path) -> bool:
    """Tell whether this process inherited the lock of the folder from the one that started it."""
    try:
        descriptor = int(os.environ[LOCK_VARIABLE])
        if not os.path.samestat(os.fstat(descriptor), (results / LOCK_FILE).stat()):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (KeyError, ValueError, OSError):
        return False
    return True


def holder(results: Path) -> str | None:
    """Say which process works on a results folder; None when nobody does."""
    try:
        with (results / LOCK_FILE).open(encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _said(results)
    except OSError:
        return None
    return None


def _said(results: Path) -> str:
    return (results / LOCK_FILE).read_text(encoding="utf-8").strip() or "another process"


def _lock(results: Path) -> IO[str]:
    handle = (results / LOCK_FILE).open("a+", encoding="utf-8")
    try:
        _take(handle)
    except BlockingIOError:
        handle.close()
        raise ResultsError(
            f"the results folder is in use by {_said(results)}", hint="wait for it, or choose another OUT"
        ) from None
    except OSError:
        handle.close()
        raise ResultsError(
            "the drive of the results folder has no file locks",
            hint="mount it with locks (Lustre: -o flock), or choose another OUT; two runs would damage each other",
        ) from None
    handle.seek(0)
    handle.truncate()
    since = time.strftime("%Y-%m-%d %H:%M:%S %z")
    handle.write(f"process {os.getpid()} on {socket.gethostname()} since {since}")
    handle.flush()
    return handle


def _take(handle: IO[str]) -> None:
    """Lock a file; somebody who only looks whether it is locked is gone in a moment."""
    for _ in range(LOOKS):
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOOK_SECONDS)
    return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
