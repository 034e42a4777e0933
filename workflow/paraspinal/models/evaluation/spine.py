"""Measure a spine model on people it never saw; numbers for its card.

Real: 34 sagittal lumbar volumes with labelled vertebral bodies, for testing only, whole and with the sacrum cut off.
Procedural: new people of the body that a tenth of the training pictures are cut from, where numbering and end-plates
are known exactly, in sagittal and in axial stacks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import stats

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.labels import vertebra_labels
from paraspinal.core.vocab import LevelNumbering
from paraspinal.models.card import Accuracy
from paraspinal.models.inference import LoadedModel
from paraspinal.models.spine_inference import look_at_spine
from paraspinal.phantom.anatomy import Anatomy, sample_parameters
from paraspinal.phantom.cohort import sagittal_grid
from paraspinal.phantom.contrast import CONTRASTS, QUICK, Weighting, render
from paraspinal.vertebrae.spine import NumberedSpine, number_spine

VERTEBRAE_FOLDER = Path("nifti/vertebrae")

REFERENCE_CODES = {"L1": 1, "L2": 2, "L3": 3, "L4": 4, "L5": 5, "T12": 11, "T11": 12}

GROUPS = {
    "VB": "34 people of both scanners, sagittal, test-only, never trained on",
    "VB3": "25 people, 3 T Philips sagittal T1 FFE (VB3), test-only, never trained on",
    "VB2": "9 people, 1.5 T Siemens sagittal T2 TSE (VB2), test-only, never trained on",
}

TOLERANCES_MM = (10.0, 5.0)

SHIFT_MM = 15.0
"""A name farther than this from its body is a wrong number; a level is 30 to 40 mm."""

CROP_REACH_MM = 16.0
"""Half the width of what is kept of a volume whose sacrum is cut off."""

RESAMPLES = 2000

PHANTOM_PEOPLE, AXIAL_PEOPLE = 9, 4
PHANTOM_SEED = 7_3000  # another stream of people than the one trained on
AXIAL_GRID = Grid(
    size=(70, 100, 72),
    spacing_mm=(1.6, 1.6, 4.0),
    origin_mm=(-56.0, -80.0, -160.0),
    direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
)
WEIGHTINGS = (Weighting.T2W, Weighting.T1W, Weighting.STIR)


@dataclass(frozen=True)
class VolumeScore:
    """How one volume went: distance per labelled lumbar level (inf where not named), Dice of all named bodies."""

    name: str
    error_mm: dict[str, float]
    dsc: float
    numbering: LevelNumbering
    lstv_suspected: bool
    seconds: float

    def is_right(self, tolerance_mm: float) -> bool:
        """Tell whether every labelled lumbar body was named right within the tolerance."""
        return max(self.error_mm.values()) < tolerance_mm

    @property
    def is_misnamed(self) -> bool:
        """Tell whether a number was given that is wrong, which is worse than none."""
        return any(SHIFT_MM < error < np.inf for error in self.error_mm.values())

    @property
    def is_unresolved(self) -> bool:
        """Tell whether numbering was refused."""
        return self.numbering is LevelNumbering.UNRESOLVED


def evaluate_volumes(model: LoadedModel, data_folder: Path, prefix: str = "VB") -> Iterator[VolumeScore]:
    """Yield the score of every real volume whose name begins with ``prefix``."""
    for name, image, labels in read_volumes(data_folder, prefix):
        yield _score(model, name, image, labels)


def evaluate_cropped(model: LoadedModel, data_folder: Path, prefix: str = "VB") -> Iterator[VolumeScore]:
    """Yield the score of the middle slices of every real volume, cut off through L5: the sacrum is out of view."""
    for name, image, labels in read_volumes(data_folder, prefix):
        found = np.argwhere(sitk.GetArrayFromImage(labels) == REFERENCE_CODES["L5"]).mean(axis=0)[::-1]
        direction = np.array(image.GetDirection()).reshape(3, 3)
        kept = [slice(None)] * 3
        z_axis, x_axis = (int(np.abs(direction[axis]).argmax()) for axis in (2, 0))
        middle = round(float(found[z_axis]))
        kept[z_axis] = slice(middle, None) if direction[2, z_axis] > 0 else slice(None, middle)
        centre, reach = round(float(found[x_axis])), round(CROP_REACH_MM / image.GetSpacing()[x_axis])
        kept[x_axis] = slice(max(0, centre - reach), centre + reach + 1)
        yield _score(model, name, image[tuple(kept)], labels[tuple(kept)])


def read_volumes(data_folder: Path, prefix: str) -> Iterator[tuple[str, sitk.Image, sitk.Image]]:
    """Yield name, image and reference labels of the real volumes."""
    for path in sorted((data_folder / VERTEBRAE_FOLDER).glob(f"{prefix}*_img.nii.gz")):
        labels = sitk.ReadImage(path.with_name(path.name.replace("_img", "_levels")))
        yield path.name.removesuffix("_img.nii.gz"), sitk.ReadImage(path), labels


def _score(model: LoadedModel, name: str, image: sitk.Image, labels: sitk.Image) -> VolumeScore:
    reference = sitk.GetArrayFromImage(labels)
    start = time.perf_counter()
    result = number_spine(look_at_spine(model, image), image)
    seconds = time.perf_counter() - start
    return VolumeScore(
        name,
        _errors(image, reference, result),
        _dsc(reference, result),
        result.numbering,
        result.spine.lstv_suspected,
        seconds,
    )


def _errors(image: sitk.Image, reference: np.ndarray, result: NumberedSpine) -> dict[str, float]:
    found = {level.level: level.centre_mm for level in result.levels}
    errors = {}
    for name, code in REFERENCE_CODES.items():
        voxels = np.argwhere(reference == code)
        if name.startswith("L") and len(voxels):
            centre = image.TransformContinuousIndexToPhysicalPoint(voxels.mean(axis=0)[::-1].tolist())
            errors[name] = float(np.linalg.norm(found[name] - np.array(centre))) if name in found else float("inf")
    return errors


def _dsc(reference: np.ndarray, result: NumberedSpine) -> float:
    """Dice of the bodies that the reference labels, names included: a shift by one level scores near zero."""
    labels = sitk.GetArrayFromImage(result.label_map)
    overlap = total = 0
    for name, code in REFERENCE_CODES.items():
        truth, found = reference == code, labels == vertebra_labels()[name]
        if truth.any():
            overlap += int(np.count_nonzero(truth & found))
            total += int(np.count_nonzero(truth)) + int(np.count_nonzero(found))
    return 2.0 * overlap / total


def accuracy(scores: list[VolumeScore]) -> tuple[Accuracy, ...]:
    """Summarise the scores for the card, together and per scanner, with 95 % confidence intervals."""
    rows: list[Accuracy] = []
    for prefix, data in GROUPS.items():
        group = [s for s in scores if s.name.startswith(prefix)]
        if not group:
            continue
        for tolerance in TOLERANCES_MM:
            right = [s.is_right(tolerance) for s in group]
            rows += share(data, f"all_levels_within_{tolerance:.0f}_mm", "centres L1-L5", right)
        rows += share(data, "misnamed", "any of L1-L5", [s.is_misnamed for s in group])
        rows += share(data, "unresolved", "numbering", [s.is_unresolved for s in group])
        errors = [e for s in group for e in s.error_mm.values() if np.isfinite(e)]
        if errors:
            rows.append(Accuracy(data, "median_centre_error", "centres L1-L5", float(np.median(errors)), "mm"))
        rows += mean(data, "mean_dsc", "named bodies, 0 if unresolved", [s.dsc for s in group])
        rows += mean(data, "mean_dsc", "named bodies, numbered volumes", [s.dsc for s in group if not s.is_unresolved])
    return tuple(rows)


def accuracy_cropped(scores: list[VolumeScore]) -> tuple[Accuracy, ...]:
    """Summarise volumes whose sacrum was cut off: there a number that is given must still be right."""
    data = f"{len(scores)} people of both scanners, images cut off through the middle of L5"
    return (
        *share(data, "misnamed", "any of L1-L5", [s.is_misnamed for s in scores]),
        *share(data, "unresolved", "numbering", [s.is_unresolved for s in scores]),
    )


def share(data: str, measure: str, structure: str, hits: list[bool]) -> list[Accuracy]:
    """Return a share with its exact (Clopper-Pearson) 95 % confidence interval."""
    if not hits:
        return []
    interval = stats.binomtest(sum(hits), len(hits)).proportion_ci(0.95, "exact")
    return [Accuracy(data, measure, structure, sum(hits) / len(hits), "1", float(interval.low), float(interval.high))]


def mean(data: str, measure: str, structure: str, values: list[float]) -> list[Accuracy]:
    """Return a mean with the percentile 95 % confidence interval of a bootstrap over people, fixed seed."""
    if not values:
        return []
    sample = np.array(values)
    picks = np.random.default_rng(0).integers(0, len(sample), (RESAMPLES, len(sample)))
    low, high = np.percentile(sample[picks].mean(axis=1), [2.5, 97.5])
    return [Accuracy(data, measure, structure, float(sample.mean()), "1", float(low), float(high))]


def evaluate_phantom_spines(
    model: LoadedModel, people: int = PHANTOM_PEOPLE, grid: Grid | None = None, kind: str = "sagittal"
) -> tuple[Accuracy, ...]:
    """Compare numbers and end-plates of L1-L5 with the truth of procedural people, weightings in turn."""
    grid = grid or sagittal_grid()
    right, shifts_mm, tilts_deg = [], [], []
    for number in range(people):
        rng = np.random.default_rng([PHANTOM_SEED, number])
        anatomy = Anatomy(sample_parameters(rng))
        weighting = WEIGHTINGS[number % len(WEIGHTINGS)]
        image = grid.image(render(anatomy, grid, CONTRASTS[weighting], rng, noise=0.03, samples=QUICK))
        found = {level.level: level for level in number_spine(look_at_spine(model, image), image).levels}
        truth = [(f"L{k}", anatomy.level_planes().get(_counted_name(anatomy, k))) for k in range(1, 6)]
        centres = [(found[n].centre_mm, t.centre_mm) if n in found else None for n, t in truth if t is not None]
        right.append(all(pair is not None and np.linalg.norm(pair[0] - pair[1]) < TOLERANCES_MM[0] for pair in centres))
        if not right[-1]:
            continue
        for name, planes in truth:
            if planes is None:
                continue
            ends = (
                (found[name].superior, planes.superior_point_mm, planes.superior_normal),
                (found[name].inferior, planes.inferior_point_mm, planes.inferior_normal),
            )
            for plane, point, normal in ends:
                if plane is not None:
                    shifts_mm.append(abs(float((plane.point_mm - point) @ normal)))
                    tilts_deg.append(float(np.degrees(np.arccos(np.clip(plane.normal @ normal, -1, 1)))))
    data = f"{people} procedural people not trained on, {kind}, T1w, T2w and STIR, synthetic"
    rows = [Accuracy(data, "all_levels_within_10_mm", "centres L1-L5", float(np.mean(right)), "1")]
    if not shifts_mm:
        return tuple(rows)
    return (
        *rows,
        Accuracy(data, "median_offset", "end-plates L1-L5", float(np.median(shifts_mm)), "mm"),
        Accuracy(data, "p95_offset", "end-plates L1-L5", float(np.percentile(shifts_mm, 95)), "mm"),
        Accuracy(data, "median_tilt_error", "end-plates L1-L5", float(np.median(tilts_deg)), "deg"),
        Accuracy(data, "p95_tilt_error", "end-plates L1-L5", float(np.percentile(tilts_deg, 95)), "deg"),
    )


def evaluate_axial_spines(model: LoadedModel, people: int = AXIAL_PEOPLE) -> tuple[Accuracy, ...]:
    """Do the same on axial stacks of 4 mm slices from S2 to T12, which the model sees cut sagittally."""
    return evaluate_phantom_spines(model, people, AXIAL_GRID, "axial at 4 mm")


def _counted_name(anatomy: Anatomy, number: int) -> str:
    """Name in the procedural body of the vertebra that counting up from its sacrum calls L1 .. L5."""
    names = [name for name in anatomy.level_planes() if name != "S1"]  # cranial to caudal
    return names[number - 6]
