"""The training loop: any :class:`~paraspinal.models.training.task.Task`, one core, resumable at any instant.

Everything random follows from the seed and the step, so a run that was killed and resumed ends with
the same weights as one that was not. Samples are made on the fly; each is seen a few times before it
leaves the pool, because making one costs about as much as learning from it. A model may be made in
phases: each has a schedule of its own and starts from the averaged weights of the one before.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from paraspinal.core.errors import ModelError
from paraspinal.core.version import version
from paraspinal.models.device import check_device
from paraspinal.models.network import NetworkSpec, UNet, build_network, has_fast_bfloat16
from paraspinal.models.training.checkpoint import Checkpoint, read_checkpoint, tensors_digest, write_checkpoint
from paraspinal.models.training.losses import heatmap_loss, segmentation_loss
from paraspinal.models.training.task import Sample, Task

LOG = logging.getLogger(__name__)
CHECKPOINT_NAME = "checkpoint.safetensors"
HALF_WAY_NAME = "half-way.safetensors"
"""A checkpoint after half of the steps, kept for comparison: weights of the end are not better on every image."""

LOG_EVERY_STEPS = 50

SAMPLE_STREAM, BATCH_STREAM = 0, 1  # independent random streams below one seed


@dataclass(frozen=True)
class Schedule:
    """How to train; part of the checkpoint, so a resumed run cannot silently change it.

    ``start_frac`` of the result are the weights that were started from: between both lie weights that keep what the
    start knew of images unlike those of this training (Wortsman et al., CVPR 2022).
    """

    steps: int
    seed: int
    batch_size: int = 8
    fresh_per_step: int = 3  # new samples entering the pool at each step
    pool_size: int = 384
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    weight_decay: float = 1e-2
    ema_decay: float = 0.995
    max_gradient_norm: float = 5.0
    start_frac: float = 0.0

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, then a cosine to zero."""
        warmup = min(1.0, (step + 1) / self.warmup_steps)
        return self.learning_rate * warmup * 0.5 * (1.0 + math.cos(math.pi * step / self.steps))


