"""A patient who moved between the sagittal and the axial scan, on the anatomical phantom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scan_factory import grid_of, lumbar_spine, run, save, scan_row, spine_row, work_in

from paraspinal.core.imaging.geometry import Grid
from paraspinal.phantom.anatomy import Anatomy
from paraspinal.phantom.cohort import axial_grid, sagittal_grid
from paraspinal.phantom.contrast import CONTRASTS, QUICK, Weighting, add_noise, ideal_signals
from paraspinal.phantom.parameters import AnatomyParameters
from paraspinal.stages.levels.motion import shift_mm
from paraspinal.stages.levels.stage import STAGE
from paraspinal.stages.quality.assess import flags_of_levels

WITHIN_MM = 1.5


@pytest.fixture(scope="module")
def scans() -> tuple[tuple[Grid, np.ndarray], tuple[Grid, np.ndarray]]:
    """A sagittal T2w and an axial T1w scan of one person, rendered on their grids."""
    anatomy = Anatomy(AnatomyParameters())
    rng = np.random.default_rng(2)
    made = []
    for grid, weighting in (
        (replace(sagittal_grid(), size=(144, 144, 13), spacing_mm=(2.0, 2.0, 4.4)), Weighting.T2W),
        (axial_grid(anatomy, 2.4, 5.0), Weighting.T1W),
    ):
        signal = ideal_signals(anatomy, grid, [CONTRASTS[weighting]], QUICK)[0]
        made.append((grid, add_noise(signal, rng, 0.02).astype(np.float32)))
    return made[0], made[1]


def moved(grid: Grid, by_mm: tuple[float, float, float]) -> Grid:
    x, y, z = (float(a + b) for a, b in zip(grid.origin_mm, by_mm, strict=True))
    return replace(grid, origin_mm=(x, y, z))


@pytest.mark.parametrize("by_mm", [(0.0, 0.0, 0.0), (0.0, 0.0, 8.0), (0.0, 3.0, -12.0), (4.0, -6.0, 0.0)])
def test_a_shift_is_found_in_all_directions(
    scans: tuple[tuple[Grid, np.ndarray], tuple[Grid, np.ndarray]], by_mm: tuple[float, float, float]
) -> None:
    (sagittal, spine), (axial, scan) = scans
    found = shift_mm(sagittal.image(spine), moved(axial, by_mm).image(scan))
    assert found == pytest.approx(by_mm, abs=WITHIN_MM)


def test_scans_that_share_too_little_are_not_judged(
    scans: tuple[tuple[Grid, np.ndarray], tuple[Grid, np.ndarray]],
) -> None:
    (sagittal, spine), (axial, scan) = scans
    group = replace(axial, size=(*axial.size[:2], 5)).image(scan[:5])
    assert shift_mm(sagittal.image(spine), group) is None
    beside = moved(axial, (1000.0, 0.0, 0.0)).image(scan)
    assert shift_mm(sagittal.image(spine), beside) is None


@pytest.mark.parametrize(("along_mm", "is_flagged"), [(0.0, False), (10.0, True)])
def test_the_stage_records_it_and_quality_flags_it(
    tmp_path: Path, scans: tuple[tuple[Grid, np.ndarray], tuple[Grid, np.ndarray]], along_mm: float, is_flagged: bool
) -> None:
    (sagittal, spine), (axial, scan) = scans
    axial = moved(axial, (0.0, 0.0, along_mm))
    save(tmp_path, sagittal, spine=spine)
    save(tmp_path, axial, scan=scan)
    rows = [
        scan_row(axial, image_path="scan.nii.gz"),
        spine_row(lumbar_spine(), image_path="spine.nii.gz"),
    ]
    row = next(r for r in run(STAGE, rows, work_in(tmp_path)) if r["role"] == "muscles")
    assert row["level_shift_mm"] == pytest.approx([0.0, 0.0, along_mm], abs=WITHIN_MM)
    assert row["level_source"] == "sagittal_transfer"
    flags = [f for f in flags_of_levels(row, max_shift_mm=5.0) if f.reason == "PATIENT_MOVED"]
    assert len(flags) == is_flagged
    if is_flagged:
        assert "10 mm" in (flags[0].detail or "")


def test_without_images_nothing_is_said_of_motion(tmp_path: Path) -> None:
    row = run(STAGE, [scan_row(grid_of()), spine_row(lumbar_spine())], work_in(tmp_path))[0]
    assert row["level_shift_mm"] is None


def test_the_search_repeats_exactly(scans: tuple[tuple[Grid, np.ndarray], tuple[Grid, np.ndarray]]) -> None:
    (sagittal, spine), (axial, scan) = scans
    one, two = (shift_mm(sitk.Image(sagittal.image(spine)), axial.image(scan)) for _ in range(2))
    assert one is not None
    assert two is not None
    assert one.tolist() == two.tolist()
