"""Batches across scans: nobody's slice is lost, mixed up or changed by its company, and memory may be short."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from paraspinal.core.errors import OutOfMemoryError
from paraspinal.models.inference import LoadedModel, _forward, predict_slices
from paraspinal.models.input.batches import Array, Batcher
from paraspinal.models.network import NetworkSpec, build_network
from paraspinal.models.training.muscles_card import muscles_card


class Doubler:
    """Answers each slice with itself doubled, and remembers the batches."""

    def __init__(self, fits: int = 1000) -> None:
        self.batches: list[tuple[int, ...]] = []
        self.fits = fits

    def __call__(self, inputs: Array) -> tuple[Array, Array]:
        if len(inputs) > self.fits:
            raise OutOfMemoryError("the GPU is out of memory")
        self.batches.append(inputs.shape)
        return inputs * 2, inputs[:, :1] + 1


def slices(seed: int, n: int, shape: tuple[int, ...] = (2, 4, 6)) -> Array:
    return np.random.default_rng(seed).normal(size=(n, *shape)).astype(np.float32)


def test_every_thread_gets_its_own_answers_whatever_the_mixture() -> None:
    doubler = Doubler()
    batcher = Batcher(doubler, size=8)
    asked = [slices(i, 3 + 5 * i, (2, 4, 6) if i % 2 else (2, 8, 6)) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(batcher.predict, asked))
    for inputs, (classes, heatmaps) in zip(asked, answers, strict=True):
        assert np.array_equal(classes, inputs * 2)
        assert np.array_equal(heatmaps, inputs[:, :1] + 1)
    assert {shape[0] for shape in doubler.batches} == {8}, "every batch has the one size"


def test_slices_of_several_scans_share_a_batch() -> None:
    doubler, gate = Doubler(), threading.Event()

    def slow(inputs: Array) -> tuple[Array, Array]:
        gate.wait()
        return doubler(inputs)

    batcher = Batcher(slow, size=8)
    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(batcher.predict, slices(i, 4)) for i in range(5)]
        threading.Timer(0.2, gate.set).start()
        for future in waiting:
            future.result()
    assert len(doubler.batches) <= 4, "20 slices of five scans do not take five batches"


def test_less_memory_makes_smaller_batches_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    doubler = Doubler(fits=2)
    batcher, inputs = Batcher(doubler, size=8), slices(0, 11)
    with caplog.at_level(logging.WARNING):
        classes, _ = batcher.predict(inputs)
    assert np.array_equal(classes, inputs * 2)
    assert batcher.size == 2
    assert [record.message for record in caplog.records] == [
        f"not enough GPU memory: batches of {n} slices from now on" for n in (4, 2)
    ]


def test_an_error_reaches_who_asked_and_the_next_is_served() -> None:
    doubler = Doubler(fits=0)
    batcher = Batcher(doubler, size=2)
    with pytest.raises(OutOfMemoryError):
        batcher.predict(slices(0, 3))
    doubler.fits = 100
    assert np.array_equal(batcher.predict(slices(1, 3))[0], slices(1, 3) * 2)


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    torch.manual_seed(3)
    network = build_network(NetworkSpec(n_inputs=2, n_classes=9, channels=(8, 16))).eval()
    with torch.no_grad():
        network.head.weight.mul_(20.0)
    return LoadedModel(network, muscles_card(with_atlas=False), "0" * 64, "cpu")


def test_the_answer_to_a_slice_does_not_depend_on_its_company(model: LoadedModel) -> None:
    """Bit for bit in batches of one size; against one at a time only the last digits differ."""
    batched = replace(model, batcher=Batcher(lambda inputs: _forward(model, inputs), size=8))
    inputs = slices(5, 19, (2, 32, 48))
    together, _ = predict_slices(batched, inputs)
    alone = np.concatenate([predict_slices(batched, inputs[i : i + 1])[0] for i in range(19)])
    assert np.array_equal(together, alone)
    assert np.array_equal(predict_slices(batched, inputs[::-1])[0], together[::-1])
    assert together == pytest.approx(predict_slices(model, inputs)[0], abs=1e-5)


def test_bfloat16_stays_within_its_tolerance(model: LoadedModel) -> None:
    inputs = slices(7, 4, (2, 64, 64))
    exact, _ = predict_slices(model, inputs)
    quick, _ = predict_slices(replace(model, precision="bfloat16"), inputs)
    assert quick.dtype == np.float32
    assert not np.array_equal(quick, exact)
    assert np.abs(quick - exact).mean() < 0.01
    assert np.mean(quick.argmax(axis=1) == exact.argmax(axis=1)) > 0.97
