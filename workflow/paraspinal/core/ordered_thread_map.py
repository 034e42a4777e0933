"""Work on several items side by side in threads, results in order, bounded ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""Items begun or waiting per worker: one slow item does not keep the others idle, and few results wait for it."""


def in_order(function: Callable[[T], R], items: Iterable[T], workers: int) -> Generator[R, None, None]:
    """Yield ``function`` of every item in order, with ``workers`` at work and no more than ``AHEAD`` each begun.

    The first error is raised when its turn comes; items not yet begun are then left out, those at work end first, as
    they do when the caller stops early. One worker is the caller itself: nothing is done before it is asked for.
    """
    if workers == 1:
        yield from map(function, items)
        return
    rest = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        running: deque[Future[R]] = deque()
        try:
            running.extend(pool.submit(function, item) for item in islice(rest, AHEAD * workers))
            while running:
                yield running.popleft().result()
                running.extend(pool.submit(function, item) for item in islice(rest, 1))
        finally:
            for future in running:
                future.cancel()
