"""One run at a time on a results folder, and the record of what it was told."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import yaml

from paraspinal.cohort.running.earlier_logs import keep_logs
from paraspinal.core.errors import ConfigError, IdentityError, ResultsError
from paraspinal.core.files import sha256_file, write_text_if_changed
from paraspinal.core.identity import Identity
from paraspinal.core.settings import PRIVATE, Settings, load_settings, merge, read_config
from paraspinal.core.version import version

RUN_CONFIG = "run_config.yaml"
LOCK_FILE = ".run.lock"
LOCK_VARIABLE = "PARASPINAL_RUN_LOCK"
"""Environment variable by which `paraspinal run` tells the engine the descriptor of the lock it hands down."""
RUNS = "runs"
"""Folder with the configuration of every run, each under the time it began."""
KEY_ID = "registry/key_id"
"""Which identity key the people of a results folder are named by."""
SINCE = "%Y-%m-%d %H:%M:%S %z"
LOOKS, LOOK_SECONDS = 3, 0.1
_held: list[IO[str]] = []


def private_run_file(private: Path, results: Path, extension: str) -> Path:
    """A file in the private folder for what a run on ``results`` must remember and nobody else may read."""
    private.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = _private_run_path(private, results, extension)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    return path


def _private_run_path(private: Path, results: Path, extension: str) -> Path:
    name = hashlib.sha256(os.fsencode(results.resolve())).hexdigest()[:16]
    return private / "runs" / f"{name}{extension}"


def begin_run(settings: Settings) -> None:
    """Take the results folder for this process, unless it was handed down, and record the configuration.

    The public part goes to ``run_config.yaml``, and with the digests of the sheets to ``runs/<when it began>.yaml``;
    paths that may name people stay in the private folder. Raises ResultsError if another run holds the folder or it
    cannot be written, IdentityError if its people are named by another key.
    """
    results = settings.out_path
    check_writable(results)
    check_key(settings)
    if not _is_handed_down(results):
        _held.append(_lock(results))
        keep_logs(results)
    public = settings.public()
    write_text_if_changed(results / RUN_CONFIG, f"# paraspinal {version()}\n{yaml.safe_dump(public, sort_keys=False)}")
    told = {"version": version(), "sheets_sha256": _sheet_digests(settings), "configuration": public}
    write_text_if_changed(results / RUNS / f"{_began(results)}.yaml", yaml.safe_dump(told, sort_keys=False))
    record = private_run_file(settings.private_path, results, ".json")
    write_text_if_changed(record, json.dumps(settings.private_paths()))
    record.chmod(0o600)


def _sheet_digests(settings: Settings) -> dict[str, str]:
    """Digests of the sheets that a run was given, by their names in the configuration."""
    named = settings.private_paths()
    sheets = {name: Path(path) for group in PRIVATE for name, path in named[group].items() if path}
    return {name: sha256_file(path) for name, path in sheets.items() if path.is_file()}


def _began(results: Path) -> str:
    """When the run that holds a results folder took it, in UTC."""
    since = (results / LOCK_FILE).read_text(encoding="utf-8").rpartition(" since ")[2]
    return datetime.strptime(since, SINCE).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def check_writable(results: Path) -> None:
    """Make the results folder; raises ResultsError if this user may not write to it, or to what is in it.

    A read-only drive is not this user's trouble: what it answers is passed on as OSError.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        if os.statvfs(results).f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        places = [results, *(path for path in results.iterdir() if path.is_dir() and not path.is_symlink())]
        lock = results / LOCK_FILE
        is_ours = all(os.access(path, os.R_OK | os.W_OK | os.X_OK) for path in places)
        if is_ours and (not lock.exists() or os.access(lock, os.R_OK | os.W_OK)):
            return
    except PermissionError:
        pass
    except NotADirectoryError:
        raise ResultsError("the results folder is a file, or lies in one", hint="choose another OUT") from None
    raise ResultsError(
        "the results folder cannot be written by this user",
        hint="is it another user's? Choose another OUT, or ask for write access to all that is in it",
    )


def check_key(settings: Settings) -> None:
    """Raise IdentityError if the people of the results are named by another key than that of the private folder."""
    path = settings.out_path / KEY_ID
    if path.exists() and path.read_text(encoding="utf-8").strip() != Identity.load(settings.private_path).key_id:
        raise IdentityError(
            "the results were made with another identity key",
            hint="set private_dir to the folder with the key they were made with, or choose another OUT",
        )


def remember_key(settings: Settings) -> None:
    """Write down which key the people of the results are named by; for after the input has been read."""
    write_text_if_changed(settings.out_path / KEY_ID, Identity.load(settings.private_path).key_id + "\n")


def settings_of(results: Path) -> Settings:
    """Read the settings of the run that owns a results folder; jobs begin with this.

    Raises ConfigError if no run was begun there.
    """
    try:
        config = yaml.safe_load((results / RUN_CONFIG).read_text(encoding="utf-8"))
        record = _private_run_path(Path(config["private_dir"]).expanduser(), results, ".json")
        kept = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    except PermissionError:  # another user's: said as it is
        raise
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
    since = time.strftime(SINCE)
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
