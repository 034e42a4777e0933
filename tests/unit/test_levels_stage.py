from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scan_factory import grid_of, lumbar_spine, run, scan_row, spine_row, vertebra, work_in

from paraspinal.core.levels import LevelKind, all_levels, disc_between, level_by_name
from paraspinal.core.records.tables import Row
from paraspinal.stages.levels.stage import STAGE


def levels(tmp_path: Path, *rows: Row) -> list[Row]:
    return run(STAGE, list(rows), work_in(tmp_path))


def slabs_of(row: Row) -> dict[tuple[str | None, str], dict[str, Any]]:
    return {(s["level"], s["level_scheme"]): s for s in row["slabs"]}


def test_vertebrae_and_discs_of_a_straight_spine(tmp_path: Path) -> None:
    grid = grid_of()  # 50 slices of 4 mm from z = -98 to 98
    row = levels(tmp_path, scan_row(grid), spine_row(lumbar_spine()))[0]
    slabs = slabs_of(row)
    assert list(slabs) == [
        *[(f"L{n}", scheme) for n in range(1, 6) for scheme in ("vertebra_slab", "vertebra_mid")],
        *[(f"L{n}_L{n + 1}", "disc_mid") for n in range(1, 5)],
        ("L1_L5", "slice_block"),
        ("L1_L5", "plane_block"),
        ("stack", "slice_block"),
    ]
    body = slabs["L3", "vertebra_slab"]
    # The body reaches from -13.5 to 13.5 mm: slices at -14 .. 14 mm, the outer two by 1.5 of their 4 mm.
    assert np.flatnonzero(body["slice_weights"]).tolist() == list(range(21, 29))
    assert body["slice_weights"][21] == pytest.approx(0.375)
    assert body["slice_weights"][28] == pytest.approx(0.375)
    assert sum(body["slice_weights"]) * 4.0 == pytest.approx(27.0)
    assert body["coverage_frac"] == pytest.approx(1.0)
    assert body["slice_tilt_deg"] == pytest.approx(0.0)
    assert body["body_area_mm2"] == 1500.0
    disc = slabs["L3_L4", "disc_mid"]  # at -19 mm, between the slices at -22 and -18 mm
    assert disc["slice_weights"][19:21] == pytest.approx([0.25, 0.75])
    assert sum(slabs["L1_L5", "slice_block"]["slice_weights"]) * 4.0 == pytest.approx(179.0)
    assert sum(slabs["stack", "slice_block"]["slice_weights"]) == 50
    assert row["level_source"] == "sagittal_transfer"
    assert row["level_numbering"] == "counted_from_sacrum"
    assert row["level_scan_id"] == spine_row([])["scan_id"]
    assert row["level_reason_code"] is None


def test_partly_covered_levels_say_so(tmp_path: Path) -> None:
    grid = grid_of(extent_mm=(100, 100, 100))  # from z = -50 to 50
    slabs = slabs_of(levels(tmp_path, scan_row(grid), spine_row(lumbar_spine()))[0])
    assert slabs["L3", "vertebra_slab"]["coverage_frac"] == pytest.approx(1.0)
    assert slabs["L2", "vertebra_slab"]["coverage_frac"] == pytest.approx(25.5 / 27)
    assert slabs["L2", "vertebra_slab"]["reason_code"] == "COVERAGE_PARTIAL"
    assert slabs["L1", "vertebra_slab"]["coverage_frac"] == 0.0
    assert slabs["L1", "vertebra_mid"]["coverage_frac"] == 0.0
    assert slabs["L1_L5", "slice_block"]["coverage_frac"] == pytest.approx(100 / 179)


