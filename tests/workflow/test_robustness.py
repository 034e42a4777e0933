"""Faults made for real: full and read-only drives, wrong clocks, damaged receipts, processes killed and held."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from paraspinal.core.files import TEMPORARY_PREFIX
from paraspinal.core.records.receipts import Receipt

from .conftest import Study, assert_same_content
from .faults import filled, read_only, small_disk

pytestmark = pytest.mark.workflow

DAY_S = 86_400
HOLD = """
import sys, time
from pathlib import Path
from paraspinal.core.files import atomic_path
from paraspinal.cohort.running.runs import run_lock
folder, what = Path(sys.argv[1]), sys.argv[2]
with run_lock(folder) if what == "folder" else atomic_path(folder / "file.txt"):
    print("held", flush=True)
    time.sleep(float(sys.argv[3]))
"""


@contextmanager
def holding(study: Study, folder: Path, what: str, seconds: float = 120) -> Iterator[subprocess.Popen[str]]:
    """A process of ours that holds a results folder, or an unfinished file in one, until it is killed."""
    command = [sys.executable, "-c", HOLD, str(folder), what, str(seconds)]
    process = subprocess.Popen(command, env=study.environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def forget_images(study: Study) -> None:
    """Lose what convert made: the images are written again, and everything after finds its receipts.

    Logs go too, so that what they tell is of the runs that follow.
    """
    for path in (study.results / "logs").rglob("shard-*.log"):
        path.unlink()
    shutil.rmtree(study.results / "receipts" / "convert")
    shutil.rmtree(study.results / "shards" / "convert")
    for path in (study.results / "images").rglob("*_T2w.nii.gz"):
        path.unlink()


def job_command(study: Study, stage: str, shard: int) -> list[str]:
    return [sys.executable, "-m", "paraspinal", "stage", stage, "--shard", str(shard), "--out", str(study.results)]


def job(study: Study, stage: str, shard: int) -> tuple[int, int]:
    """Run one job by itself; units computed and reused."""
    command = job_command(study, stage, shard)
    done = subprocess.run(command, env=study.environment, capture_output=True, text=True, check=True)
    counts = re.search(r"(\d+) computed, (\d+) reused", done.stdout)
    assert counts
    return int(counts[1]), int(counts[2])


def receipts(study: Study) -> list[Receipt]:
    found = [Receipt.read(path) for path in (study.results / "receipts").rglob("sub-*.json.gz")]
    assert all(found)
    return [receipt for receipt in found if receipt]


def test_a_full_disk_ends_the_run_with_a_clear_error_and_the_next_run_completes(finished: Study, study: Study) -> None:
    with small_disk(study.results, 24):
        forget_images(study)
        with filled(study.results):
            command = job_command(study, "convert", 1)
            alone = subprocess.run(command, env=study.environment, capture_output=True, text=True, check=False)
            done = study.run(check=False)
        assert alone.returncode == 7, alone.stderr
        assert "disk is full" in alone.stderr
        assert done.returncode == 7, done.stdout + done.stderr
        assert "disk is full" in done.stderr
        assert all(receipt.still_holds(study.results) for receipt in receipts(study))
        assert not list((study.results / "shards" / "convert").glob("*.parquet"))
        assert not list(study.results.rglob(TEMPORARY_PREFIX + "*"))
        study.run()
        assert study.computed("convert") == {"shard-00001": (2, 0), "shard-00002": (1, 0)}
        assert study.computed("segment") == {"shard-00001": (0, 4), "shard-00002": (0, 2)}
        assert_same_content(finished.content(), study.content())
        assert set(study.content()["scans"].status) == {"ok"}


def test_a_read_only_input_is_read_and_nothing_is_written_there(finished: Study, study: Study) -> None:
    before = {path: path.stat().st_mtime_ns for path in study.dicom.rglob("*")}
    forget_images(study)
    with read_only(study.dicom):
        study.run()
    assert study.computed("convert") == {"shard-00001": (2, 0), "shard-00002": (1, 0)}
    assert {path: path.stat().st_mtime_ns for path in study.dicom.rglob("*")} == before
    assert_same_content(finished.content(), study.content())


def test_read_only_results_are_refused_in_one_line(study: Study) -> None:
    with read_only(study.results):
        done = study.run(check=False)
    assert done.returncode == 7
    assert "read-only" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("days", [2, -400])
def test_a_wrong_clock_computes_nothing_again(study: Study, days: int) -> None:
    """Times of the artifacts, receipts, and of one stage's tables as another machine's clock would have set them."""
    for path in [*study.results.rglob("images/**/*"), *(study.results / "receipts").rglob("*")]:
        os.utime(path, (time.time() + days * DAY_S,) * 2)
    for path in (study.results / "shards" / "levels").glob("*.parquet"):
        os.utime(path, (time.time() + days * DAY_S,) * 2)
    study.run()
    for stage in ("convert", "harmonize", "segment", "levels", "measure", "quality"):
        if stage in study.executed():
            assert all(computed == 0 for computed, _ in study.computed(stage).values()), stage


def test_damaged_and_missing_receipts_cost_their_own_units_only(finished: Study, study: Study) -> None:
    paths = sorted((study.results / "receipts" / "measure").glob("sub-*.json.gz"))
    assert len(paths) == 6
    shard = [path for path in paths if job_of(study, path) == 1]
    whole = shard[0].read_bytes()
    shard[0].write_bytes(whole[: len(whole) // 2])
    shard[1].unlink()
    alter(shard[2], activity_id="0" * 24)
    assert job(study, "measure", 1) == (3, 1)
    assert job(study, "measure", 1) == (0, 4)
    receipt = next(path for path in (study.results / "receipts" / "quality").glob("sub-*.json.gz"))
    outputs = said(receipt)["outputs"]
    assert outputs
    alter(receipt, outputs=[{**artifact, "sha256": "0" * 64} for artifact in outputs])
    assert sum(job(study, "quality", shard)[0] for shard in (1, 2)) == 1
    study.run()
    assert_same_content(finished.content(), study.content())


def said(receipt: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(receipt.read_bytes()))
    return found


def alter(receipt: Path, **over: Any) -> None:
    receipt.write_bytes(gzip.compress(json.dumps(said(receipt) | over).encode()))


def job_of(study: Study, receipt: Path) -> int:
    """Shard of a receipt."""
    lines = (study.results / "registry" / "sessions.tsv").read_text().splitlines()[1:]
    shards = {f"sub-{subject}_ses-{session}": int(shard) for subject, session, shard in map(str.split, lines)}
    return next(shard for unit, shard in shards.items() if receipt.name.startswith(unit))


def test_a_second_run_is_told_who_holds_the_folder_and_a_dead_one_holds_nothing(study: Study) -> None:
    with holding(study, study.results, "folder") as process:
        done = study.run(check=False)
        assert done.returncode == 7
        assert re.search(rf"in use by process {process.pid} on \S+ since \d{{4}}-\d\d-\d\d \d\d:\d\d", done.stderr)
        process.send_signal(signal.SIGKILL)
        process.wait()
        study.run()
    (study.results / ".run.lock").write_text("process 1 on another-machine since 2020-01-01 00:00:00 +0000")
    study.run()
    assert study.executed() == []


def test_a_run_sweeps_what_the_dead_left_and_not_what_the_living_write(study: Study) -> None:
    dead, living = study.results / "images", study.results / "shards"
    with holding(study, living, "file"):
        with holding(study, dead, "file"):
            pass
        assert len(list(study.results.rglob(TEMPORARY_PREFIX + "*"))) == 2
        study.run()
        left = list(study.results.rglob(TEMPORARY_PREFIX + "*"))
        assert [path.parent for path in left] == [living]


def heed_ctrl_c() -> None:
    """A test suite started in the background ignores Ctrl-C, and so would all it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A terminal on which a command runs; what it draws is read as it comes."""

    def __init__(self, study: Study, *command: str) -> None:
        self._master, slave = pty.openpty()
        self.said = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "paraspinal", *command],
            env=study.environment | {"TERM": "xterm"},
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=heed_ctrl_c,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # the terminal is gone with the process
            while part := os.read(self._master, 4096):
                self.said += part

    def end(self, timeout: float) -> tuple[int, str]:
        """Wait for the end; exit code and all that was drawn."""
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        os.close(self._master)
        return code, self.said.decode()

    def wait_for(self, word: bytes, timeout: float) -> None:
        """Wait until something is drawn."""
        end = time.monotonic() + timeout
        while word not in self.said:
            assert time.monotonic() < end, self.said
            time.sleep(0.05)


def test_watching_ends_with_the_run_and_on_ctrl_c(study: Study) -> None:
    command = ("status", "--watch", "--out", str(study.results))
    with holding(study, study.results, "folder") as run:
        terminal = Terminal(study, *command)
        terminal.wait_for(b"quality", 60)
        run.kill()
        code, said = terminal.end(60)
    assert code == 0
    assert "100 %" in said
    assert "no run is going on" in said
    with holding(study, study.results, "folder"):
        terminal = Terminal(study, *command)
        terminal.wait_for(b"quality", 60)
        terminal.process.send_signal(signal.SIGINT)
        code, said = terminal.end(60)
    assert code == 130
    assert "Traceback" not in said
    assert "\x1b[?25h" in said  # the cursor is shown again
