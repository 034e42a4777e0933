"""Training samples from a labelled cohort, mixed with synthetic ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from paraspinal.models.input.normalise import N_CHANNELS, input_channels
from paraspinal.models.own_cohort.cases import ReadyCase, pixel_positions
from paraspinal.models.synthesis.augmentation import Geometry, degrade, sample_field_of_view, sample_geometry
from paraspinal.models.synthesis.muscles.layout import MUSCLE_CLASSES, SWAP_SIDES
from paraspinal.models.synthesis.muscles.task import SAMPLE_SHAPE, MuscleTask
from paraspinal.models.training.losses import any_of
from paraspinal.models.training.task import Sample

Array = npt.NDArray[np.float32]

AS_ACQUIRED_FRAC = 0.4
"""Share of real samples with the water image as it is; the others mix water and fat where there is a fat image."""

OPPOSED_FRAC = 0.4
"""Share of mixed samples that are differences |W - cF|, as opposed-phase images are; the others are sums aW + bF."""

FAT_GAIN = (0.3, 1.3)


@dataclass(frozen=True)
class CohortTask:
    """The muscles task on real people: a share ``synthetic_frac`` of the samples comes from ``synthesis`` instead.

    ``outlined`` says for each class whether the cohort's label maps have it; where one does not, the background
    of a real image may be that muscle, and the sample says so.
    """

    cases: tuple[ReadyCase, ...]
    cache: Path
    synthetic_frac: float
    outlined: tuple[bool, ...]
    synthesis: MuscleTask = field(default_factory=MuscleTask)
    name: str = "muscles"
    n_inputs: int = N_CHANNELS
    class_names: tuple[str, ...] = MUSCLE_CLASSES
    heatmap_names: tuple[str, ...] = ()

    def sample(self, rng: np.random.Generator) -> Sample:
        """Draw inputs (2, 112, 144), classes (112, 144) and no heatmaps."""
        if rng.uniform() < self.synthetic_frac:
            return self.synthesis.sample(rng)
        image, labels = self.picture(rng)
        return input_channels(image), labels, np.zeros((0, *labels.shape), dtype=np.float32)

    def picture(self, rng: np.random.Generator) -> tuple[Array, npt.NDArray[np.int64]]:
        """Draw one real slice (H, W), changed at random, and its classes; every person is as likely as any other."""
        people = sorted({case.person for case in self.cases})
        person = people[rng.integers(len(people))]
        own = [case for case in self.cases if case.person == person]
        case = own[rng.integers(len(own))]
        slices, classes = case.read(self.cache, case.labelled[rng.integers(len(case.labelled))])
        image = mix_dixon(rng, slices[0], slices[1]) if len(slices) > 1 else slices[0]
        geometry = sample_geometry(rng, SAMPLE_SHAPE, (0.0, 0.0))
        image, labels, is_inside = _cut(case, image, classes, geometry)
        labels = SWAP_SIDES[labels] if geometry.is_mirrored else labels
        visible = sample_field_of_view(rng, SAMPLE_SHAPE)
        image = degrade(rng, np.maximum(image, 0.0)) * visible
        unknown = tuple(index for index, is_outlined in enumerate(self.outlined) if index == 0 or not is_outlined)
        if len(unknown) > 1:
            labels = np.where((labels == 0) & is_inside, any_of(unknown), labels)
        return image, np.where(visible, labels, 0)


def mix_dixon(rng: np.random.Generator, water: Array, fat: Array) -> Array:
    """Make another image of a Dixon pair: water as it is, a sum aW + bF, or a difference |W - cF|."""
    if rng.uniform() < AS_ACQUIRED_FRAC:
        return water
    if rng.uniform() < OPPOSED_FRAC:
        return np.abs(water - np.float32(rng.uniform(*FAT_GAIN)) * fat)
    share = rng.uniform(0.0, 1.0, 2).astype(np.float32)
    share /= max(float(share.max()), 1e-3)
    return np.asarray(share[0] * water + share[1] * fat, dtype=np.float32)


def _cut(
    case: ReadyCase, image: Array, classes: npt.NDArray[np.uint8], geometry: Geometry
) -> tuple[Array, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Look up intensities (linear), classes (nearest) and whether the image reaches there, at the sample's pixels."""
    mm = (geometry.y_mm + np.float32(case.middle_mm[0]), geometry.x_mm + np.float32(case.middle_mm[1]))
    fine = [pixel_positions(position, n) for position, n in zip(mm, image.shape, strict=True)]
    native = [
        pixel_positions(position, n, spacing)
        for position, n, spacing in zip(mm, classes.shape, case.spacing_mm, strict=True)
    ]
    is_inside = np.logical_and.reduce(
        [(at > -0.5) & (at < n - 0.5) for at, n in zip(native, classes.shape, strict=True)]
    )
    found = ndimage.map_coordinates(image, fine, order=1, mode="nearest")
    labels = ndimage.map_coordinates(classes, native, order=0, mode="nearest")
    return (
        np.where(is_inside, found, 0.0).astype(np.float32),
        np.where(is_inside, labels, 0).astype(np.int64),
        is_inside,
    )