def test_end_plates_that_are_not_parallel(tmp_path: Path) -> None:
    grid = grid_of(spacing_mm=(1.0, 1.0, 1.0))
    wedge = vertebra("L5", 0.0, wedge_deg=20.0)
    # The upper plate passes 13.5 mm above the origin and rises backwards by tan(20); the axis of the body, the mean of
    # both normals, leans forwards by 10 degrees as it rises. From a centre 10 mm in front of the origin it meets the
    # upper plate at z = 13.5 + y tan(20) with y = -10 - z tan(10).
    wedge["centre_mm"] = [0.0, -10.0, 0.0]
    rise, lean = np.tan(np.radians([20.0, 10.0]))
    top = (13.5 - 10.0 * rise) / (1.0 + rise * lean)
    slab = slabs_of(levels(tmp_path, scan_row(grid), spine_row([wedge]))[0])["L5", "vertebra_slab"]
    assert sum(slab["slice_weights"]) == pytest.approx(top + 13.5)
    assert slab["slice_tilt_deg"] == pytest.approx(10.0)


def test_oblique_slices_hold_the_same_length_of_the_body(tmp_path: Path) -> None:
    grid = grid_of(spacing_mm=(1.0, 1.0, 3.0), rotation_deg=(20.0, 0.0, 0.0))
    slab = slabs_of(levels(tmp_path, scan_row(grid), spine_row([vertebra("L3", 0.0)]))[0])["L3", "vertebra_slab"]
    assert sum(slab["slice_weights"]) * 3.0 == pytest.approx(27.0 * np.cos(np.radians(20.0)))
    assert slab["slice_tilt_deg"] == pytest.approx(20.0)


def test_slices_along_the_body_have_no_level(tmp_path: Path) -> None:
    grid = grid_of(spacing_mm=(1.0, 1.0, 3.0), rotation_deg=(61.0, 0.0, 0.0))
    slab = slabs_of(levels(tmp_path, scan_row(grid), spine_row([vertebra("L3", 0.0)]))[0])["L3", "vertebra_slab"]
    assert (slab["slice_weights"], slab["reason_code"]) == (None, "LEVEL_UNRESOLVED")


@pytest.mark.parametrize("flip", [1, -1])
def test_stored_order_does_not_matter(tmp_path: Path, flip: int) -> None:
    grid = grid_of(flips=(1, 1, flip))
    slab = slabs_of(levels(tmp_path, scan_row(grid), spine_row(lumbar_spine()))[0])["L1", "vertebra_slab"]
    touched = grid.to_world(np.array([[0, 0, k] for k in np.flatnonzero(slab["slice_weights"])]))[:, 2]
    assert touched.min() == pytest.approx(62.0)
    assert touched.max() == pytest.approx(90.0)


@pytest.mark.parametrize(
    "spine",
    [
        spine_row(lumbar_spine(), frame_of_reference_id="another"),
        spine_row(lumbar_spine(), frame_of_reference_id=None),
        spine_row(lumbar_spine(), level_numbering="unresolved"),
        spine_row(lumbar_spine(), status="failed", reason_code="SEG_EMPTY"),
        spine_row([]),
    ],
    ids=["other frame", "no frame", "not numbered", "failed", "no vertebrae"],
)
def test_without_a_usable_spine_the_level_is_null(tmp_path: Path, spine: Row) -> None:
    row = levels(tmp_path, scan_row(grid_of()), spine)[0]
    assert list(slabs_of(row)) == [(None, "none"), ("stack", "slice_block")]
    assert slabs_of(row)[None, "none"]["reason_code"] == "LEVEL_UNRESOLVED"
    assert slabs_of(row)[None, "none"]["slice_weights"] is None
    assert (row["level_source"], row["level_numbering"]) == ("none", "unresolved")
    assert row["level_reason_code"] == "LEVEL_UNRESOLVED"
    assert row["status"] == "ok"


def test_a_scan_without_frame_of_reference_takes_no_levels(tmp_path: Path) -> None:
    row = levels(tmp_path, scan_row(grid_of(), frame_of_reference_id=None), spine_row(lumbar_spine()))[0]
    assert row["level_reason_code"] == "LEVEL_UNRESOLVED"


