"""Atomic files under real faults: writers killed at any instant, and a sweep beside writers that live."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from paraspinal.core import files
from paraspinal.core.files import TEMPORARY_PREFIX, atomic_path, sweep_temporaries, write_text, write_text_if_changed

WRITER = """
import sys, time
from pathlib import Path
from paraspinal.core.files import atomic_path, write_text
path, mode = Path(sys.argv[1]), sys.argv[2]
if mode == "hold":
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        print("writing", flush=True)
        time.sleep(60)
number = 0
print("writing", flush=True)
while True:
    number += 1
    write_text(path, f"{number} " * 200_000 + "end")
"""


def start(path: Path, mode: str) -> subprocess.Popen[str]:
    """A process that writes files, once it has begun."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), mode], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def is_folder(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


@pytest.mark.parametrize("delay_s", [0.0, 0.013, 0.047, 0.11])
def test_a_reader_sees_whole_files_whenever_the_writer_is_killed(tmp_path: Path, delay_s: float) -> None:
    path = tmp_path / "table.txt"
    write_text(path, "0 end")
    process = start(path, "loop")
    time.sleep(delay_s)
    for _ in range(3):
        assert path.read_text().endswith("end")
    stop(process)
    words = path.read_text().split()
    assert words[-1] == "end"
    assert len(set(words[:-1])) == 1


def test_the_half_file_of_a_killed_writer_is_swept_and_never_had_the_final_name(tmp_path: Path) -> None:
    process = start(tmp_path / "a" / "table.txt", "hold")
    stop(process)
    assert [p.name.startswith(TEMPORARY_PREFIX) for p in (tmp_path / "a").iterdir()] == [True]
    assert sweep_temporaries(tmp_path) == 1
    assert list((tmp_path / "a").iterdir()) == []


def test_the_half_file_of_a_living_writer_stays(tmp_path: Path) -> None:
    living, dead = start(tmp_path / "living.txt", "hold"), start(tmp_path / "dead.txt", "hold")
    stop(dead)
    assert sweep_temporaries(tmp_path) == 1
    assert [p.name.endswith("-living.txt") for p in tmp_path.iterdir()] == [True]
    stop(living)
    assert sweep_temporaries(tmp_path) == 1


def test_content_and_folder_reach_the_disk_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network drive a rename is only worth something after the content, and before a power cut only if synced."""
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        steps.append("sync folder" if is_folder(descriptor) else "sync file")
        sync(descriptor)

    def rename(source: str, target: str) -> None:
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(files.os, "replace", rename)
    write_text(tmp_path / "x", "text")
    assert steps == ["sync file", "rename", "sync folder"]


@pytest.mark.parametrize("error", [OSError(22, "Invalid argument"), OSError(95, "Not supported")])
def test_a_drive_that_cannot_sync_folders_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if is_folder(descriptor):
            raise error
        sync(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)
    write_text(tmp_path / "x", "text")
    assert (tmp_path / "x").read_text() == "text"


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "old")
    with suppress(ZeroDivisionError), atomic_path(tmp_path / "x") as temporary:
        temporary.write_text("new")
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "old"


def test_a_file_that_is_no_text_any_more_is_written_anew(tmp_path: Path) -> None:
    """One flipped bit is enough; nothing could ever be written over it otherwise."""
    path = tmp_path / "seal"
    assert write_text_if_changed(path, "said\n")
    assert not write_text_if_changed(path, "said\n")
    path.write_bytes(b"sa\xe9d\n")
    assert write_text_if_changed(path, "said\n")
    assert path.read_bytes() == b"said\n"
