"""What the suite does for itself: threads, the order of files, and things made once for all workers."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from types import SimpleNamespace

from tests.conftest import LONG_FILES, TESTS, made_once, pytest_collection_modifyitems


def test_every_process_of_the_tests_has_one_thread_for_each_library() -> None:
    assert [os.environ[name] for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")] == ["1"] * 3


def test_long_files_come_first_in_their_order_and_the_rest_stays() -> None:
    assert [name for name in LONG_FILES if not (TESTS / name).is_file()] == []
    names = ["unit/test_b.py", LONG_FILES[1], "unit/test_a.py", LONG_FILES[0], LONG_FILES[1]]
    items = [SimpleNamespace(path=TESTS / name, number=number) for number, name in enumerate(names)]
    pytest_collection_modifyitems(items)  # type: ignore[arg-type]
    assert [item.number for item in items] == [3, 1, 4, 0, 2]


def _make(base: Path) -> None:
    os.environ["PYTEST_XDIST_WORKER"] = "gw0"
    factory = SimpleNamespace(getbasetemp=lambda: base / str(os.getpid()))

    def fill(folder: Path) -> None:
        (folder / f"by-{os.getpid()}").touch()

    (factory.getbasetemp()).mkdir()
    assert len(list(made_once(factory, "thing", fill).iterdir())) == 1  # type: ignore[arg-type]


def test_workers_that_want_the_same_thing_at_once_get_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_make, args=(tmp_path,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len(list((tmp_path / "thing").iterdir())) == 1
