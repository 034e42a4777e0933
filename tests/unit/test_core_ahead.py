"""Side by side in threads: order, bounds, and what happens when one fails or the caller stops."""

from __future__ import annotations

import threading
import time

import pytest

from paraspinal.core.ordered_thread_map import AHEAD, in_order


def test_results_come_in_order_whoever_is_first() -> None:
    def slow_first(n: int) -> int:
        time.sleep(0.02 if n % 3 == 0 else 0)
        return n * n

    assert list(in_order(slow_first, range(20), 3)) == [n * n for n in range(20)]
    assert list(in_order(slow_first, [], 3)) == []


def test_workers_meet_and_no_more_than_them() -> None:
    barrier, at_work, most = threading.Barrier(2, timeout=5), set(), []
    lock = threading.Lock()

    def meet(n: int) -> int:
        with lock:
            at_work.add(n)
            most.append(len(at_work))
        barrier.wait()  # fails unless two are at work at once
        with lock:
            at_work.discard(n)
        return n

    assert list(in_order(meet, range(8), 2)) == list(range(8))
    assert max(most) == 2


def test_nothing_runs_far_ahead_of_who_reads() -> None:
    begun: list[int] = []

    def note(n: int) -> int:
        begun.append(n)
        return n

    results = in_order(note, range(100), 2)
    for expected in range(10):
        assert next(results) == expected
        time.sleep(0.01)
        assert len(begun) <= expected + 1 + AHEAD * 2
    results.close()
    assert len(begun) <= 10 + AHEAD * 2


def test_the_first_error_is_raised_in_its_turn_and_the_rest_left_out() -> None:
    begun: list[int] = []

    def fail(n: int) -> int:
        begun.append(n)
        if n == 3:
            raise OSError("disk full")
        return n

    results = in_order(fail, range(50), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="disk full"):
        next(results)
    assert len(begun) <= 3 + 1 + AHEAD * 2


def test_one_worker_is_the_caller_itself() -> None:
    thread = list(in_order(lambda _: threading.get_ident(), [1, 2], 1))
    assert thread == [threading.get_ident()] * 2
