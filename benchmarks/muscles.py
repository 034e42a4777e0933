"""How the muscles model learns: its learning curve, and what each ingredient of the synthesis is worth.

    .venv/bin/python benchmarks/muscles.py --work FOLDER [--only NAME ...] [--jobs 2] [--steps 800]

Each trial (`leave_out.py`) is measured on samples with all ingredients and, where the private data folder is present,
on the labelled real person. Results are added to benchmarks/muscles.json.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import leave_out
import numpy as np
from leave_out import EVERYTHING, answers, coarse_mask, coarsen, held_out, without

from paraspinal.core.imaging.slice_grid import slice_grid
from paraspinal.models.evaluation.muscles import DIXON_FOLDER, REFERENCE_CODES, read_dixon
from paraspinal.models.input.normalise import input_channels
from paraspinal.models.network import UNet
from paraspinal.models.synthesis.ingredients import Ingredient
from paraspinal.models.synthesis.muscles.layout import MUSCLE_CLASSES
from paraspinal.models.synthesis.muscles.task import ONE_SLICE, MuscleTask
from paraspinal.models.training.recipes import build_task, data_folder
from paraspinal.statistics import overlap

RESULTS = Path(__file__).with_suffix(".json")


def trials() -> dict[str, MuscleTask]:
    """Name what is left out; with the task that is left."""
    recipe = build_task("muscles")
    assert isinstance(recipe, MuscleTask)
    full = replace(recipe, shown=ONE_SLICE, has_shares=False)  # what is left out is anatomy and acquisition
    sources = {
        "the atlas": replace(full, atlas_frac=0.0),
        "procedural people": replace(full, atlas_frac=1.0),
        "contrasts but T1w": replace(full, family="t1"),
    }
    return without(full, sources, Ingredient)


def scores(network: UNet) -> leave_out.Scores:
    """Mean Dice of both sides of every muscle over all held-out samples, and of the real person's four muscles."""
    inputs, truth, _ = held_out(trials()[EVERYTHING])
    found, _ = answers(network, inputs)
    both = {name.rsplit("_", 1)[0]: [] for name in MUSCLE_CLASSES[1:]}
    for index, name in enumerate(MUSCLE_CLASSES[1:], start=1):
        both[name.rsplit("_", 1)[0]].append(overlap.dice(found == index, truth == index))
    result = {name: float(np.mean(values)) for name, values in both.items()}
    for part, (inputs, truth) in real_person().items():
        found, _ = answers(network, inputs)
        indices = [index for index in np.unique(truth) if index]
        result[f"real {part}"] = float(np.mean([overlap.dice(found == index, truth == index) for index in indices]))
    return result


@cache
def real_person() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The labelled person's water and fat image on the grid of the trials: inputs (N, 2, H, W), classes (N, H, W)."""
    data = data_folder()
    if data is None or not (data / DIXON_FOLDER).is_dir():
        return {}
    images, reference = read_dixon(data)
    found = {}
    for part, image in images.items():
        grid = slice_grid(image)
        inputs = coarsen(np.stack([input_channels(picture) for picture in grid.to_slices(image)]))
        truth = np.zeros((len(inputs), *inputs.shape[2:]), dtype=np.int64)
        for name, code in REFERENCE_CODES.items():
            truth[coarse_mask(grid, image, reference == code)] = MUSCLE_CLASSES.index(name)
        found[part] = inputs, truth
    return found


if __name__ == "__main__":
    leave_out.run(__doc__, trials(), scores, RESULTS)
