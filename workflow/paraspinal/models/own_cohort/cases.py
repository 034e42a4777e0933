"""Labelled images made ready to be drawn from: canonical slices beside their labels, in a cache on disk.

The cache holds image data of people. It lies in the output folder of the training and goes when training ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from paraspinal.core.errors import DataError, InputError
from paraspinal.core.files import atomic_path, sha256_json
from paraspinal.core.imaging.geometry import Grid, same_grid
from paraspinal.core.imaging.images import read_image
from paraspinal.core.imaging.slice_grid import PIXEL_MM, slice_grid
from paraspinal.models.own_cohort.sheet import Case
from paraspinal.models.synthesis.muscles.layout import MUSCLE_CLASSES

Array = npt.NDArray[np.float32]

MAX_OFFSET_MM = 0.1
"""Image and label map share a grid when no voxel is farther off than this; tools round headers differently."""


@dataclass(frozen=True)
class LabelledImage:
    """A case read into memory: image, fat image where there is one, and class indices (z, y, x) on its grid."""

    image: sitk.Image
    fat: sitk.Image | None
    classes: npt.NDArray[np.uint8]
    voxels: str  # hash of the voxels of the image alone
    content: str  # hash of everything


@dataclass(frozen=True)
class ReadyCase:
    """Where a case lies in the cache and how its pixels relate to mm from the middle of the muscles."""

    person: int  # number of the person in the run, not an identifier
    digest: str
    labelled: tuple[int, ...]  # slices with at least one outlined pixel
    spacing_mm: tuple[float, float]  # rows and columns of the labels
    middle_mm: tuple[float, float]  # of the muscles, rows and columns, from the middle of the image

    def read(self, cache: Path, index: int) -> tuple[Array, npt.NDArray[np.uint8]]:
        """Read one slice: intensities (1 or 2, H, W) at ``PIXEL_MM`` and classes (h, w) in native pixels."""
        images = np.load(cache / f"{self.digest}-image.npy", mmap_mode="r")
        classes = np.load(cache / f"{self.digest}-classes.npy", mmap_mode="r")
        return np.array(images[:, index]), np.array(classes[index])


def read_case(case: Case, values: Mapping[int, str | None]) -> LabelledImage:
    """Read a case; ``values`` says what the label map's values mean.

    Raises InputError naming the row for an image that cannot be used, a label map on another grid, or an unknown value.
    """
    where = f"row {case.row} of the cohort sheet"
    try:
        image, labels = read_image(case.image), read_image(case.labels)
        fat = read_image(case.fat) if case.fat else None
    except (InputError, DataError) as error:
        raise InputError(f"{where}: {error}") from None
    others = [part for part in (labels, fat) if part is not None]
    if not all(same_grid(Grid.of(image), Grid.of(part), MAX_OFFSET_MM) for part in others):
        raise InputError(f"{where}: image, label map and fat image do not share one grid", hint="resample them")
    stored = sitk.GetArrayFromImage(labels)
    found = np.unique(stored)
    unknown = [value for value in found.tolist() if value not in values]
    if unknown:
        raise InputError(f"{where}: values without a meaning: {unknown[:5]}", hint="name them in the label sheet")
    intensities = sitk.GetArrayViewFromImage(image)
    if not np.isfinite(intensities).all() or intensities.max() == intensities.min():
        raise InputError(f"{where}: the image has no contrast, or holds what is no number")
    classes = np.zeros(stored.shape, dtype=np.uint8)
    for value in found.tolist():
        name = values[value]
        classes[stored == value] = MUSCLE_CLASSES.index(name) if name else 0
    if not classes.any():
        raise InputError(f"{where}: nothing is outlined")
    voxels = _digest(intensities)
    parts = [voxels, _digest(classes), *([_digest(sitk.GetArrayViewFromImage(fat))] if fat is not None else [])]
    content = sha256_json({"parts": parts, "spacing": image.GetSpacing(), "direction": image.GetDirection()})
    return LabelledImage(image, fat, classes, voxels, content)


def make_ready(case: LabelledImage, person: int, cache: Path) -> ReadyCase:
    """Put a case into the cache, unless it is there, and say where it is."""
    grid = slice_grid(case.image)
    classes = grid.axes.forward(case.classes)
    spacing = (grid.spacing_mm[1], grid.spacing_mm[2])
    parts = [grid.to_slices(part) for part in (case.image, case.fat) if part is not None]
    (top, left), (height, width) = grid.padding, grid.inner
    slices = np.stack(parts)[:, :, top : top + height, left : left + width]
    for name, array in (("image", slices), ("classes", np.ascontiguousarray(classes))):
        path = cache / f"{case.content}-{name}.npy"
        if not path.exists():
            with atomic_path(path) as temporary, temporary.open("wb") as handle:
                np.save(handle, array)
    rows, columns = np.nonzero(classes.any(axis=0))
    middle = [
        float((where.mean() - (n - 1) / 2) * mm)
        for where, n, mm in zip((rows, columns), classes.shape[1:], spacing, strict=True)
    ]
    labelled = tuple(int(i) for i in np.flatnonzero(classes.any(axis=(1, 2))))
    return ReadyCase(person, case.content, labelled, spacing, (middle[0], middle[1]))


def pixel_positions(mm: Array, n_pixels: int, pixel_mm: float = PIXEL_MM) -> Array:
    """Turn mm from the middle of a line of pixels into pixel indices."""
    return np.asarray(mm / pixel_mm + (n_pixels - 1) / 2, dtype=np.float32)


def _digest(array: npt.NDArray) -> str:
    return sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
