"""Show slices of many scans to one network in batches of one fixed size: what a GPU needs to be busy.

Threads hand in the slices of a scan each and wait for theirs; one thread of the batcher's own fills batches with
whatever waits, whichever scan it comes from. Every batch has the same size, filled up with zeros, so that the answer to
a slice cannot depend on its company. Memory is bounded by the scans being worked on.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from paraspinal.core.errors import OutOfMemoryError

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float32]
Answer = tuple[Array, Array]
"""Class probabilities and heatmaps: (N, L, H, W) and (N, K, H, W) of a batch, without N of one slice."""

GPU_BATCH = 32
"""Slices at once; a scan has 15 to 120 and is looked at twice."""

LINGER_S = 0.005
"""How long a batch that is not full waits for more."""


@dataclass
class _Slice:
    inputs: Array
    answer: Future[Answer] = field(default_factory=Future)


class Batcher:
    """Answers slices of any number of threads through one function of fixed-size batches."""

    def __init__(self, forward: Callable[[Array], Answer], size: int = GPU_BATCH) -> None:
        """``forward`` takes (size, C, H, W); its thread ends with the process."""
        self._forward = forward
        self._size = size
        self._waiting: queue.SimpleQueue[_Slice] = queue.SimpleQueue()
        self._aside: list[_Slice] = []  # of another shape than the batch that was being filled
        threading.Thread(target=self._serve, name="batcher", daemon=True).start()

    @property
    def size(self) -> int:
        """Slices in a batch; smaller than asked for once memory did not suffice."""
        return self._size

    def predict(self, inputs: Array) -> Answer:
        """Answer the slices (N, C, H, W) of one scan; raises what ``forward`` raises."""
        slices = [_Slice(one) for one in inputs]
        for one in slices:
            self._waiting.put(one)
        classes, heatmaps = zip(*(one.answer.result() for one in slices), strict=True)
        return np.stack(classes), np.stack(heatmaps)

    def _serve(self) -> None:
        while True:
            batch = self._fill()
            try:
                self._answer(batch)
            except Exception as error:  # whoever waits for a slice of this batch is told
                for one in batch:
                    if not one.answer.done():
                        one.answer.set_exception(error)

    def _fill(self) -> list[_Slice]:
        """Take slices of one shape, as many as fit or as there are."""
        first = self._aside.pop(0) if self._aside else self._waiting.get()
        same = [one for one in self._aside if one.inputs.shape == first.inputs.shape][: self._size - 1]
        batch = [first, *same]
        self._aside = [one for one in self._aside if all(one is not other for other in batch)]
        while len(batch) < self._size:
            try:
                one = self._waiting.get(timeout=LINGER_S)
            except queue.Empty:
                break
            (batch if one.inputs.shape == first.inputs.shape else self._aside).append(one)
        return batch

    def _answer(self, batch: list[_Slice]) -> None:
        """Run the network, in smaller batches from now on where memory does not suffice."""
        while batch:
            part = batch[: self._size]
            padded = np.zeros((self._size, *part[0].inputs.shape), np.float32)
            for i, one in enumerate(part):
                padded[i] = one.inputs
            try:
                classes, heatmaps = self._forward(padded)
            except OutOfMemoryError:
                if self._size == 1:
                    raise
                self._size //= 2
                log.warning("not enough GPU memory: batches of %d slices from now on", self._size)
                torch.cuda.empty_cache()
                continue
            for i, one in enumerate(part):
                one.answer.set_result((classes[i], heatmaps[i]))
            batch = batch[len(part) :]
