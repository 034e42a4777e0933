"""How the spine model learns: its learning curve, and what each ingredient of the synthesis is worth.

    .venv/bin/python benchmarks/spine.py --work FOLDER [--only NAME ...] [--jobs 2] [--steps 800]

Each trial (`leave_out.py`) is measured on samples with all ingredients and, where the private data folder is present,
on the labelled real volumes. Results are added to benchmarks/spine.json. The counting of levels is not among them: it
needs the shipped network's pixels. What it hangs on is: whether the last lumbar body is found.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import leave_out
import numpy as np
import SimpleITK as sitk
from leave_out import COARSER, EVERYTHING, answers, coarse_mask, coarsen, held_out, without

from paraspinal.core.imaging.slice_grid import PIXEL_MM, SAGITTAL_FRAME, slice_grid
from paraspinal.models.evaluation.spine import REFERENCE_CODES, VERTEBRAE_FOLDER, read_volumes
from paraspinal.models.input.spine_input import network_inputs
from paraspinal.models.network import UNet
from paraspinal.models.synthesis.ingredients import SpineIngredient
from paraspinal.models.synthesis.spine.task import SpineTask
from paraspinal.models.synthesis.spine.view import HEATMAP_NAMES
from paraspinal.models.training.recipes import data_folder
from paraspinal.statistics import overlap
from paraspinal.vertebrae.answer import SpineClass

RESULTS = Path(__file__).with_suffix(".json")
LAST_LUMBAR = HEATMAP_NAMES.index("last_lumbar")
SEEN, NOT_SEEN = 0.5, 0.05  # peak of the true heatmap where the last lumbar body is in the slice, and where it is not
CLAIMED = 0.3  # peak of the heatmap found
NEAR_MM = 12.0  # so far apart two peaks mean one body


def trials() -> dict[str, SpineTask]:
    """Name what is left out; with the task that is left."""
    full = SpineTask()
    sources = {
        "painted columns": replace(full, phantom_share=1.0),
        "procedural people": replace(full, phantom_share=0.0),
        "contrasts but T2w": replace(full, family="t2"),
    }
    return without(full, sources, SpineIngredient)


def scores(network: UNet) -> leave_out.Scores:
    """Dice over all held-out samples, share of last lumbar bodies found and falsely claimed; then of real volumes."""
    inputs, truth, heatmaps = held_out(trials()[EVERYTHING])
    found, heat = answers(network, inputs)
    result = {
        c.name.lower(): overlap.dice(found == c, truth == c) for c in SpineClass if c is not SpineClass.BACKGROUND
    }
    peaks = [(one[LAST_LUMBAR], true[LAST_LUMBAR]) for one, true in zip(heat, heatmaps, strict=True)]
    near = [one.max() > CLAIMED and distance_mm(one, peak(true)) < NEAR_MM for one, true in peaks if true.max() > SEEN]
    claimed = [one.max() > CLAIMED for one, true in peaks if true.max() < NOT_SEEN]
    result["last lumbar found"], result["last lumbar claimed"] = float(np.mean(near)), float(np.mean(claimed))
    if people := real_people():
        bodies, named = [], []
        for inputs, body, last in people:
            found, heat = answers(network, inputs)
            rows = body.any(axis=(0, 2))  # bodies beyond the labelled ones are in view and right
            bodies.append(overlap.dice((found == SpineClass.VERTEBRAL_BODY)[:, rows], body[:, rows]))
            best = heat[:, LAST_LUMBAR].max(axis=0)
            named.append(distance_mm(best, last) < NEAR_MM)
        result["real bodies"], result["real L5 found"] = float(np.mean(bodies)), float(np.mean(named))
    return result


def peak(field: np.ndarray) -> np.ndarray:
    """Row and column of the largest value of a field (H, W)."""
    return np.array(np.unravel_index(int(field.argmax()), field.shape))


def distance_mm(field: np.ndarray, where: np.ndarray) -> float:
    """From the peak of a field (H, W) to a row and column, both on the grid of the trials."""
    return float(np.linalg.norm(peak(field) - where)) * PIXEL_MM * COARSER


@cache
def real_people() -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]:
    """The labelled volumes on the grid of the trials: inputs (N, 4, H, W), bodies (N, H, W), row and column of L5."""
    data = data_folder()
    if data is None or not (data / VERTEBRAE_FOLDER).is_dir():
        return ()
    found = []
    for _, image, labels in read_volumes(data, "VB"):
        grid = slice_grid(image, SAGITTAL_FRAME)
        reference = sitk.GetArrayFromImage(labels)
        bodies = coarse_mask(grid, image, np.isin(reference, list(REFERENCE_CODES.values())))
        last = coarse_mask(grid, image, reference == REFERENCE_CODES["L5"])
        chosen = np.nonzero(bodies.any(axis=(1, 2)))[0]
        inputs = coarsen(network_inputs(grid.to_slices(image), chosen))
        found.append((inputs, bodies[chosen], np.argwhere(last)[:, 1:].mean(axis=0)))
    return tuple(found)


if __name__ == "__main__":
    leave_out.run(__doc__, trials(), scores, RESULTS)
