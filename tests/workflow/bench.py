"""One invented person, rendered once, from whom the catalogue of bad inputs takes all its images."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.vocab import DixonPart, Plane
from paraspinal.phantom.anatomy import Anatomy
from paraspinal.phantom.cohort import sagittal_grid
from paraspinal.phantom.contrast import (
    CONTRASTS,
    QUICK,
    Weighting,
    add_noise,
    dixon_parts,
    ideal_signals,
)
from paraspinal.phantom.dicom import Series, Visit, datasets, write
from paraspinal.phantom.parameters import AnatomyParameters, per_muscle
from paraspinal.phantom.vendors import SCANNERS, Vendor, spin_echo

PIXEL_MM, SPACING_MM, N_SLICES = 2.1, 9.0, 5
FAT_FRAC = 0.25
"""So much fat that T2w images tell it from muscle."""
SIZE = (152, 112)
FRONT_MM = 128.0
"""From the centre of L3 to the front edge of axial images."""


def axial_grid(centre_z_mm: float = 0.0, n_slices: int = N_SLICES, size: tuple[int, int] = SIZE) -> Grid:
    """A few coarse axial slices around a height; 0 is the centre of L3."""
    left = -(size[0] - 1) * PIXEL_MM / 2
    bottom = centre_z_mm - (n_slices - 1) * SPACING_MM / 2
    return Grid(
        (*size, n_slices), (PIXEL_MM, PIXEL_MM, SPACING_MM), (left, -FRONT_MM, bottom), tuple(np.eye(3).ravel())
    )


class Bench:
    """The rendered images; all lie in one frame of reference."""

    def __init__(self, parameters: AnatomyParameters | None = None) -> None:
        self.anatomy = Anatomy(parameters or AnatomyParameters(intramuscular_fat_frac=per_muscle(FAT_FRAC)))
        self.rng = np.random.default_rng(3)

    def render(self, grid: Grid, *weights: Weighting) -> list[np.ndarray]:
        """Images (z, y, x) of some contrasts on a grid, a little noisy."""
        ideal = ideal_signals(self.anatomy, grid, [CONTRASTS[w] for w in weights], QUICK, thickness_frac=0.9)
        return [add_noise(image, self.rng, 0.012) for image in ideal]

    @cached_property
    def axial(self) -> dict[Weighting, np.ndarray]:
        """The usual axial slices in every contrast."""
        return dict(zip(Weighting, self.render(axial_grid(), *Weighting), strict=True))

    @cached_property
    def dixon(self) -> dict[DixonPart, np.ndarray]:
        """The same slices as a Dixon set."""
        return dixon_parts(self.axial[Weighting.WATER], self.axial[Weighting.FAT])

    @cached_property
    def sagittal(self) -> np.ndarray:
        """The usual sagittal slices."""
        return self.render(sagittal_grid(), Weighting.T2W)[0]


@dataclass
class Person:
    """One person of the catalogue, whose folder holds one bad input; ``patient_id`` is what the headers say."""

    name: str
    folder: Path
    bench: Bench
    patient_id: str = ""
    vendor: Vendor = Vendor.SIEMENS
    paths: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.patient_id = self.patient_id or f"CAT-{self.name}"

    @property
    def visit(self) -> Visit:
        return Visit(self.name, self.patient_id, f"Case^{self.name}", "F", "19700102", "20230306")

    def axial(self, number: int = 3, weight: Weighting = Weighting.T2W) -> Series:
        """The usual axial series."""
        return spin_echo(self.vendor, weight, Plane.AXIAL, number, axial_grid(), self.bench.axial[weight])

    def sagittal(self, number: int = 2) -> Series:
        """The usual sagittal series."""
        return spin_echo(self.vendor, Weighting.T2W, Plane.SAGITTAL, number, sagittal_grid(), self.bench.sagittal)

    def images(self, series: Series, visit: Visit | None = None) -> list[Dataset]:
        """Files of a series of this person."""
        return datasets(series, visit or self.visit, SCANNERS[self.vendor])

    def save(self, items: Series | list[Dataset], folder: str = "") -> list[Path]:
        """Write files into the person's folder, or a folder in it."""
        found = self.images(items) if isinstance(items, Series) else items
        saved = write(found, self.folder / folder, lambda number: f"{self.name}{len(self.paths) + number:04d}.dcm")
        self.paths += saved
        return saved


def moved(series: Series, array: np.ndarray, grid: Grid) -> Series:
    """The same series with another image on another grid."""
    return replace(series, grid=grid, parts=(replace(series.parts[0], array=array),))
