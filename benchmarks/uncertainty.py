"""Measure what the uncertainty of the muscles model is worth, on people and images it was not trained on.

    .venv/bin/python benchmarks/uncertainty.py [--people 48] [--model muscles@0.2.0]

Synthetic people with known outlines, a fifth of them corrupted; images with nothing to outline; and, where the private
data folder is present, real images of other body parts. Prints the tables of benchmarks/models.md and writes
benchmarks/uncertainty.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from paraspinal.core.errors import DataError
from paraspinal.models.evaluation.muscles import MUSCLES_MODEL
from paraspinal.models.inference import MuscleSegmenter, load_model
from paraspinal.models.synthesis.corrupted import CORRUPTIONS, WRONG_BODIES, wrong_body
from paraspinal.models.synthesis.muscles.atlas_bank import load_atlas_bank
from paraspinal.models.synthesis.muscles.people import SyntheticPerson, synthetic_person
from paraspinal.models.training.recipes import data_folder
from paraspinal.statistics import overlap

SEED = 9_1000
FIRST_PERSON = 1000  # people no other choice was made on
CORRUPTED_FRAC = 0.2
BAD_DSC = 0.8
REVIEW_FRAC = 0.1
WRONG_BODIES_EACH = 2
SLICE_STEP = 3  # of the synthetic people's slices: one every 18 mm is enough to judge by

REAL_OTHERS = {
    "hand": "dixon_hand/input/00[01][0680]-*.nii.gz",
    "upper abdomen, 3 mm": "abdomen_small/example_mr_sm.nii.gz",
    "abdomen": "abdomen_unlabelled/11_*.nii.gz",
}

SCORES = ("entropy", "flip_disagreement")


def main() -> None:
    """Run all measurements and report them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=48)
    parser.add_argument("--model", default=MUSCLES_MODEL)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    segmenter = MuscleSegmenter(load_model(arguments.model, threads=arguments.threads))
    folder = data_folder()
    if folder is None:
        raise SystemExit("the atlas is needed: set PARASPINAL_DATA")
    items, scans = people(segmenter, folder, arguments.people)
    report = {
        "model": arguments.model,
        "people": arguments.people,
        "scans": scans,
        "review": {score: review(items, score) for score in (*SCORES, "chance")},
        "wrong_bodies": wrong_bodies(segmenter),
        "real_others": real_others(segmenter, folder),
    }
    Path(__file__).with_name("uncertainty.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


def people(segmenter: MuscleSegmenter, folder: Path, count: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Segment people, some corrupted; returns one item per muscle in view and what was refused, by corruption."""
    atlas = load_atlas_bank(folder)
    items: list[dict[str, Any]] = []
    refused: dict[str, list[bool]] = {}
    for number in range(count):
        rng = np.random.default_rng([SEED, number])
        person = synthetic_person(atlas, FIRST_PERSON + number)
        kind = str(rng.choice(list(CORRUPTIONS))) if rng.uniform() < CORRUPTED_FRAC else "none"
        image, truth = thinned(person, kind, rng)
        outcome = outline(segmenter, image)
        refused.setdefault(kind, []).append(outcome is None)
        if outcome is None:
            continue
        labels = sitk.GetArrayFromImage(outcome.label_map)
        for index, name in enumerate(segmenter.model.card.class_names[1:], start=1):
            code = segmenter.model.card.codes[index]
            if (truth == index).any():
                found = {s: getattr(outcome, s).get(code, 1.0) for s in SCORES}
                items.append(
                    {"muscle": name, "kind": kind, "dsc": overlap.dice(labels == code, truth == index), **found}
                )
    summary = {k: {"scans": len(v), "refused": sum(v)} for k, v in sorted(refused.items())}
    return items, summary


def thinned(person: SyntheticPerson, kind: str, rng: np.random.Generator) -> tuple[sitk.Image, np.ndarray]:
    """Keep every ``SLICE_STEP``-th slice and corrupt them; upside down, the outlines turn along."""
    volume = sitk.GetArrayFromImage(person.image)[::SLICE_STEP]
    truth = person.classes[::SLICE_STEP]
    if kind != "none":
        volume = CORRUPTIONS[kind](rng, volume)
    if kind == "upside_down":
        truth = truth[:, ::-1]
    image = sitk.GetImageFromArray(volume)
    x, y, z = person.image.GetSpacing()
    image.SetSpacing((x, y, z * SLICE_STEP))
    return image, truth


def outline(segmenter: MuscleSegmenter, image: sitk.Image) -> Any:
    """Segment; None if the pipeline would keep nothing."""
    try:
        result = segmenter.segment(image)
    except DataError:
        return None
    return result if result.entropy and result.objection is None else None


def review(items: list[dict[str, Any]], score: str) -> dict[str, float]:
    """Share of the bad outlines among the most doubtful ``REVIEW_FRAC`` of all, and the most that could be there."""
    bad = np.array([item["dsc"] < BAD_DSC for item in items])
    budget = round(REVIEW_FRAC * len(items))
    n_bad = int(bad.sum())
    if score == "chance":
        return {"items": len(items), "bad": n_bad, "caught_frac": REVIEW_FRAC}
    order = np.argsort([-item[score] for item in items], kind="stable")
    caught = int(bad[order[:budget]].sum())
    return {
        "items": len(items),
        "bad": n_bad,
        "caught": caught,
        "caught_frac": caught / max(1, n_bad),
        "best_possible_frac": min(1.0, budget / max(1, n_bad)),
        "limit_at_budget": float(items[order[budget - 1]][score]),
    }


def wrong_bodies(segmenter: MuscleSegmenter) -> dict[str, Any]:
    """Count the synthetic images without paraspinal muscles that are refused or left empty."""
    result = {}
    for kind in WRONG_BODIES:
        images = [wrong_body(np.random.default_rng([SEED, i]), kind) for i in range(WRONG_BODIES_EACH)]
        result[kind] = {"images": len(images), "refused": sum(outline(segmenter, image) is None for image in images)}
    return result


def real_others(segmenter: MuscleSegmenter, folder: Path) -> dict[str, Any]:
    """Refusals on real images: a hand has nothing to outline; an abdomen does, but has no reference."""
    result = {}
    for what, pattern in REAL_OTHERS.items():
        images = [sitk.ReadImage(path) for path in sorted((folder / "nifti").glob(pattern))]
        images = [image for image in images if image.GetDimension() == 3]
        result[what] = {"images": len(images), "refused": sum(outline(segmenter, image) is None for image in images)}
    return result


if __name__ == "__main__":
    main()
