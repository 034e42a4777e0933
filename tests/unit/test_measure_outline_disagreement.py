"""Outline disagreement per muscle and level: slices counted upwards by the model, as stored by the image."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scan_factory import grid_of, lumbar_spine, rods, run, save, scan_row, spine_row, work_in

from paraspinal.core.vocab import Side
from paraspinal.stages.levels.stage import STAGE as LEVELS
from paraspinal.stages.measure.outline_disagreement import level_disagreement, slice_disagreement
from paraspinal.stages.measure.stage import STAGE as MEASURE


def recorded(values: list[float | None]) -> list[dict]:
    return [{"label": 5101, "entropy": 0.1, "flip_disagreement": 0.1, "slice_disagreement": values}]


def test_slices_are_turned_to_the_order_they_are_stored_in() -> None:
    up, down = (grid_of(extent_mm=(8.0, 8.0, 12.0), flips=(1, sign, sign)) for sign in (1, -1))
    row = {"label_disagreement": recorded([0.1, None, 0.3])}
    assert slice_disagreement(row, up)[5101] == pytest.approx([0.1, np.nan, 0.3], nan_ok=True)
    assert slice_disagreement(row, down)[5101] == pytest.approx([0.3, np.nan, 0.1], nan_ok=True)
    assert slice_disagreement({"label_disagreement": recorded([0.1, 0.2])}, up) == {}, "another number of slices"
    assert slice_disagreement({"label_disagreement": None}, up) == {}
    assert slice_disagreement({"label_disagreement": [{"label": 5101, "slice_disagreement": None}]}, up) == {}


def test_a_level_takes_its_slices_by_weight_and_area() -> None:
    disagreement, area = np.array([0.1, 0.5, np.nan, 0.9]), np.array([100.0, 300.0, 50.0, 10.0])
    weights = np.array([1.0, 0.5, 1.0, 0.0])
    assert level_disagreement(disagreement, weights, area) == pytest.approx((0.1 * 100 + 0.5 * 150) / 250)
    assert level_disagreement(None, weights, area) is None
    assert level_disagreement(disagreement, None, area) is None
    assert level_disagreement(disagreement, np.array([0.0, 0.0, 1.0, 0.0]), area) is None


def test_metrics_carry_the_disagreement_of_their_level(tmp_path: Path) -> None:
    grid = grid_of()
    labels = rods(grid, dict.fromkeys(Side, 15.0))
    n = grid.size[2]
    ramp = [k / n for k in range(n)]
    row = scan_row(grid, sequence="dixon", dseg_path=save(tmp_path, grid, dseg=labels)["dseg"])
    row["label_disagreement"] = [
        {"label": code, "entropy": 0.1, "flip_disagreement": 0.1, "slice_disagreement": ramp}
        for code in np.unique(labels[labels > 0]).tolist()
    ]
    work = work_in(tmp_path)
    rows = run(MEASURE, run(LEVELS, [row, spine_row(lumbar_spine())], work), work)
    metrics = [m for m in next(r for r in rows if r["role"] == "muscles")["metrics"] if m["acsa_mm2"] is not None]
    whole = [m["outline_disagreement"] for m in metrics if m["level"] == "stack"]
    slabs = {m["level"]: m["outline_disagreement"] for m in metrics if m["level_scheme"] == "vertebra_slab"}
    assert whole
    assert all(0 < value < 1 for value in whole)
    assert grid.normal[2] > 0
    names = [level for level in ("L5", "L4", "L3", "L2", "L1") if level in slabs]
    assert len(names) >= 2
    assert all(slabs[low] < slabs[high] for low, high in pairwise(names)), "higher slices, more disagreement"