def test_levels_from_the_scan_itself(tmp_path: Path) -> None:
    own = {"vertebrae": lumbar_spine(), "level_numbering": "counted_from_sacrum", "lstv_suspected": False}
    row = levels(tmp_path, scan_row(grid_of(), frame_of_reference_id=None, **own))[0]
    assert (row["level_source"], row["level_numbering"]) == ("same_image", "counted_from_sacrum")
    assert row["level_scan_id"] == row["scan_id"]
    assert row["level_shift_mm"] is None
    assert sum(slabs_of(row)["L3", "vertebra_slab"]["slice_weights"]) * 4.0 == pytest.approx(27.0)


def test_a_sagittal_scan_goes_before_the_scan_itself_unless_it_has_no_numbers(tmp_path: Path) -> None:
    own = {"vertebrae": lumbar_spine(), "level_numbering": "counted_from_sacrum", "lstv_suspected": False}
    for numbering, source in (("counted_from_sacrum", "sagittal_transfer"), ("unresolved", "same_image")):
        spine = spine_row([vertebra("L3", 0.0)], level_numbering=numbering)
        done = {row["role"]: row for row in levels(tmp_path, scan_row(grid_of(), **own), spine)}
        assert done["muscles"]["level_source"] == source


@pytest.mark.parametrize(
    ("scan", "spine", "why"),
    [
        ({}, None, "no usable sagittal scan in the session"),
        ({}, {"status": "failed"}, "no usable sagittal scan in the session"),
        ({"frame_of_reference_id": None}, {}, "the scan has no frame of reference"),
        ({}, {"frame_of_reference_id": "another"}, "no sagittal scan in the same frame of reference"),
        ({}, {"level_numbering": "unresolved"}, "the vertebrae of the sagittal scan could not be numbered"),
        (
            {"vertebrae": [vertebra("L3", 0.0) | {"level": None}], "level_numbering": "unresolved"},
            None,
            "the vertebrae in the scan itself could not be numbered",
        ),
    ],
)
def test_a_null_level_says_why(tmp_path: Path, scan: Row, spine: Row | None, why: str) -> None:
    rows = [scan_row(grid_of(), **scan)] + ([] if spine is None else [spine_row(lumbar_spine(), **spine)])
    row = next(r for r in levels(tmp_path, *rows) if r["role"] == "muscles")
    assert row["level_reason_code"] == "LEVEL_UNRESOLVED"
    assert why in row["level_detail"]


def test_the_spine_with_better_numbering_then_more_vertebrae_wins(tmp_path: Path) -> None:
    sure_but_short = spine_row([vertebra("L3", 0.0, confidence=1.0)], scan_id="sub-a_ses-b_acq-a_T2w")
    assumed = spine_row(lumbar_spine(), scan_id="sub-a_ses-b_acq-b_T2w", level_numbering="assumed")
    long = spine_row(lumbar_spine(), scan_id="sub-a_ses-b_acq-z_T2w")
    scan = scan_row(grid_of())
    for rows in ([scan, sure_but_short, assumed, long], [long, assumed, sure_but_short, scan]):
        done = {row["scan_id"]: row for row in levels(tmp_path, *rows)}
        assert done[scan["scan_id"]]["level_scan_id"] == "sub-a_ses-b_acq-z_T2w"


def test_ties_go_to_confidence_then_name(tmp_path: Path) -> None:
    names = [f"sub-a_ses-b_acq-{x}_T2w" for x in "abc"]
    confidences = [0.8, 0.9, 0.9]
    spines = [
        spine_row([vertebra("L3", 0.0, confidence=c)], scan_id=n) for n, c in zip(names, confidences, strict=True)
    ]
    done = {row["scan_id"]: row for row in levels(tmp_path, scan_row(grid_of()), *spines)}
    assert done[scan_row(None)["scan_id"]]["level_scan_id"] == names[1]


