"""How the muscles model is taught: pictures of the synthesis, the learning curve, what each ingredient is worth.

    .venv/bin/python benchmarks/muscles.py sheet        benchmarks/synthetic_muscles.png, of synthetic people
    .venv/bin/python benchmarks/muscles.py trials --work FOLDER [--only NAME ...] [--jobs 2] [--steps 400]

A trial is a short training of a narrow network from a random start, with one ingredient left out; one with everything
is measured on its way too. All have the same seeds. Trials go on where they were stopped; every one is measured on
synthetic people with all ingredients that no training sees and, where the private data folder is present, on the
labelled real person. Results are added to benchmarks/muscles.json.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image
from uncertainty import thinned

from paraspinal.models.atlas_bank import load_atlas_bank
from paraspinal.models.checkpoint import read_checkpoint
from paraspinal.models.evaluate import DIXON_FOLDER, MEAN_OF_FOUR, MUSCLES_MODEL, dice, evaluate_muscles
from paraspinal.models.inference import LoadedModel, MuscleSegmenter, load_model
from paraspinal.models.ingredients import ALL_INGREDIENTS, Ingredient
from paraspinal.models.muscle_synthesis import MuscleTask
from paraspinal.models.network import NetworkSpec, build_network
from paraspinal.models.recipes import build_task, data_folder
from paraspinal.models.synthetic_people import synthetic_person
from paraspinal.models.training import Schedule, train

HERE = Path(__file__).parent
SHEET, RESULTS = HERE / "synthetic_muscles.png", HERE / "muscles.json"
COLUMNS, ROWS = 8, 6
SHEET_SEED = 9_2000
OUTLINE = (255, 80, 60)

FIRST_PERSON, PEOPLE = 2000, 12  # people no other choice was made on
NARROW = (12, 24, 48, 64, 80)  # features per level: half those of the shipped network, a quarter of its work
SCHEDULE = Schedule(
    steps=400, seed=9_2001, batch_size=6, fresh_per_step=1, pool_size=128, warmup_steps=50
)  # seven minutes on one core
CURVE = (0.125, 0.25, 0.5)  # shares of the steps at which the training with everything is measured too
EVERYTHING, OTHER_SEED = "nothing", "nothing, another seed"


def main() -> None:
    """Do what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("sheet", "trials"))
    parser.add_argument("--work", type=Path, help="folder for the checkpoints")
    parser.add_argument("--only", nargs="+", choices=tuple(trials()))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=SCHEDULE.steps)
    arguments = parser.parse_args()
    if arguments.what == "sheet":
        contact_sheet(SHEET)
        return
    if arguments.work is None:
        parser.error("--work is needed for trainings")
    schedule = replace(SCHEDULE, steps=arguments.steps)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        names = arguments.only or list(trials())
        running = {pool.submit(trial, name, arguments.work, schedule): name for name in names}
        for done in as_completed(running):
            keep(running[done], done.result())


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


def trials() -> dict[str, MuscleTask]:
    """Name what is left out; with the task that is left."""
    full = full_task()
    return {
        EVERYTHING: full,
        OTHER_SEED: full,
        **{str(name): replace(full, use=ALL_INGREDIENTS - {name}) for name in Ingredient},
        "all of these": replace(full, use=frozenset()),
        "the atlas": replace(full, atlas_frac=0.0),
        "procedural people": replace(full, atlas_frac=1.0),
        "contrasts but T1w": replace(full, family="t1"),
    }


def trial(name: str, work: Path, schedule: Schedule) -> dict[str, dict[str, float]]:
    """Train without something and measure the averaged weights; the training with everything on its way, too."""
    task = trials()[name]
    if name == OTHER_SEED:
        schedule = replace(schedule, seed=schedule.seed + 1)
    spec = NetworkSpec(task.n_inputs, len(task.class_names), channels=NARROW)
    found = {}
    for share in (*(CURVE if name == EVERYTHING else ()), 1.0):
        stop, folder = round(share * schedule.steps), work / name.replace(" ", "-")
        path = train(task, schedule.steps, folder, schedule.seed, schedule=schedule, spec=spec, stop_after=stop)
        network = build_network(spec)
        network.load_state_dict(read_checkpoint(path).average)
        found[str(stop)] = scores(replace(load_model(MUSCLES_MODEL), network=network.eval()))
    return found


def scores(model: LoadedModel) -> dict[str, float]:
    """Mean Dice of every muscle on synthetic people, and of the real person's images."""
    data = data_folder()
    if data is None:
        raise SystemExit("the atlas is needed: set PARASPINAL_DATA")
    atlas, segmenter = load_atlas_bank(data), MuscleSegmenter(model)
    found: dict[str, list[float]] = {}
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
    return result


def keep(left_out: str, result: dict[str, dict[str, float]]) -> None:
    """Add a trial to the file of results and print it."""
    everything = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    everything[left_out] = result
    RESULTS.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({left_out: result}, indent=1), flush=True)


if __name__ == "__main__":
    main()
