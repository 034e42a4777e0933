"""Measure the muscles model on people it never saw; numbers for its card.

One is real (MyoSegmenTUM, axial Dixon, multifidus and erector spinae only); the others are procedural,
which says little about real people but covers all eight muscles.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from paraspinal.core.errors import InputError
from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.labels import label_by_name, muscles_among
from paraspinal.core.paths import RESOURCES
from paraspinal.core.vocab import Muscle
from paraspinal.models.card import Accuracy
from paraspinal.models.inference import LoadedModel, MuscleSegmenter, load_model
from paraspinal.models.training.muscles_card import NAME, VERSION
from paraspinal.phantom.anatomy import Anatomy, sample_parameters
from paraspinal.phantom.contrast import CONTRASTS, QUICK, Weighting, label_map, render
from paraspinal.statistics import overlap

MUSCLES_MODEL = f"{NAME}@{VERSION}"
BARS = {"mean_dsc": 0.90, "dsc": 0.85, "volume_error_pct": 5.0, "water_fat_difference": 0.02}
"""What the labelled person has to show: mean and every single Dice at least, volume error and difference of the two
images' mean Dice at most."""

MEAN_OF_FOUR, AS_ONE = "mean of the four", "multifidus and erector spinae as one"
PAIRS = {
    "multifidus": ("multifidus_left", "multifidus_right"),
    "erector_spinae": ("erector_spinae_left", "erector_spinae_right"),
}
RESAMPLES, RESAMPLING_SEED = 2000, 7_4000
CONFIDENCE = (2.5, 97.5)  # percentiles
DIXON_FOLDER = Path("nifti/dixon_lumbar")
DIXON_DATA = "one person, 3 T axial Dixon, L2-L5 (MyoSegmenTUM sub-TUM01), never trained on"

PHANTOM_PEOPLE = 6
PHANTOM_SEED = 7_2000  # another stream of people than the one trained on
PHANTOM_GRID = Grid(
    size=(200, 150, 16),
    spacing_mm=(1.4, 1.4, 8.0),
    origin_mm=(-139.0, -85.0, -72.0),
    direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
)
"""Axial slices from L5 to L1 of the procedural people."""

REFERENCE_CODES = {
    "erector_spinae_right": 1,
    "multifidus_right": 2,
    "multifidus_left": 3,
    "erector_spinae_left": 4,
}
"""Codes of the reference; checked by position, the source's own table has 3 and 4 exchanged."""


@dataclass(frozen=True)
class Timing:
    """Wall time and memory of one segmentation."""

    seconds: float
    peak_gb: float


def read_dixon(data_folder: Path) -> tuple[dict[str, sitk.Image], np.ndarray]:
    """Read water and fat of the labelled person in one grid, and the reference codes (z, y, x)."""
    folder = data_folder / DIXON_FOLDER
    fat = sitk.ReadImage(folder / "sub-TUM01_fat.nii.gz")
    water = sitk.ReadImage(folder / "sub-TUM01_water.nii.gz")
    water.CopyInformation(fat)  # the water file lost its origin; same scan, same grid
    reference = sitk.GetArrayFromImage(sitk.ReadImage(folder / "sub-TUM01_dseg.nii.gz"))
    return {"water": water, "fat": fat}, reference


def evaluate_muscles(model: LoadedModel, data_folder: Path) -> tuple[Accuracy, ...]:
    """Measure Dice and volume error on both images of the labelled person, and how far the images differ.

    Confidence intervals resample the slices of that one person: they tell how much the number owes to single
    slices, not how it would vary between people.
    """
    images, reference = read_dixon(data_folder)
    segmenter = MuscleSegmenter(model)
    results, means = [], []
    for kind, image in images.items():
        labels = sitk.GetArrayFromImage(segmenter.segment(image).label_map)
        counts = {
            name: slice_counts(labels == label_by_name(name).code, reference == code)
            for name, code in REFERENCE_CODES.items()
        }
        everything = np.isin(labels, [label_by_name(name).code for name in REFERENCE_CODES])
        data = f"{kind} image of {DIXON_DATA}"
        results += compare(data, counts, slice_counts(everything, reference > 0))
        means.append(next(r.value for r in results if r.data == data and r.structure == MEAN_OF_FOUR))
    difference = abs(means[0] - means[1])
    results.append(Accuracy(f"water and fat image of {DIXON_DATA}", "difference of dsc", MEAN_OF_FOUR, difference, "1"))
    return tuple(results)