def test_a_sixth_lumbar_vertebra_and_the_sacrum(tmp_path: Path) -> None:
    sacrum = vertebra("S1", -152.0) | {"inferior_point_mm": None, "inferior_normal": None}
    spine = [*lumbar_spine(), vertebra("L6", -114.0), sacrum, vertebra("T11", 152.0), vertebra("T12", 114.0)]
    grid = grid_of(extent_mm=(50, 50, 400))
    row = levels(tmp_path, scan_row(grid), spine_row(spine, lstv_suspected=True))[0]
    slabs = slabs_of(row)
    measured = [level for level, scheme in slabs if scheme == "vertebra_slab"]
    assert measured == ["T12", "L1", "L2", "L3", "L4", "L5", "L6"]
    assert [level for level, scheme in slabs if scheme == "disc_mid"] == [
        "T12_L1", "L1_L2", "L2_L3", "L3_L4", "L4_L5", "L5_L6", "L6_S1",
    ]  # fmt: skip
    assert row["lstv_suspected"] is True


def test_a_missing_vertebra_leaves_no_disc_and_no_wrong_block(tmp_path: Path) -> None:
    spine = [v for v in lumbar_spine() if v["level"] not in ("L3", "L5")]
    slabs = slabs_of(levels(tmp_path, scan_row(grid_of()), spine_row(spine))[0])
    assert [level for level, scheme in slabs if scheme == "disc_mid"] == ["L1_L2"]
    assert ("L1_L5", "slice_block") not in slabs


def disc_group(angle_deg: float, n_slices: int = 4) -> Row:
    """A group of 4 mm slices at the disc L4_L5 (z = -57 mm)."""
    grid = grid_of(spacing_mm=(1.0, 1.0, 4.0), extent_mm=(100, 100, 4.0 * n_slices), rotation_deg=(angle_deg, 0, 0))
    return scan_row(grid, origin_mm=[x + d for x, d in zip(grid.origin_mm, (0, 0, -57), strict=True)])


def test_a_few_oblique_slices_belong_to_their_disc(tmp_path: Path) -> None:
    slabs = slabs_of(levels(tmp_path, disc_group(14.0), spine_row(lumbar_spine()))[0])
    assert list(slabs) == [("L4_L5", "disc_stack"), ("L4_L5", "disc_mid"), ("stack", "slice_block")]
    assert slabs["L4_L5", "disc_stack"]["slice_weights"] == [1.0] * 4
    assert slabs["L4_L5", "disc_stack"]["slice_tilt_deg"] == pytest.approx(14.0)
    assert slabs["L4_L5", "disc_mid"]["slice_weights"] == pytest.approx([0, 0.5, 0.5, 0])


def test_a_group_tilted_too_far_is_no_disc_group(tmp_path: Path) -> None:
    slabs = slabs_of(levels(tmp_path, disc_group(16.0), spine_row(lumbar_spine()))[0])
    assert not [key for key in slabs if key[1] == "disc_stack"]
    assert ("L4_L5", "disc_mid") in slabs


def test_a_long_stack_is_no_disc_group(tmp_path: Path) -> None:
    slabs = slabs_of(levels(tmp_path, disc_group(0.0, n_slices=18), spine_row(lumbar_spine()))[0])
    assert not [key for key in slabs if key[1] == "disc_stack"]


def test_other_rows_pass_through(tmp_path: Path) -> None:
    broken = scan_row(None, scan_id="sub-a_ses-b_acq-x_T1w", status="excluded", reason_code="LOCALIZER")
    spine = spine_row(lumbar_spine())
    done = {row["scan_id"]: row for row in levels(tmp_path, broken, spine)}
    assert len(done) == 2
    for row in (broken, spine):
        made = done[row["scan_id"]]
        assert made["slabs"] is None
        assert {k: made[k] for k in row if k != "vertebrae"} == {k: v for k, v in row.items() if k != "vertebrae"}


def test_vocabulary_of_levels() -> None:
    assert disc_between("L4", "L5") is level_by_name("L4_L5")
    assert disc_between("L2", "L4") is None
    for level in all_levels():
        if level.kind is LevelKind.DISC:
            upper, lower = level_by_name(level.cranial or ""), level_by_name(level.caudal or "")
            assert upper.order < level.order < lower.order
    with pytest.raises(KeyError):
        level_by_name("C3")
