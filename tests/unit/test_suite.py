"""What the suite does for itself: threads, the order of files, and things made once for all workers."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from types import SimpleNamespace

from tests.conftest import LONG_FILES, TESTS, made_once, pytest_collection_modifyitems


def test_every_process_of_the_tests_has_one_thread_for_each_library() -> None:
    assert [os.environ[name] for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")] == ["1"] * 3


class Item(SimpleNamespace):
    """As much of a test as its place depends on."""

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self.markers else None


def test_long_files_come_first_then_other_workflows_and_the_rest_stays_as_it_is() -> None:
    assert [name for name in LONG_FILES if not (TESTS / name).is_file()] == []
    names = ["unit/b.py", LONG_FILES[1], "unit/a.py", "workflow/new.py", LONG_FILES[0], LONG_FILES[1]]
    items = [
        Item(path=TESTS / name, number=number, markers=() if name.startswith("unit") else ("workflow",))
        for number, name in enumerate(names)
    ]
    pytest_collection_modifyitems(items)  # type: ignore[arg-type]
    assert [item.number for item in items] == [4, 1, 5, 3, 0, 2]


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
