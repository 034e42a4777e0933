"""Trouble of the machine met inside a stage: the job ends, nothing is recorded, the next run computes everything."""

from __future__ import annotations

import errno
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import SimpleITK as sitk
import torch
from stage_runs import put_table

from paraspinal.cli import main
from paraspinal.cohort.running import jobs
from paraspinal.core.errors import DriveError, MachineError, OutOfMemoryError, find_error
from paraspinal.core.records.columns import KEYS, STATE
from paraspinal.core.records.items import per_item
from paraspinal.core.records.receipts import Receipt, receipt_path
from paraspinal.core.records.registry import shard_path
from paraspinal.core.records.shards import Tally, run_shard
from paraspinal.core.records.stage import Stage
from paraspinal.core.records.tables import Column, Row, Table
from paraspinal.core.records.views import Source
from paraspinal.core.records.work import Work
from paraspinal.core.settings import load_settings, read_config
from paraspinal.models.device import on_device

READS = Table("reads", "", (*KEYS, *STATE), ("subject", "session"))
WRITES = Table("writes", "", (*READS.columns, Column("activity_id", pa.string(), "id")), READS.key)
PEOPLE = "abcdefghijkl"
TOO_MUCH = 10**15


def raises(error: Exception) -> Callable[[], object]:
    def fail() -> None:
        raise error

    return fail


def in_a_network(error: Exception) -> Callable[[], object]:
    def fail() -> None:
        with on_device():
            raise error

    return fail


TROUBLES = {
    "numpy": (lambda: np.zeros(TOO_MUCH), OutOfMemoryError),
    "arrow": (raises(pa.ArrowMemoryError("malloc of size 64 failed")), OutOfMemoryError),
    "torch": (lambda: torch.empty(TOO_MUCH), OutOfMemoryError),
    "itk": (lambda: sitk.Image([100_000] * 3, sitk.sitkFloat64), OutOfMemoryError),
    "python": (raises(MemoryError()), OutOfMemoryError),
    "cuda memory": (in_a_network(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")), OutOfMemoryError),
    "hip memory": (in_a_network(torch.OutOfMemoryError("HIP out of memory. Tried to allocate")), OutOfMemoryError),
    "gpu memory, other words": (in_a_network(torch.OutOfMemoryError("no room")), OutOfMemoryError),
    "cublas": (raises(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `x`")), OutOfMemoryError),
    "bad_alloc": (raises(RuntimeError("std::bad_alloc")), OutOfMemoryError),
    "gpu fault": (in_a_network(torch.AcceleratorError("CUDA error: unspecified launch failure")), MachineError),
    "gpu fault, other words": (in_a_network(torch.AcceleratorError("device lost")), MachineError),
    "cudnn": (raises(RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")), MachineError),
    "worker killed": (raises(BrokenProcessPool("A process in the process pool was terminated abruptly")), MachineError),
    "drive fault": (raises(OSError(errno.EIO, "Input/output error", "/data/Jane Doe")), MachineError),
    "mount lost": (raises(OSError(errno.ESTALE, "Stale file handle", "/data/Jane Doe")), MachineError),
    "disk full": (raises(OSError(errno.ENOSPC, "No space left on device", "/data/Jane Doe")), DriveError),
}
"""What is really raised where that can be had; else the words of the library, as users of it report them."""


CODE = "paraspinal.stages.convert.stage"
"""The toy has no code of its own to digest."""


@pytest.mark.parametrize(("fail", "kind"), TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("workers", [1, 2])
def test_the_job_ends_and_the_next_one_computes_every_scan(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fail: Callable[[], object],
    kind: type[MachineError],
    workers: int,
) -> None:
    is_broken = True

    def process(row: Row, work: Work) -> Row:
        if is_broken and row["subject"] >= "d":
            fail()
        return dict(row)

    stage = Stage("toy", CODE, READS.key, (), WRITES, per_item(process), is_concurrent=True)
    settings = load_settings(read_config(None, {}))
    put_table(tmp_path, "before", READS, [{"subject": s, "session": "1", "status": "ok"} for s in PEOPLE])
    tallies: list[Tally] = []

    def job(name: str, results: Path, shard: int, workers: int) -> str:
        tallies.append(run_shard(stage, [Source("before", READS)], results, settings, shard, workers=workers))
        return ""

    monkeypatch.setattr(jobs, "run_job", job)
    command = ["stage", "toy", "--shard", "1", "--workers", str(workers), "--out", str(tmp_path)]
    assert main.main(command) == kind.exit_code
    said = capsys.readouterr().err
    found = find_error(said)
    assert found is not None
    assert found.exit_code == kind.exit_code
    assert "Jane" not in said
    assert not shard_path(tmp_path, "toy", 1).exists()
    known = {s for s in PEOPLE if Receipt.read(receipt_path(tmp_path, "toy", f"sub-{s}_ses-1"))}
    assert known <= set("abc"), "no receipt of a scan that met the trouble"
    is_broken = False
    assert main.main(command) == 0
    assert tallies[-1].computed == len(PEOPLE) - len(known)
    assert dict(tallies[-1].items) == {"ok": len(PEOPLE)}


def test_what_a_network_raises_that_is_no_trouble_passes_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught, on_device():
        torch.zeros(2, 3) @ torch.zeros(4, 5)
    assert not isinstance(caught.value, MachineError)