class SamplePool:
    """A sliding window over the endless sequence of samples of a task, defined by seed and step alone."""

    def __init__(self, task: Task, schedule: Schedule, executor: Executor | None = None) -> None:
        self._task, self._schedule = task, schedule
        self._map: Callable[..., Any] = executor.map if executor else map
        self._samples: dict[int, Sample] = {}

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs (N,C,H,W) float32, classes (N,H,W) or shares (N,L,H,W), and heatmaps (N,K,H,W) of a step."""
        first = step * self._schedule.fresh_per_step
        window = range(first, first + self._schedule.pool_size)
        for index in [i for i in self._samples if i < first]:
            del self._samples[index]
        missing = [i for i in window if i not in self._samples]
        made = self._map(draw_sample, [self._task] * len(missing), [self._schedule.seed] * len(missing), missing)
        self._samples.update(zip(missing, made, strict=True))
        rng = np.random.default_rng([self._schedule.seed, BATCH_STREAM, step])
        picks = first + rng.choice(self._schedule.pool_size, self._schedule.batch_size, replace=False)
        inputs, classes, heatmaps = zip(*(self._samples[int(i)] for i in picks), strict=True)
        return (
            torch.from_numpy(np.stack(inputs)).contiguous(memory_format=torch.channels_last),
            torch.from_numpy(np.stack(classes)),
            torch.from_numpy(np.stack(heatmaps)),
        )


def draw_sample(task: Task, seed: int, index: int) -> Sample:
    """Draw sample number ``index`` of the run with ``seed``."""
    return task.sample(np.random.default_rng([seed, SAMPLE_STREAM, index]))


def train_phases(
    task: Task,
    phases: Sequence[Schedule],
    out_folder: Path,
    threads: int = 1,
    *,
    initial: dict[str, Tensor] | None = None,
    **options: Any,
) -> Path:
    """Train on one schedule after the other and return the path of the last checkpoint.

    Phase n lies in ``out_folder/phase-n`` and starts from the averaged weights of phase n - 1, the first
    one from ``initial`` where given; a finished phase is not repeated. ``options`` go to :func:`train`.
    """
    if not phases:
        raise ModelError("a recipe needs at least one phase")
    for number, schedule in enumerate(phases, start=1):
        LOG.info("phase %d of %d", number, len(phases))
        checkpoint = train(
            task,
            schedule.steps,
            out_folder / f"phase-{number}",
            schedule.seed,
            threads,
            schedule=schedule,
            initial=initial,
            **options,
        )
        reached = read_checkpoint(checkpoint)
        if reached.description["step"] < schedule.steps:
            break
        initial = reached.average
    return checkpoint


def train(
    task: Task,
    steps: int,
    out_folder: Path,
    seed: int,
    threads: int = 1,
    resume: bool = True,
    *,
    workers: int = 0,
    device: str = "cpu",
    checkpoint_every_s: float = 180.0,
    stop_after: int | None = None,
    schedule: Schedule | None = None,
    spec: NetworkSpec | None = None,
    initial: dict[str, Tensor] | None = None,
    data: str | None = None,
) -> Path:
    """Train a network on ``task`` and return the path of the last checkpoint.

    ``initial`` are weights to start from instead of random ones (ModelError if they are another network's);
    ``data`` is a digest of the images the task draws from, where it draws from any.
    ``workers`` processes make samples (0: this one does); ``stop_after`` ends early, as a kill would.
    With ``resume`` a checkpoint of the same schedule, start and data in ``out_folder`` is continued; another
    one raises ModelError. Deterministic for a seed on one machine with a fixed thread count.
    """
    check_device(device)
    schedule = schedule or Schedule(steps=steps, seed=seed)
    spec = spec or NetworkSpec(task.n_inputs, len(task.class_names), len(task.heatmap_names))
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    origin = {"initial": tensors_digest(initial) if initial else None, "data": data}
    run = _Run(_start(spec, initial).to(device), schedule, device, origin)
    path = out_folder / CHECKPOINT_NAME
    out_folder.mkdir(parents=True, exist_ok=True)
    if resume and path.exists():
        run.restore(read_checkpoint(path))
        LOG.info("resumed at step %d of %d", run.step, schedule.steps)
    executor = ProcessPoolExecutor(workers) if workers else None
    pool = SamplePool(task, schedule, executor)
    end = min(schedule.steps, stop_after or schedule.steps)
    saved_at = logged_at = time.monotonic()
    logged_step, losses = run.step, []
    try:
        while run.step < end:
            losses.append(run.advance(pool.batch(run.step)))
            if run.step == schedule.steps // 2:
                write_checkpoint(out_folder / HALF_WAY_NAME, run.snapshot(task))
            now = time.monotonic()
            if len(losses) == LOG_EVERY_STEPS:
                rate = (now - logged_at) / (run.step - logged_step)
                LOG.info("step %d loss %.4f %.3f s/step", run.step, float(np.mean(losses)), rate)
                logged_at, logged_step, losses = now, run.step, []
            if now - saved_at > checkpoint_every_s:
                write_checkpoint(path, run.snapshot(task))
                saved_at = now
    finally:
        if executor:
            executor.shutdown(cancel_futures=True)
    write_checkpoint(path, run.snapshot(task))
    LOG.info("stopped at step %d of %d", run.step, schedule.steps)
    return path


def _start(spec: NetworkSpec, initial: dict[str, Tensor] | None) -> UNet:
    network = build_network(spec)
    if initial is not None:
        try:
            network.load_state_dict(initial)
        except RuntimeError as error:
            raise ModelError("the weights to start from are those of another network") from error
    return network


class _Run:
    """Network, its running average and the optimiser at some step."""

    def __init__(self, network: UNet, schedule: Schedule, device: str, origin: dict[str, str | None]) -> None:
        self.network, self.schedule, self.device = network, schedule, device
        self.origin = origin
        self.step = 0
        self.average = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self._start = {k: v.clone() for k, v in self.average.items() if v.is_floating_point()}
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self.use_bfloat16 = device != "cpu" or has_fast_bfloat16()

    def advance(self, batch: tuple[Tensor, Tensor, Tensor]) -> float:
        """Take one optimisation step and return the loss."""
        inputs, classes, heatmaps = (x.to(self.device) for x in batch)
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.learning_rate_at(self.step)
        self.network.train()
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.use_bfloat16):
            class_logits, heatmap_logits = self.network(inputs)
        loss = segmentation_loss(class_logits.float(), classes) + heatmap_loss(heatmap_logits.float(), heatmaps)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.schedule.max_gradient_norm)
        self.optimiser.step()
        self.step += 1
        self._follow(self.network.state_dict(), self._decay())
        if self.step == self.schedule.steps:
            self._follow(self._start, 1.0 - self.schedule.start_frac)
        return float(loss.detach())

    def _decay(self) -> float:
        # Early on the average must follow fast, or it would remember the random start.
        return min(self.schedule.ema_decay, (1 + self.step) / (10 + self.step))

    @torch.no_grad()
    def _follow(self, weights: dict[str, Tensor], kept: float) -> None:
        """Move the average towards ``weights``, keeping a share of it; counters are taken over."""
        for name, value in weights.items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1.0 - kept)
            else:
                self.average[name].copy_(value)

    def snapshot(self, task: Task) -> Checkpoint:
        """Copy everything needed to continue."""
        names = [name for name, _ in self.network.named_parameters()]
        state = self.optimiser.state_dict()["state"]
        optimiser = {f"{names[i]}/{k}": v for i, values in state.items() for k, v in values.items()}
        description = {
            "task": task.name,
            "class_names": list(task.class_names),
            "heatmap_names": list(task.heatmap_names),
            "spec": self.network.spec.to_json(),
            "schedule": asdict(self.schedule),
            **self.origin,
            "step": self.step,
            "code": version(),
            "precision": "bfloat16 autocast" if self.use_bfloat16 else "float32",
        }
        return Checkpoint(self.network.state_dict(), self.average, optimiser, description)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a snapshot of the same schedule, network, start and data."""
        said = checkpoint.description
        expected = {"schedule": asdict(self.schedule), "spec": self.network.spec.to_json(), **self.origin}
        if any(said.get(key) != value for key, value in expected.items()):
            raise ModelError(
                "the checkpoint belongs to a training run with other settings",
                hint=f"train into an empty folder, or use the settings {json.dumps(said['schedule'])}",
            )
        self.network.load_state_dict(checkpoint.weights)
        self.average = {k: v.to(self.device).clone() for k, v in checkpoint.average.items()}
        state: dict[int, dict[str, Tensor]] = {}
        for i, (name, _) in enumerate(self.network.named_parameters()):
            prefix = f"{name}/"
            state[i] = {k[len(prefix) :]: v for k, v in checkpoint.optimiser.items() if k.startswith(prefix)}
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.step = int(said["step"])
