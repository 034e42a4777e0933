"""What fine-tuning on outlines of one's own is worth, where a rater draws another border than the shipped model.

    .venv/bin/python benchmarks/finetune.py --work FOLDER [--steps 200]

Synthetic people with known outlines stand for a cohort: eight to learn from and two to tune by at one centre, six at
another that is looked at once. Their rater gives the multifidus 4 mm of what is erector spinae to the shipped model.
Writes benchmarks/finetune.json and prints the table of models.md.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from paraspinal.core.imaging.images import write_image
from paraspinal.core.labels import label_by_name
from paraspinal.models.card import Accuracy, read_card
from paraspinal.models.engine import load_muscles
from paraspinal.models.evaluation.muscles import MUSCLES_MODEL
from paraspinal.models.own_cohort.cases import read_case
from paraspinal.models.own_cohort.evaluate import score_image, summarise
from paraspinal.models.own_cohort.sheet import COLUMNS, Role, read_sheet, read_values
from paraspinal.models.own_cohort.training import FINE_TUNING, CohortPlan, train_cohort
from paraspinal.models.synthesis.muscles.atlas_bank import load_atlas_bank
from paraspinal.models.synthesis.muscles.layout import MUSCLE_CLASSES
from paraspinal.models.synthesis.muscles.people import synthetic_person
from paraspinal.models.training.recipes import data_folder

RESULTS = Path(__file__).with_suffix(".json")
FIRST_PERSON = 3000  # people no other choice was made on
ROLES = (Role.TRAINING,) * 8 + (Role.TUNING,) * 2 + (Role.EXTERNAL,) * 6
FAMILIES = {"t1": "T1w", "t2": "T2w", "water": "water", "fat": "fat"}
MOVED_MM = 4.0
SEEN = "external, all contrasts"


def main() -> None:
    """Write the cohort, fine-tune, and compare with the shipped model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the cohort and the checkpoints")
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    sheet = cohort(arguments.work / "cohort")
    schedule = replace(FINE_TUNING[0], steps=arguments.steps, pool_size=128, fresh_per_step=2, warmup_steps=30)
    plan = CohortPlan(sheet, "tuned", "1", start=MUSCLES_MODEL, phases=(schedule,))
    found = {"shipped": by_muscle(shipped(sheet))}
    entry = train_cohort(plan, arguments.work / "training")
    found[f"{arguments.steps} steps"] = by_muscle(read_card(entry.card).accuracy)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    names = next(iter(found.values()))
    print(f"| on six people of another centre | {' | '.join(names)} |")
    for model, values in found.items():
        print(f"| {model} | {' | '.join(f'{value:.3f}' for value in values.values())} |")


def cohort(folder: Path) -> Path:
    """Write images, outlines and the sheet; returns the sheet."""
    data = data_folder()
    if data is None:
        raise SystemExit("the atlas is needed: set PARASPINAL_DATA")
    folder.mkdir(parents=True, exist_ok=True)
    atlas = load_atlas_bank(data)
    codes = np.array([0, *(label_by_name(name).code for name in MUSCLE_CLASSES[1:])])
    rows = []
    for number, role in enumerate(ROLES):
        family = tuple(FAMILIES)[number % len(FAMILIES)]
        person = synthetic_person(atlas, FIRST_PERSON + number, family)
        labels = sitk.GetImageFromArray(codes[redrawn(person.classes, person.image.GetSpacing())].astype(np.uint16))
        labels.CopyInformation(person.image)
        names = (f"{number}.nii.gz", f"{number}_dseg.nii.gz")
        for name, image in zip(names, (person.image, labels), strict=True):
            write_image(image, folder / name)
        centre = "2" if role is Role.EXTERNAL else "1"
        rows.append([*names, str(number), centre, role.value, FAMILIES[family]])
    sheet = folder / "cohort.tsv"
    with sheet.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle, delimiter="\t", lineterminator="\n").writerows([COLUMNS, *rows])
    return sheet


def redrawn(classes: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
    """The other rater's outlines (z, y, x): the multifidus reaches further into the erector spinae beside it."""
    classes = classes.copy()
    for side in ("left", "right"):
        multifidus, erector = (MUSCLE_CLASSES.index(f"{name}_{side}") for name in ("multifidus", "erector_spinae"))
        for plane in classes:
            away_mm = ndimage.distance_transform_edt(plane != multifidus, sampling=spacing_mm[1::-1])
            plane[(plane == erector) & (away_mm <= MOVED_MM) & (plane == multifidus).any()] = multifidus
    return classes


def shipped(sheet: Path) -> tuple[Accuracy, ...]:
    """Measure the shipped model on the people it would not learn from."""
    segmenter, values = load_muscles(MUSCLES_MODEL), read_values(None)
    outlined = (True,) * len(MUSCLE_CLASSES)
    cases = [case for case in read_sheet(sheet) if case.role is Role.EXTERNAL]
    return summarise(
        [
            score_image(segmenter, read_case(case, values), outlined, case.role, number, 0, case.contrast)
            for number, case in enumerate(cases)
        ]
    )


def by_muscle(accuracy: tuple[Accuracy, ...]) -> dict[str, float]:
    """Mean Dice of both sides of every muscle."""
    found: dict[str, list[float]] = {}
    for row in accuracy:
        if row.measure == "dsc" and row.data.startswith(SEEN) and row.structure in MUSCLE_CLASSES:
            found.setdefault(row.structure.rsplit("_", 1)[0], []).append(row.value)
    return {name: float(np.mean(values)) for name, values in sorted(found.items())}


if __name__ == "__main__":
    main()
