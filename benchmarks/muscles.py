"""How the muscles model is taught: pictures of the synthesis, the learning curve, what each ingredient is worth.

    .venv/bin/python benchmarks/muscles.py sheet                  benchmarks/synthetic_muscles.png, of synthetic people
    .venv/bin/python benchmarks/muscles.py curve --work FOLDER    a second phase with all ingredients, on its way
    .venv/bin/python benchmarks/muscles.py leave-one-out --work FOLDER [--steps 400]

The trainings start from the shipped weights and resume where they were stopped; every point is measured on synthetic
people that no training sees and, where the private data folder is present, on the labelled real person. Results are
added to benchmarks/muscles.json.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from PIL import Image
from uncertainty import thinned

from paraspinal.models.atlas_bank import load_atlas_bank
from paraspinal.models.checkpoint import load_tensors, read_checkpoint
from paraspinal.models.evaluate import DIXON_FOLDER, MEAN_OF_FOUR, MUSCLES_MODEL, dice, evaluate_muscles
from paraspinal.models.inference import LoadedModel, MuscleSegmenter, load_model
from paraspinal.models.ingredients import ALL_INGREDIENTS, Ingredient
from paraspinal.models.muscle_synthesis import MuscleTask
from paraspinal.models.recipes import build_task, data_folder
from paraspinal.models.registry import find
from paraspinal.models.synthetic_people import synthetic_person
from paraspinal.models.training import Schedule, train

HERE = Path(__file__).parent
SHEET, RESULTS = HERE / "synthetic_muscles.png", HERE / "muscles.json"
COLUMNS, ROWS = 8, 6
SHEET_SEED = 9_2000
OUTLINE = (255, 80, 60)

FIRST_PERSON, PEOPLE = 2000, 12  # people no other choice was made on
CURVE_POINTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the last phase's steps
SECOND_PHASE = Schedule(
    steps=700, seed=20260103, batch_size=6, fresh_per_step=2, pool_size=128, learning_rate=1e-3, warmup_steps=50
)
LEAVE_ONE_OUT = replace(SECOND_PHASE, steps=400, seed=9_2001)


def main() -> None:
    """Do what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("sheet", "curve", "leave-one-out"))
    parser.add_argument("--work", type=Path, help="folder for the checkpoints")
    parser.add_argument("--steps", type=int, default=LEAVE_ONE_OUT.steps)
    arguments = parser.parse_args()
    if arguments.what == "sheet":
        contact_sheet(SHEET)
        return
    if arguments.work is None:
        parser.error("--work is needed for trainings")
    if arguments.what == "curve":
        keep("curve", curve(arguments.work))
    else:
        for name in ("nothing", *Ingredient):
            keep("leave_one_out", {name: without(name, arguments.work, replace(LEAVE_ONE_OUT, steps=arguments.steps))})


def contact_sheet(path: Path) -> None:
    """Draw samples as the network sees them before normalisation, every second row with its outlines."""
    task = full_task()
    rows = []
    for row in range(ROWS // 2):
        pictures = [task.picture(np.random.default_rng([SHEET_SEED, row, i])) for i in range(COLUMNS)]
        rows.append(np.concatenate([grey(image) for image, _ in pictures], axis=1))
        rows.append(np.concatenate([outlined(grey(image), labels) for image, labels in pictures], axis=1))
    Image.fromarray(np.concatenate(rows)).quantize(64).save(path, optimize=True)


def full_task() -> MuscleTask:
    """Build the training task with all ingredients."""
    task = build_task("muscles")
    assert isinstance(task, MuscleTask)
    return replace(task, use=ALL_INGREDIENTS)


def grey(image: np.ndarray) -> np.ndarray:
    """Turn a magnitude image into 8-bit grey as RGB."""
    scaled = np.clip(image / max(float(np.percentile(image, 99.5)), 1e-6), 0, 1)
    return np.repeat((255 * scaled).astype(np.uint8)[..., None], 3, axis=2)


def outlined(picture: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Draw where labels change."""
    edge = np.zeros(labels.shape, dtype=bool)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    picture = picture.copy()
    picture[edge] = OUTLINE
    return picture


def curve(work: Path) -> dict[str, Any]:
    """Train a second phase with all ingredients and measure the averaged weights on the way."""
    steps = SECOND_PHASE.steps
    return {str(round(p * steps)): measured(full_task(), SECOND_PHASE, work / "curve", p) for p in CURVE_POINTS}


def without(name: str, work: Path, schedule: Schedule) -> dict[str, float]:
    """Train briefly without one ingredient and measure."""
    use = ALL_INGREDIENTS - {Ingredient(name)} if name != "nothing" else ALL_INGREDIENTS
    return measured(replace(full_task(), use=use), schedule, work / f"without-{name}", 1.0)


def measured(task: Any, schedule: Schedule, folder: Path, point: float) -> dict[str, float]:
    """Measure the averaged weights at a share of a schedule."""
    initial, _ = load_tensors(find(MUSCLES_MODEL).weights)
    start = load_model(MUSCLES_MODEL)
    if point > 0:
        stop = round(point * schedule.steps)
        path = train(task, schedule.steps, folder, schedule.seed, schedule=schedule, initial=initial, stop_after=stop)
        start.network.load_state_dict(read_checkpoint(path).average)
        start.network.eval()
    return scores(start)


def scores(model: LoadedModel) -> dict[str, float]:
    """Mean Dice of every muscle on synthetic people, and of the real person's images."""
    data = data_folder()
    if data is None:
        raise SystemExit("the atlas is needed: set PARASPINAL_DATA")
    atlas, segmenter = load_atlas_bank(data), MuscleSegmenter(model)
    found: dict[str, list[float]] = {}
    started = time.perf_counter()
    for number in range(PEOPLE):
        image, truth = thinned(synthetic_person(atlas, FIRST_PERSON + number), "none", np.random.default_rng(0))
        labels = sitk.GetArrayFromImage(segmenter.segment(image).label_map)
        for index, name in enumerate(model.card.class_names[1:], start=1):
            if (truth == index).any():
                muscle = name.rsplit("_", 1)[0]
                found.setdefault(muscle, []).append(dice(labels == model.card.codes[index], truth == index))
    result = {muscle: float(np.mean(values)) for muscle, values in found.items()}
    if (data / DIXON_FOLDER).is_dir():
        rows = [a for a in evaluate_muscles(model, data) if a.measure == "dsc" and a.structure == MEAN_OF_FOUR]
        result |= {f"real {a.data.split()[0]}": a.value for a in rows}
    return result | {"seconds": time.perf_counter() - started}


def keep(what: str, result: dict[str, Any]) -> None:
    """Add results to the file of results and print them."""
    everything = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    everything.setdefault(what, {}).update(result)
    RESULTS.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({what: result}, indent=1), flush=True)


if __name__ == "__main__":
    main()
