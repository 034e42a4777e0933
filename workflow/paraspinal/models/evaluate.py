"""Measure the muscles model on people it never saw; numbers for its card.

One is real (MyoSegmenTUM, axial Dixon, multifidus and erector spinae only); the others are procedural,
which says little about real people but covers all eight muscles.
"""

from __future__ import annotations

import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from paraspinal.core.errors import InputError
from paraspinal.core.geometry import Grid
from paraspinal.core.labels import label_by_name, muscle_labels
from paraspinal.core.paths import RESOURCES
from paraspinal.core.vocab import Muscle
from paraspinal.models.card import Accuracy
from paraspinal.models.inference import LoadedModel, MuscleSegmenter, load_model
from paraspinal.phantom.anatomy import Anatomy, sample_parameters
from paraspinal.phantom.contrast import CONTRASTS, QUICK, Weighting, label_map, render

MUSCLES_MODEL = "muscles@0.1.0"
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


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice similarity of two masks; two empty masks have none (NaN)."""
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2.0 * int(np.count_nonzero(a & b)) / total if total else float("nan")


def read_dixon(data_folder: Path) -> tuple[dict[str, sitk.Image], np.ndarray]:
    """Read water and fat of the labelled person in one grid, and the reference codes (z, y, x)."""
    folder = data_folder / DIXON_FOLDER
    fat = sitk.ReadImage(folder / "sub-TUM01_fat.nii.gz")
    water = sitk.ReadImage(folder / "sub-TUM01_water.nii.gz")
    water.CopyInformation(fat)  # the water file lost its origin; same scan, same grid
    reference = sitk.GetArrayFromImage(sitk.ReadImage(folder / "sub-TUM01_dseg.nii.gz"))
    return {"water": water, "fat": fat}, reference


def evaluate_muscles(model: LoadedModel, data_folder: Path) -> tuple[Accuracy, ...]:
    """Compute the Dice similarity per muscle and image on the labelled person."""
    images, reference = read_dixon(data_folder)
    segmenter = MuscleSegmenter(model)
    results = []
    for kind, image in images.items():
        labels = sitk.GetArrayFromImage(segmenter.segment(image).label_map)
        found = {name: labels == label_by_name(name).code for name in REFERENCE_CODES}
        scores = {name: dice(found[name], reference == code) for name, code in REFERENCE_CODES.items()}
        scores["mean of the four"] = float(np.mean(list(scores.values())))
        scores["multifidus and erector spinae as one"] = dice(np.any(list(found.values()), axis=0), reference > 0)
        data = f"{kind} image of {DIXON_DATA}"
        results += [Accuracy(data, "dsc", name, value, "1") for name, value in scores.items()]
    return tuple(results)


def evaluate_phantoms(model: LoadedModel, people: int = PHANTOM_PEOPLE) -> tuple[Accuracy, ...]:
    """Compute the mean Dice similarity per muscle (both sides) and weighting on procedural people not trained on."""
    segmenter = MuscleSegmenter(model)
    scores: dict[tuple[Weighting, Muscle], list[float]] = {}
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
            for (muscle, _), code in muscle_labels().items():
                scores.setdefault((weighting, muscle), []).append(dice(labels == code, truth == code))
    data = f"{people} procedural people not trained on, synthetic"
    return tuple(
        Accuracy(f"{weighting} of {data}", "dsc", str(muscle), float(np.mean(values)), "1")
        for (weighting, muscle), values in scores.items()
    )


def time_segmentation(model: LoadedModel, size: tuple[int, int, int] = (400, 400, 60)) -> Timing:
    """Time the segmentation of a noise image of ``size`` (x, y, z) at 1 x 1 x 4 mm; peak memory of the process."""
    values = np.random.default_rng(0).uniform(0, 1000, size[::-1]).astype(np.float32)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((1.0, 1.0, 4.0))
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
    accuracy = [asdict(row) for row in (*evaluate_muscles(loaded, data_folder), *evaluate_phantoms(loaded))]
    return {"model": model, "accuracy": accuracy, "speed_400x400x60": asdict(time_segmentation(loaded))}
