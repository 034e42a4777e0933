"""The demo cohort: nine visits of eight invented people at three centres, written as a messy DICOM export.

The truth is not in the files: `demo_truth` computes it from the same seed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.vocab import DixonPart, Plane
from paraspinal.phantom.anatomy import Anatomy, AnatomyParameters, sample_parameters
from paraspinal.phantom.contrast import (
    CONTRASTS,
    QUICK,
    Weighting,
    add_noise,
    bias_field,
    dixon_parts,
    ideal_signals,
    texture,
)
from paraspinal.phantom.dicom import Series, Visit, datasets, dicom_name, truncate_file, write
from paraspinal.phantom.dixon_exports import USUAL, Export, dixon
from paraspinal.phantom.truth import TRUTH_STEP_MM, truth
from paraspinal.phantom.vendors import SCANNERS, Vendor, localizer, spin_echo

TRUTH_COLUMNS = (
    "patient_id", "study_date", "muscle", "side", "level", "level_scheme",
    "volume_mm3", "acsa_mm2", "csa_mid_mm2", "fat_fraction_frac",
)  # fmt: skip

# Axial stack: field of view and margins beyond L1 and S1, mm.
_AXIAL_FOV_MM = (336.0, 264.0)
_AXIAL_FRONT_MM = 138.0  # from the centre of L3 to the front edge
_AXIAL_MARGIN_MM = (14.0, 6.0)
# Sagittal stack.
_SAGITTAL_FOV_MM = 288.0
_SAGITTAL_FRONT_MM = 150.0
_SAGITTAL_CENTRE_Z_MM = -8.0
_SAGITTAL_SLICES, _SAGITTAL_SPACING_MM, _SAGITTAL_PIXEL_MM = 13, 4.4, 1.0
_LOCALIZER_PIXELS, _LOCALIZER_MM = 192, 2.0

_LARGEST = {"body_half_width_mm": 161.0, "body_front_mm": 112.0, "subcutaneous_fat_mm": 26.0}
"""People of the cohort fit into the field of view."""

_FOLLOW_UP_BULK, _FOLLOW_UP_FAT_FRAC = 0.93, 0.035
"""What a year does to the person who comes twice: muscle left, fat gained."""

_NOISE, _DIXON_NOISE, _BIAS, _GRAIN = 0.018, 0.006, 0.16, 0.04


class Trouble(StrEnum):
    """What goes wrong with a visit."""

    NONE = "none"
    FAT_MISSING = "fat_missing"
    CORRUPT = "corrupt"


@dataclass(frozen=True)
class Plan:
    """One visit of the cohort: who, where, what was scanned, and into which folder it was exported."""

    person: int
    name: str
    sex: str
    birth_date: str
    study_date: str
    vendor: Vendor
    institution: str
    folder: str
    axial: tuple[Weighting, ...]
    sagittal: tuple[Weighting, ...]
    pixel_mm: float = 1.2
    spacing_mm: float = 5.0
    has_dixon: bool = True
    has_localizer: bool = False
    is_follow_up: bool = False
    n_lumbar: int = 5
    trouble: Trouble = Trouble.NONE

    @property
    def parts(self) -> frozenset[DixonPart]:
        """The parts of the Dixon set that the centre keeps: water and fat, all four where they come in one series."""
        is_whole = USUAL[self.vendor] is Export.ONE_SERIES
        kept = {DixonPart.IN_PHASE, DixonPart.OPPOSED_PHASE} if is_whole else set()
        return frozenset({DixonPart.WATER, DixonPart.FAT, *kept})

    @property
    def patient_id(self) -> str:
        """The invented identifier of the person."""
        return f"DEMO{self.person:03d}"


_NORTH, _SOUTH, _HARBOUR = "Northfield General Hospital", "Klinik Suedstadt", "Harbour Imaging Centre"
_T1, _T2 = Weighting.T1W, Weighting.T2W

PLANS: tuple[Plan, ...] = (
    Plan(1, "Alder^Anna", "F", "19610412", "20230306", Vendor.SIEMENS, _NORTH,
         "north/export 2023-03/Alder_A/MR LSPINE", (_T2,), (_T2, _T1), has_localizer=True),
    Plan(2, "Birch^Bruno", "M", "19550923", "20230307", Vendor.SIEMENS, _NORTH,
         "north/export 2023-03/0002/scans", (_T1,), (_T2,), pixel_mm=1.1, spacing_mm=4.0),
    Plan(2, "Birch^Bruno", "M", "19550923", "20240311", Vendor.SIEMENS, _NORTH,
         "north/export 2024-03/0002 (2)/scans", (_T1,), (_T2,), pixel_mm=1.1, spacing_mm=4.0, is_follow_up=True),
    Plan(3, "Cedar^Clara", "F", "19720130", "20230511", Vendor.UNITED_IMAGING, _NORTH,
         "north/uih/c/1/2/3", (_T2,), (_T2,)),
    Plan(4, "Dogwood^Dan", "M", "19480717", "20230214", Vendor.GE, _SOUTH,
         "Sued/PAT00004/ST00001", (_T1, _T2), (_T2, _T1)),
    Plan(5, "Elm^Eva", "F", "19801105", "20230215", Vendor.GE, _SOUTH,
         "Sued/PAT00005/ST00001", (_T2,), (_T2,), trouble=Trouble.FAT_MISSING),
    Plan(6, "Fir^Felix", "M", "19660608", "20230621", Vendor.PHILIPS, _HARBOUR,
         "harbour/DICOM/A", (_T2,), (_T2,), n_lumbar=6),
    Plan(7, "Ginkgo^Gina", "F", "19590825", "20230622", Vendor.PHILIPS, _HARBOUR,
         "harbour/DICOM/B", (_T1,), (_T2, _T1), has_localizer=True),
    Plan(8, "Hazel^Hugo", "M", "19751219", "20230623", Vendor.CANON, _HARBOUR,
         "harbour/misc, to sort/hugo", (_T2, _T1), (_T2,), trouble=Trouble.CORRUPT),
)  # fmt: skip


def plan_parameters(plan: Plan, seed: int) -> AnatomyParameters:
    """Draw the anatomy of a visit; a follow-up is the same person with less muscle and more fat in it."""
    drawn = sample_parameters(np.random.default_rng([seed, plan.person]))
    limits = {name: min(getattr(drawn, name), most) for name, most in _LARGEST.items()}
    p = replace(drawn, n_lumbar=plan.n_lumbar, iliac_crest_offset_mm=0.0, **limits)
    if not plan.is_follow_up:
        return p
    bulk = {key: value * _FOLLOW_UP_BULK for key, value in p.muscle_bulk.items()}
    fat = {key: value + _FOLLOW_UP_FAT_FRAC for key, value in p.intramuscular_fat_frac.items()}
    return replace(p, muscle_bulk=bulk, intramuscular_fat_frac=fat)


def plan_visit(plan: Plan, seed: int) -> Visit:
    """Return what the headers say about the person and the day."""
    key = f"demo {seed} {plan.patient_id} {plan.study_date}"
    return Visit(key, plan.patient_id, plan.name, plan.sex, plan.birth_date, plan.study_date)


def write_demo_cohort(folder: Path, seed: int = 0) -> None:
    """Write the cohort below `folder` (about 200 MB), with the stray files every export has; the truth stays out."""
    for plan in PLANS:
        write_visit(plan, folder / plan.folder, seed)
    (folder / "README.txt").write_text("Exported for the study. Please do not edit.\n")
    (folder / "north" / "DICOMDIR").write_bytes(b"\0" * 128 + b"NOT A REAL DIRECTORY FILE")
    (folder / "Sued" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")


def write_visit(plan: Plan, folder: Path, seed: int = 0) -> list[Path]:
    """Render and write all series of one visit and return the paths of its files."""
    anatomy = Anatomy(plan_parameters(plan, seed))
    rng = np.random.default_rng([seed, plan.person, int(plan.study_date)])
    # Nobody lies exactly at the isocentre.
    offset = np.round(rng.uniform((-12, -35, -30), (12, 5, 30)), 2)
    series = _visit_series(plan, anatomy, offset, rng)
    scanner = replace(SCANNERS[plan.vendor], institution=plan.institution)
    visit = plan_visit(plan, seed)
    paths: list[Path] = []
    for number in sorted({s.number for s in series}):
        items = [ds for s in series if s.number == number for ds in datasets(s, visit, scanner)]
        paths += write(items, folder / f"S{number:03d}", dicom_name)
    if plan.trouble is Trouble.CORRUPT:
        last_axial = max(s.number for s in series)
        for path in sorted((folder / f"S{last_axial:03d}").iterdir())[5:20]:
            truncate_file(path, 0.6)
    return paths


def _visit_series(plan: Plan, anatomy: Anatomy, offset: np.ndarray, rng: np.random.Generator) -> list[Series]:
    """Render the series of a visit: localizer, sagittal, Dixon, axial spin echoes."""
    series: list[Series] = []
    if plan.has_localizer:
        series += localizer(1, _localizer_images(anatomy, offset, rng))
    sagittal = sagittal_grid()
    images = _spin_echoes(anatomy, sagittal, plan.sagittal, rng)
    for number, (weight, image) in enumerate(images.items(), start=2):
        series.append(spin_echo(plan.vendor, weight, Plane.SAGITTAL, number, _moved(sagittal, offset), image))
    axial = axial_grid(anatomy, plan.pixel_mm, plan.spacing_mm)
    wanted = [CONTRASTS[w] for w in (*plan.axial, Weighting.WATER, Weighting.FAT)]
    signals = ideal_signals(anatomy, axial, wanted, QUICK, thickness_frac=0.9)
    if plan.has_dixon:
        gain = bias_field(axial, rng, _BIAS) * texture(axial, rng, _GRAIN)
        parts = dixon_parts(signals[-2] * gain, signals[-1] * gain)
        noisy = {part: add_noise(image, rng, _DIXON_NOISE) for part, image in parts.items() if part in plan.parts}
        field_strength = SCANNERS[plan.vendor].field_strength_t
        dixon_series = dixon(plan.vendor, 5, _moved(axial, offset), noisy, field_strength)
        if plan.trouble is Trouble.FAT_MISSING:
            dixon_series = [s for s in dixon_series if s.without(DixonPart.FAT).parts]
        series += dixon_series
    for number, (weight, ideal) in enumerate(zip(plan.axial, signals, strict=False), start=10):
        gain = bias_field(axial, rng, _BIAS) * texture(axial, rng, _GRAIN)
        image = add_noise(ideal * gain, rng, _NOISE)
        series.append(spin_echo(plan.vendor, weight, Plane.AXIAL, number, _moved(axial, offset), image))
    return series


def _spin_echoes(
    anatomy: Anatomy, grid: Grid, weights: tuple[Weighting, ...], rng: np.random.Generator
) -> dict[Weighting, np.ndarray]:
    ideal = ideal_signals(anatomy, grid, [CONTRASTS[w] for w in weights], QUICK, thickness_frac=0.9)
    return {
        weight: add_noise(image * bias_field(grid, rng, _BIAS) * texture(grid, rng, _GRAIN), rng, _NOISE)
        for weight, image in zip(weights, ideal, strict=True)
    }


def _localizer_images(
    anatomy: Anatomy, offset: np.ndarray, rng: np.random.Generator
) -> dict[Plane, tuple[Grid, np.ndarray]]:
    """Render one coarse slice per plane through the centre of L3."""
    reach = _LOCALIZER_PIXELS * _LOCALIZER_MM / 2
    views = {
        Plane.AXIAL: ((1, 0, 0), (0, 1, 0)),
        Plane.SAGITTAL: ((0, 1, 0), (0, 0, -1)),
        Plane.CORONAL: ((1, 0, 0), (0, 0, -1)),
    }
    images = {}
    for plane, (row, column) in views.items():
        axes = np.stack([row, column, np.cross(row, column)], axis=1).astype(float)
        origin = axes[:, 0] * -reach + axes[:, 1] * -reach
        size, spacing = (_LOCALIZER_PIXELS, _LOCALIZER_PIXELS, 1), (_LOCALIZER_MM, _LOCALIZER_MM, 8.0)
        grid = Grid(size, spacing, (float(origin[0]), float(origin[1]), float(origin[2])), tuple(axes.ravel()))
        image = _spin_echoes(anatomy, grid, (Weighting.T1W,), rng)[Weighting.T1W]
        images[plane] = (_moved(grid, offset), image)
    return images


def axial_grid(anatomy: Anatomy, pixel_mm: float, spacing_mm: float) -> Grid:
    """Lay an axial stack from above L1 to below the upper end plate of S1, in anatomical coordinates."""
    planes = anatomy.level_planes()
    top = float(planes["L1"].superior_point_mm[2]) + _AXIAL_MARGIN_MM[0]
    bottom = float(planes["S1"].centre_mm[2]) - _AXIAL_MARGIN_MM[1]
    columns, rows = (round(fov / pixel_mm) for fov in _AXIAL_FOV_MM)
    size = (columns, rows, int((top - bottom) / spacing_mm) + 1)
    origin = (-(columns - 1) * pixel_mm / 2, -_AXIAL_FRONT_MM, bottom)
    return Grid(size, (pixel_mm, pixel_mm, spacing_mm), origin, tuple(np.eye(3).ravel()))


def sagittal_grid() -> Grid:
    """Lay a sagittal stack around the midline, rows from front to back, slices from left to right."""
    pixels = round(_SAGITTAL_FOV_MM / _SAGITTAL_PIXEL_MM)
    axes = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    left = (_SAGITTAL_SLICES - 1) * _SAGITTAL_SPACING_MM / 2
    top = _SAGITTAL_CENTRE_Z_MM + _SAGITTAL_FOV_MM / 2
    return Grid(
        (pixels, pixels, _SAGITTAL_SLICES),
        (_SAGITTAL_PIXEL_MM, _SAGITTAL_PIXEL_MM, _SAGITTAL_SPACING_MM),
        (left, -_SAGITTAL_FRONT_MM, top),
        tuple(axes.ravel()),
    )


def _moved(grid: Grid, offset: np.ndarray) -> Grid:
    """Return the grid in scanner coordinates."""
    x, y, z = (float(v) for v in np.asarray(grid.origin_mm) + offset)
    return replace(grid, origin_mm=(x, y, z))


def demo_truth(seed: int = 0, step_mm: float = TRUTH_STEP_MM) -> pd.DataFrame:
    """Return what a perfect pipeline would measure: one row per visit, muscle, side, level and scheme.

    Columns: TRUTH_COLUMNS; see `truth` for their meaning. `study_date` is the invented date in the headers (YYYYMMDD).
    """
    tables = []
    for plan in PLANS:
        table = truth(Anatomy(plan_parameters(plan, seed)), step_mm)
        tables.append(table.assign(patient_id=plan.patient_id, study_date=plan.study_date))
    return pd.concat(tables, ignore_index=True)[list(TRUTH_COLUMNS)]
