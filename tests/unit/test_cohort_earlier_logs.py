"""Logs of earlier runs are kept beside those of the last one."""

from __future__ import annotations

import os
import tarfile
import time
from pathlib import Path

from paraspinal.cohort.running.earlier_logs import MAX_KEPT, keep_logs

STAMP = 1_700_000_000


def write(results: Path, name: str, text: str, seconds: float) -> None:
    path = results / "logs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (STAMP + seconds,) * 2)


def kept(results: Path) -> list[Path]:
    return sorted((results / "logs" / "earlier").glob("*"))


def test_each_run_keeps_the_logs_of_its_own(tmp_path: Path) -> None:
    keep_logs(tmp_path)
    assert kept(tmp_path) == []
    write(tmp_path, "engine.log", "first", 0)
    write(tmp_path, "segment/shard-00001.log", "one", -5)
    keep_logs(tmp_path)
    (first,) = kept(tmp_path)
    assert first.name == time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(STAMP)) + ".tar.gz"
    os.utime(first, (STAMP + 1,) * 2)
    write(tmp_path, "engine.log", "second", 10)
    keep_logs(tmp_path)
    with tarfile.open(first) as one, tarfile.open(kept(tmp_path)[1]) as other:
        assert sorted(one.getnames()) == ["engine.log", "segment/shard-00001.log"]
        assert other.getnames() == ["engine.log"]
        read = other.extractfile("engine.log")
        assert read is not None
        assert read.read() == b"second"
        assert {(member.uid, member.uname) for member in one.getmembers()} == {(0, "")}
    assert (tmp_path / "logs" / "segment" / "shard-00001.log").read_text() == "one"


def test_the_logs_of_the_last_runs_are_kept_and_no_more(tmp_path: Path) -> None:
    for number in range(MAX_KEPT + 3):
        write(tmp_path, "engine.log", str(number), number * 60)
        keep_logs(tmp_path)
        os.utime(kept(tmp_path)[-1], (STAMP + number * 60 + 1,) * 2)
    assert len(kept(tmp_path)) == MAX_KEPT
    with tarfile.open(kept(tmp_path)[0]) as oldest:
        read = oldest.extractfile("engine.log")
        assert read is not None
        assert read.read() == b"3"