def slice_counts(found: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Count voxels of both, of what was found and of the reference in every slice: (3, N)."""
    return np.stack([np.count_nonzero(m, axis=(1, 2)) for m in (found & reference, found, reference)])


def compare(data: str, counts: dict[str, np.ndarray], as_one: np.ndarray) -> list[Accuracy]:
    """Turn counts per slice (3, N) of every structure into Dice and volume error with intervals over slices."""
    n_slices = as_one.shape[1]
    picks = np.random.default_rng(RESAMPLING_SEED).integers(n_slices, size=(RESAMPLES, n_slices))
    pairs = {pair: counts[left] + counts[right] for pair, (left, right) in PAIRS.items()}
    each = {name: resampled(_dice_of, c, picks) for name, c in (counts | {AS_ONE: as_one}).items()}
    each[MEAN_OF_FOUR] = np.mean([each[name] for name in counts], axis=0)
    rows = [_accuracy(data, "dsc", name, values, "1") for name, values in each.items()]
    for name, c in (counts | pairs).items():
        rows.append(_accuracy(data, "volume error", name, resampled(_volume_error_of, c, picks), "%"))
    return rows


def resampled(statistic: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """Compute a statistic of summed counts (3, ...): first of all slices, then of every resampling."""
    sums = np.concatenate([counts.sum(axis=1, keepdims=True), counts[:, picks].sum(axis=2)], axis=1)
    return statistic(sums.astype(float))


def _dice_of(sums: np.ndarray) -> np.ndarray:
    return np.asarray(2.0 * sums[0] / np.maximum(sums[1] + sums[2], 1.0))


def _volume_error_of(sums: np.ndarray) -> np.ndarray:
    return np.asarray(100.0 * (sums[1] / np.maximum(sums[2], 1.0) - 1.0))


def _accuracy(data: str, measure: str, structure: str, values: np.ndarray, unit: str) -> Accuracy:
    low, high = np.percentile(values[1:], CONFIDENCE)
    return Accuracy(data, measure, structure, float(values[0]), unit, float(low), float(high))


def bars(accuracy: tuple[Accuracy, ...]) -> list[dict[str, Any]]:
    """Compare the measurements of the labelled person with :data:`BARS`: worst value, limit, whether it is met."""
    single = [a.value for a in accuracy if a.measure == "dsc" and a.structure in REFERENCE_CODES]
    means = [a.value for a in accuracy if a.structure == MEAN_OF_FOUR and a.measure == "dsc"]
    volumes = [abs(a.value) for a in accuracy if a.measure == "volume error" and a.structure in PAIRS]
    differences = [a.value for a in accuracy if a.measure == "difference of dsc"]
    worst = {
        "mean_dsc": min(means),
        "dsc": min(single),
        "volume_error_pct": max(volumes),
        "water_fat_difference": max(differences),
    }
    at_least = {"mean_dsc", "dsc"}
    return [
        {"bar": n, "limit": BARS[n], "worst": v, "is_met": v >= BARS[n] if n in at_least else v <= BARS[n]}
        for n, v in worst.items()
    ]


def evaluate_phantoms(model: LoadedModel, people: int = PHANTOM_PEOPLE) -> tuple[Accuracy, ...]:
    """Compute the mean Dice similarity per muscle (both sides) and weighting on procedural people not trained on.

    Confidence intervals resample the people.
    """
    segmenter = MuscleSegmenter(model)
    scores: dict[tuple[Weighting, Muscle], list[float | None]] = {}
    for number in range(people):
        rng = np.random.default_rng([PHANTOM_SEED, number])
        anatomy = Anatomy(sample_parameters(rng))
        truth = label_map(anatomy, PHANTOM_GRID)
        for weighting in (Weighting.T1W, Weighting.T2W, Weighting.WATER):
            image = sitk.GetImageFromArray(
                render(anatomy, PHANTOM_GRID, CONTRASTS[weighting], rng, noise=0.03, samples=QUICK)
            )
            image.SetSpacing(PHANTOM_GRID.spacing_mm)
            image.SetOrigin(PHANTOM_GRID.origin_mm)
            labels = sitk.GetArrayFromImage(segmenter.segment(image).label_map)
            for (muscle, _), code in muscles_among(model.card.codes).items():
                scores.setdefault((weighting, muscle), []).append(overlap.dice(labels == code, truth == code))
    data = f"{people} procedural people not trained on, synthetic"
    picks = np.random.default_rng(RESAMPLING_SEED).integers(people, size=(RESAMPLES, people))
    results = []
    for (weighting, muscle), values in scores.items():
        by_person = np.nanmean(np.array(values, dtype=float).reshape(people, -1), axis=1)
        means = np.concatenate([[by_person.mean()], by_person[picks].mean(axis=1)])
        results.append(_accuracy(f"{weighting} of {data}", "dsc", str(muscle), means, "1"))
    return tuple(results)


def time_segmentation(model: LoadedModel, size: tuple[int, int, int] = (400, 400, 60)) -> Timing:
    """Time the segmentation of an image of ``size`` (x, y, z) at 1 x 1 x 4 mm; peak memory of the process.

    The image is one slice of a procedural person over and over: what is looked at depends on what is found.
    """
    x, y, z = size
    grid = replace(PHANTOM_GRID, size=(x, y, 1), spacing_mm=(1.0, 1.0, 4.0), origin_mm=(-x / 2, -y / 2, -20.0))
    rng = np.random.default_rng(PHANTOM_SEED)
    one = render(Anatomy(), grid, CONTRASTS[Weighting.WATER], rng, noise=0.03, samples=QUICK)
    image = sitk.GetImageFromArray(np.repeat(one, z, axis=0))
    image.SetSpacing(grid.spacing_mm)
    start = time.perf_counter()
    MuscleSegmenter(model).segment(image)
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Timing(time.perf_counter() - start, peak_kb / 1024**2)


def evaluate(data_folder: Path, model: str = MUSCLES_MODEL, resources: Path = RESOURCES) -> dict[str, Any]:
    """Measure accuracy and speed of a registered muscles model on the CPU; plain JSON types.

    A data folder without the labelled person raises InputError.
    """
    if not (data_folder / DIXON_FOLDER).is_dir():
        raise InputError("the labelled Dixon person is not in the data folder", hint="see the user's manual, evaluate")
    loaded = load_model(model, resources=resources)
    person = evaluate_muscles(loaded, data_folder)
    accuracy = [asdict(row) for row in (*person, *evaluate_phantoms(loaded))]
    speed = asdict(time_segmentation(loaded))
    return {"model": model, "bars": bars(person), "accuracy": accuracy, "speed_400x400x60": speed}
