"""Short trainings that leave something out, for `muscles.py` and `spine.py`: how a model learns and what each
ingredient of its synthesis is worth.

A trial is a training from a random start of a narrow network at 4 mm instead of 2, so that all of them take an hour and
not a week. All have the same seeds, but for one that tells how much is chance, and go on where they were stopped; the
one with everything is measured on its way too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import SimpleITK as sitk
import torch

from paraspinal.core.imaging.slice_grid import SliceGrid
from paraspinal.models.network import NetworkSpec, UNet, build_network
from paraspinal.models.synthesis.muscles.task import MuscleTask
from paraspinal.models.synthesis.spine.task import SpineTask
from paraspinal.models.training.checkpoint import read_checkpoint
from paraspinal.models.training.loop import Schedule, draw_sample, train
from paraspinal.models.training.task import Sample, Task

COARSER = 2  # than the shipped network's pixels, along both directions
CHANNELS = (16, 32, 64, 96)
SCHEDULE = Schedule(steps=800, seed=9_2001, fresh_per_step=1, pool_size=128, warmup_steps=50)
HELD_OUT_SEED, HELD_OUT = 9_2002, 300
CURVE = (0.125, 0.25, 0.5)  # shares of the steps at which the training with everything is measured too
EVERYTHING, OTHER_SEED = "nothing", "nothing, another seed"

Scores = dict[str, float]
Learnt = TypeVar("Learnt", MuscleTask, SpineTask)


@dataclass(frozen=True)
class Coarse:
    """A task seen with coarser pixels."""

    task: Task

    @property
    def name(self) -> str:
        """Name of the task in checkpoints."""
        return f"coarse {self.task.name}"

    @property
    def n_inputs(self) -> int:
        """Number of input channels."""
        return self.task.n_inputs

    @property
    def class_names(self) -> tuple[str, ...]:
        """Output classes in channel order."""
        return self.task.class_names

    @property
    def heatmap_names(self) -> tuple[str, ...]:
        """Heatmaps in channel order."""
        return self.task.heatmap_names

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw inputs, classes and heatmaps, every second row and column of them."""
        inputs, classes, heatmaps = (coarsen(x) for x in self.task.sample(rng))
        return inputs, classes, heatmaps


def coarsen(fields: np.ndarray) -> np.ndarray:
    """Keep every second row and column of fields (..., H, W)."""
    return np.ascontiguousarray(fields[..., ::COARSER, ::COARSER])


def coarse_mask(grid: SliceGrid, image: sitk.Image, mask: np.ndarray) -> np.ndarray:
    """Lay a mask on the voxels of an image on its slices at the pixels of the trials, (N, H, W)."""
    volume = sitk.GetImageFromArray(mask.astype(np.float32))
    volume.CopyInformation(image)
    return coarsen(grid.to_slices(volume)) > 0.5


def without(full: Learnt, sources: Mapping[str, Learnt], ingredients: Iterable[str]) -> dict[str, Learnt]:
    """Name what is left out of a task, with what is left of it: first ``sources``, then its ingredients."""
    return {
        EVERYTHING: full,
        OTHER_SEED: full,
        **sources,
        "all of the following": replace(full, use=frozenset()),
        **{str(name): replace(full, use=full.use - {name}) for name in ingredients},
    }


def run(description: str, tasks: Mapping[str, Task], scores: Callable[[UNet], Scores], results: Path) -> None:
    """Read the command line, train and measure every trial and add it to the file ``results``.

    ``tasks`` are named by what they leave out; ``scores`` is a function of a module, so that processes can share it.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the checkpoints")
    parser.add_argument("--only", nargs="+", choices=tuple(tasks))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=SCHEDULE.steps)
    arguments = parser.parse_args()
    schedule = replace(SCHEDULE, steps=arguments.steps)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        names = arguments.only or list(tasks)
        running = {pool.submit(trial, n, tasks[n], scores, arguments.work, schedule): n for n in names}
        for done in as_completed(running):
            keep(results, running[done], done.result())


def trial(name: str, task: Task, scores: Callable[[UNet], Scores], work: Path, schedule: Schedule) -> dict[str, Scores]:
    """Train without something and measure the averaged weights; the training with everything on its way, too."""
    task = Coarse(task)
    if name == OTHER_SEED:
        schedule = replace(schedule, seed=schedule.seed + 100)
    spec = NetworkSpec(task.n_inputs, len(task.class_names), len(task.heatmap_names), channels=CHANNELS)
    found = {}
    for share in (*(CURVE if name == EVERYTHING else ()), 1.0):
        stop, folder = round(share * schedule.steps), work / name.replace(" ", "-")
        path = train(task, schedule.steps, folder, schedule.seed, schedule=schedule, spec=spec, stop_after=stop)
        network = build_network(spec)
        network.load_state_dict(read_checkpoint(path).average)
        found[str(stop)] = scores(network.eval())
    return found


@cache
def held_out(task: Task) -> Sample:
    """Draw, once per process, what no training sees, at the pixels of the trials: inputs, classes, heatmaps."""
    samples = [draw_sample(Coarse(task), HELD_OUT_SEED, index) for index in range(HELD_OUT)]
    inputs, classes, heatmaps = (np.stack(fields) for fields in zip(*samples, strict=True))
    return inputs, classes, heatmaps


def answers(network: UNet, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Most likely class (N, H, W) and heatmaps (N, K, H, W) of inputs (N, C, H, W)."""
    classes, heatmaps = [], []
    with torch.inference_mode():
        for one in inputs:
            class_logits, heatmap_logits = network(torch.from_numpy(one[None]))
            classes.append(class_logits.argmax(dim=1).numpy()[0])
            heatmaps.append(heatmap_logits.sigmoid().numpy()[0])
    return np.stack(classes), np.stack(heatmaps)


def keep(results: Path, left_out: str, found: dict[str, Scores]) -> None:
    """Add a trial to the file of results and print it."""
    everything = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    everything[left_out] = found
    results.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({left_out: found}, indent=1), flush=True)
