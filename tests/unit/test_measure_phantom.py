"""Levels and measure on the anatomical phantom, against the truth its own fine sampling gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scan_factory import run, save, scan_row, spine_row, work_in

from paraspinal.core.labels import muscle_labels
from paraspinal.core.vocab import Muscle, Side
from paraspinal.phantom.anatomy import Anatomy
from paraspinal.phantom.cohort import axial_grid
from paraspinal.phantom.contrast import label_map
from paraspinal.phantom.parameters import AnatomyParameters, per_muscle
from paraspinal.phantom.truth import truth
from paraspinal.stages.levels.stage import STAGE as LEVELS
from paraspinal.stages.measure.stage import STAGE as MEASURE

BACK = [Muscle.MULTIFIDUS, Muscle.ERECTOR_SPINAE]
KEYS = ["muscle", "side", "level", "level_scheme"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Measured and true values of one person whose right back muscles are smaller, on 1.5 x 1.5 x 5 mm voxels."""
    bulk = per_muscle(1.0) | {(muscle, Side.RIGHT): 0.75 for muscle in BACK}
    anatomy = Anatomy(AnatomyParameters(muscle_bulk=bulk))
    grid = axial_grid(anatomy, pixel_mm=1.5, spacing_mm=5.0)
    labels = label_map(anatomy, grid)
    labels[~np.isin(labels, list(muscle_labels().values()))] = 0
    folder = tmp_path_factory.mktemp("results")
    save(folder, grid, dseg=labels)
    spine = [
        {name: np.asarray(value).tolist() for name, value in vars(planes).items()}
        | {"level": level, "body_area_mm2": 1500.0, "disc_area_mm2": None, "confidence": 1.0}
        for level, planes in anatomy.level_planes().items()
        if level in ("T12", "L1", "L2", "L3", "L4", "L5", "S1")
    ]
    work = work_in(folder)
    rows = [scan_row(grid, sequence="dixon", dseg_path="dseg.nii.gz"), spine_row(spine)]
    for stage in (LEVELS, MEASURE):
        rows = run(stage, rows, work)
    metrics = pd.DataFrame(next(row for row in rows if row["role"] == "muscles")["metrics"])
    expected = truth(anatomy, step_mm=2.0)
    for frame in (metrics, expected):
        frame[KEYS] = frame[KEYS].astype(str)
    merged = expected.merge(metrics, on=KEYS, suffixes=("_true", ""), validate="one_to_one")
    assert len(merged) == len(expected)
    return merged[merged["muscle"].isin([m.value for m in BACK])]


def test_volumes_of_vertebral_slabs(compared: pd.DataFrame) -> None:
    slabs = compared[compared["level_scheme"] == "vertebra_slab"]
    assert len(slabs) == 5 * 2 * 2
    error = slabs["volume_mm3"].astype(float) / slabs["volume_mm3_true"] - 1
    assert abs(error.mean()) < 0.01
    assert error.abs().max() < 0.04


def test_cross_sections_at_discs(compared: pd.DataFrame) -> None:
    discs = compared[compared["level_scheme"] == "disc_mid"]
    error = discs["acsa_mm2"].astype(float) / discs["acsa_mm2_true"] - 1
    assert abs(error.mean()) < 0.01
    assert error.abs().max() < 0.06


def test_the_smaller_side_is_the_right_one(compared: pd.DataFrame) -> None:
    slabs = compared[compared["level_scheme"] == "vertebra_slab"]
    assert (slabs["asym_signed_pct"].astype(float) > 10).all()
