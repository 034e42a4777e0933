"""How the muscles model learns: its learning curve, and what each ingredient of the synthesis is worth.

    .venv/bin/python benchmarks/muscles.py --work FOLDER [--only NAME ...] [--jobs 2] [--steps 800]

A trial is a short training from a random start with one ingredient left out; so that all of them take an hour and not
a week, of a narrow network at 4 mm instead of 2. One with everything is measured on its way too. All have the same
seeds and go on where they were stopped. Each is measured on samples with all ingredients that no training sees and,
where the private data folder is present, on the labelled real person. Results are added to benchmarks/muscles.json.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from paraspinal.models.checkpoint import read_checkpoint
from paraspinal.models.evaluate import DIXON_FOLDER, REFERENCE_CODES, dice, read_dixon
from paraspinal.models.ingredients import ALL_INGREDIENTS, Ingredient
from paraspinal.models.muscle_synthesis import MUSCLE_CLASSES, MuscleTask
from paraspinal.models.network import NetworkSpec, UNet, build_network
from paraspinal.models.normalise import input_channels
from paraspinal.models.preprocess import slice_grid
from paraspinal.models.recipes import build_task, data_folder
from paraspinal.models.task import Sample
from paraspinal.models.training import Schedule, draw_sample, train

RESULTS = Path(__file__).with_suffix(".json")
COARSER = 2  # than the shipped network's pixels, along both directions
CHANNELS = (16, 32, 64, 96)
SCHEDULE = Schedule(steps=800, seed=9_2001, fresh_per_step=1, pool_size=128, warmup_steps=50)
HELD_OUT_SEED, HELD_OUT = 9_2002, 300
CURVE = (0.125, 0.25, 0.5)  # shares of the steps at which the training with everything is measured too
EVERYTHING, OTHER_SEED = "nothing", "nothing, another seed"


def main() -> None:
    """Train, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the checkpoints")
    parser.add_argument("--only", nargs="+", choices=tuple(trials()))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=SCHEDULE.steps)
    arguments = parser.parse_args()
    schedule = replace(SCHEDULE, steps=arguments.steps)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        names = arguments.only or list(trials())
        running = {pool.submit(trial, name, arguments.work, schedule): name for name in names}
        for done in as_completed(running):
            keep(running[done], done.result())


@dataclass(frozen=True)
class Coarse:
    """The muscles task seen with coarser pixels."""

    task: MuscleTask
    name: str = "coarse muscles"
    n_inputs: int = MuscleTask.n_inputs
    class_names: tuple[str, ...] = MUSCLE_CLASSES
    heatmap_names: tuple[str, ...] = ()

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw inputs (2, 56, 72), classes (56, 72) and no heatmaps."""
        inputs, classes, heatmaps = self.task.sample(rng)
        return tuple(np.ascontiguousarray(x[..., ::COARSER, ::COARSER]) for x in (inputs, classes, heatmaps))


def trials() -> dict[str, Coarse]:
    """Name what is left out; with the task that is left."""
    task = build_task("muscles")
    assert isinstance(task, MuscleTask)
    full = replace(task, use=ALL_INGREDIENTS)
    left = {
        EVERYTHING: full,
        OTHER_SEED: full,
        "the atlas": replace(full, atlas_frac=0.0),
        "procedural people": replace(full, atlas_frac=1.0),
        "contrasts but T1w": replace(full, family="t1"),
        "all of the following": replace(full, use=frozenset()),
        **{str(name): replace(full, use=ALL_INGREDIENTS - {name}) for name in Ingredient},
    }
    return {name: Coarse(task) for name, task in left.items()}


def trial(name: str, work: Path, schedule: Schedule) -> dict[str, dict[str, float]]:
    """Train without something and measure the averaged weights; the training with everything on its way, too."""
    task = trials()[name]
    if name == OTHER_SEED:
        schedule = replace(schedule, seed=schedule.seed + 100)
    spec = NetworkSpec(task.n_inputs, len(task.class_names), channels=CHANNELS)
    found = {}
    for share in (*(CURVE if name == EVERYTHING else ()), 1.0):
        stop, folder = round(share * schedule.steps), work / name.replace(" ", "-")
        path = train(task, schedule.steps, folder, schedule.seed, schedule=schedule, spec=spec, stop_after=stop)
        network = build_network(spec)
        network.load_state_dict(read_checkpoint(path).average)
        found[str(stop)] = scores(network.eval())
    return found


def scores(network: UNet) -> dict[str, float]:
    """Mean Dice of both sides of every muscle over all held-out samples, and of the real person's four muscles."""
    inputs, truth = held_out()
    found = classes_of(network, inputs)
    both = {name.rsplit("_", 1)[0]: [] for name in MUSCLE_CLASSES[1:]}
    for index, name in enumerate(MUSCLE_CLASSES[1:], start=1):
        both[name.rsplit("_", 1)[0]].append(dice(found == index, truth == index))
    result = {name: float(np.mean(values)) for name, values in both.items()}
    for part, (inputs, truth) in real_person().items():
        found = classes_of(network, inputs)
        indices = [index for index in np.unique(truth) if index]
        result[f"real {part}"] = float(np.mean([dice(found == index, truth == index) for index in indices]))
    return result


@cache
def held_out() -> tuple[np.ndarray, np.ndarray]:
    """Samples with everything: inputs (N, 2, H, W) and classes (N, H, W)."""
    samples = [draw_sample(trials()[EVERYTHING], HELD_OUT_SEED, index) for index in range(HELD_OUT)]
    return np.stack([sample[0] for sample in samples]), np.stack([sample[1] for sample in samples])


@cache
def real_person() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The labelled person's water and fat image on the grid of the trials, like :func:`held_out`."""
    data = data_folder()
    if data is None or not (data / DIXON_FOLDER).is_dir():
        return {}
    images, reference = read_dixon(data)
    found = {}
    for part, image in images.items():
        grid = slice_grid(image)
        inputs = np.stack([input_channels(picture) for picture in grid.to_slices(image)])[..., ::COARSER, ::COARSER]
        truth = np.zeros((len(inputs), *inputs.shape[2:]), dtype=np.int64)
        for name, code in REFERENCE_CODES.items():
            mask = sitk.GetImageFromArray((reference == code).astype(np.float32))
            mask.CopyInformation(image)
            truth[grid.to_slices(mask)[:, ::COARSER, ::COARSER] > 0.5] = MUSCLE_CLASSES.index(name)
        found[part] = inputs, truth
    return found


def classes_of(network: UNet, inputs: np.ndarray) -> np.ndarray:
    """Most likely class of every pixel (N, H, W)."""
    stride = network.spec.stride
    padding = [(0, -n % stride) for n in inputs.shape[2:]]
    filled = np.pad(inputs, [(0, 0), (0, 0), *padding])
    with torch.inference_mode():
        found = [network(torch.from_numpy(one[None]))[0].argmax(dim=1).numpy()[0] for one in filled]
    return np.stack(found)[:, : inputs.shape[2], : inputs.shape[3]]


def keep(left_out: str, result: dict[str, dict[str, float]]) -> None:
    """Add a trial to the file of results and print it."""
    everything = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    everything[left_out] = result
    RESULTS.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({left_out: result}, indent=1), flush=True)


if __name__ == "__main__":
    main()
