from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scan_factory import (
    MUSCLE_XY_MM,
    grid_of,
    lumbar_spine,
    rods,
    run,
    save,
    scan_row,
    spine_row,
    vertebra,
    work_in,
    world,
)

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Muscle, Side
from paraspinal.stages.levels.stage import STAGE as LEVELS
from paraspinal.stages.measure.stage import STAGE as MEASURE

LEFT_MM, RIGHT_MM = 20.0, 16.0
RADIUS_MM = {Side.LEFT: LEFT_MM, Side.RIGHT: RIGHT_MM}
WITHIN_1_PERCENT = 0.01


SPACINGS_MM = (1.0, 2.0, 3.0, 4.4, 5.0, 6.0, 8.0)
L3_EXTENT_MM = (160.0, 120.0, 64.0)
"""What is around L3: room for slices tilted through it."""


def measured(
    tmp_path: Path, grid: Grid, labels: np.ndarray, spine: list[dict[str, Any]] | None = None, **over: Any
) -> Row:
    """The scan row after levels and measure; the image is a Dixon scan without fat image, so sizes only."""
    row = scan_row(grid, sequence="dixon", dseg_path=save(tmp_path, grid, dseg=labels)["dseg"], **over)
    work = work_in(tmp_path)
    rows = run(LEVELS, [row, spine_row(lumbar_spine() if spine is None else spine)], work)
    return next(r for r in run(MEASURE, rows, work) if r["role"] == "muscles")


def metric(row: Row, level: str | None, scheme: str, side: str, muscle: str = "erector_spinae") -> Row:
    found = [
        m
        for m in row["metrics"]
        if (m["level"], m["level_scheme"], m["side"], m["muscle"]) == (level, scheme, side, muscle)
    ]
    assert len(found) == 1
    return dict(found[0])


GRIDS = {
    "1 mm slices": {"spacing_mm": (1.0, 1.0, 1.0)},
    "2 mm slices": {"spacing_mm": (1.0, 1.0, 2.0)},
    "4.4 mm slices": {"spacing_mm": (1.0, 1.0, 4.4)},
    "8 mm slices": {"spacing_mm": (1.0, 1.0, 8.0)},
    "anisotropic pixels": {"spacing_mm": (0.6, 1.2, 5.0)},
    "columns flipped": {"spacing_mm": (1.0, 1.0, 4.0), "flips": (-1, 1, 1)},
    "rows flipped": {"spacing_mm": (1.0, 1.0, 4.0), "flips": (1, -1, 1)},
    "slices flipped": {"spacing_mm": (1.0, 1.0, 4.0), "flips": (1, 1, -1)},
    "all flipped": {"spacing_mm": (0.8, 1.1, 4.0), "flips": (-1, -1, -1)},
    "turned in plane": {"spacing_mm": (1.0, 1.0, 4.0), "rotation_deg": (0.0, 0.0, 25.0)},
    "turned upside down": {"spacing_mm": (1.0, 1.0, 4.0), "rotation_deg": (180.0, 0.0, 0.0)},
}


@pytest.mark.parametrize("how", GRIDS)
def test_cylinders(tmp_path: Path, how: str) -> None:
    grid = grid_of(**GRIDS[how])  # type: ignore[arg-type]
    row = measured(tmp_path, grid, rods(grid, RADIUS_MM))
    for side, radius in (("left", LEFT_MM), ("right", RIGHT_MM)):
        area = np.pi * radius**2
        body = metric(row, "L3", "vertebra_slab", side)
        assert body["acsa_mm2"] == pytest.approx(area, rel=WITHIN_1_PERCENT)
        assert body["csa_mid_mm2"] == pytest.approx(area, rel=WITHIN_1_PERCENT)
        assert body["csa_perp_mm2"] == pytest.approx(area, rel=WITHIN_1_PERCENT)
        assert body["volume_mm3"] == pytest.approx(area * 27.0, rel=WITHIN_1_PERCENT)
        assert body["rcsa_vb"] == pytest.approx(area / 1500.0, rel=WITHIN_1_PERCENT)
        assert body["n_slices"] == pytest.approx(27.0 / grid.spacing_mm[2])
        assert body["truncated_fov"] is False
        assert body["reason_code"] is None
        block = metric(row, "L1_L5", "slice_block", side)
        assert block["volume_mm3"] == pytest.approx(area * 179.0, rel=WITHIN_1_PERCENT)
        disc = metric(row, "L4_L5", "disc_mid", side)
        assert disc["acsa_mm2"] == disc["csa_mid_mm2"] == pytest.approx(area, rel=WITHIN_1_PERCENT)
        assert disc["volume_mm3"] is None
        assert disc["rcsa_disc"] == pytest.approx(area / 1700.0, rel=WITHIN_1_PERCENT)
    expected = 100 * (LEFT_MM**2 - RIGHT_MM**2) / ((LEFT_MM**2 + RIGHT_MM**2) / 2)
    assert metric(row, "L3", "vertebra_slab", "left")["asym_signed_pct"] == pytest.approx(expected, abs=1.0)
    assert metric(row, "L3", "vertebra_slab", "right")["asym_signed_pct"] == pytest.approx(expected, abs=1.0)


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("spacing_mm", SPACINGS_MM)
def test_cones(tmp_path: Path, spacing_mm: float, flip: int) -> None:
    slope = 0.06  # from 14 mm radius at the lower to 26 mm at the upper end
    grid = grid_of(spacing_mm=(0.7, 0.7, spacing_mm), extent_mm=(140.0, 120.0, 190.0), flips=(1, 1, flip))
    row = measured(tmp_path, grid, rods(grid, {Side.LEFT: 20.0, Side.RIGHT: 20.0}, slope))
    for level, z in (("L2", 38.0), ("L5", -76.0)):
        low, high = (20.0 + slope * (z + d) for d in (-13.5, 13.5))
        volume = np.pi * 27.0 * (low**2 + low * high + high**2) / 3
        body = metric(row, level, "vertebra_slab", "left")
        assert body["volume_mm3"] == pytest.approx(volume, rel=WITHIN_1_PERCENT)
        assert body["acsa_mm2"] == pytest.approx(volume / 27.0, rel=WITHIN_1_PERCENT)
        middle = np.pi * (20.0 + slope * z) ** 2
        assert body["csa_mid_mm2"] == pytest.approx(middle, rel=WITHIN_1_PERCENT)
        assert metric(row, level, "vertebra_mid", "left")["acsa_mm2"] == pytest.approx(middle, rel=WITHIN_1_PERCENT)


@pytest.mark.parametrize("spacing_mm", SPACINGS_MM)
@pytest.mark.parametrize("tilt_deg", [5.0, 10.0, 20.0])
def test_tilted_cylinder_with_a_spine_along_it(tmp_path: Path, tilt_deg: float, spacing_mm: float) -> None:
    axis = (0.0, np.sin(np.radians(tilt_deg)), np.cos(np.radians(tilt_deg)))
    grid = grid_of(spacing_mm=(0.8, 0.8, spacing_mm), extent_mm=L3_EXTENT_MM)
    row = measured(tmp_path, grid, rods(grid, RADIUS_MM, axis=axis), [vertebra("L3", 0.0, axis=axis)])
    body = metric(row, "L3", "vertebra_slab", "left")
    across = np.pi * LEFT_MM**2
    assert body["acsa_mm2"] == pytest.approx(across / axis[2], rel=WITHIN_1_PERCENT)
    assert body["csa_perp_mm2"] == pytest.approx(across, rel=WITHIN_1_PERCENT)
    assert body["volume_mm3"] == pytest.approx(across * 27.0, rel=WITHIN_1_PERCENT)
    assert body["slice_tilt_deg"] == pytest.approx(tilt_deg)


@pytest.mark.parametrize("spacing_mm", SPACINGS_MM)
def test_cylinder_that_leans_against_an_upright_spine(tmp_path: Path, spacing_mm: float) -> None:
    axis = (np.sin(np.radians(15.0)), 0.0, np.cos(np.radians(15.0)))
    grid = grid_of(spacing_mm=(0.8, 0.8, spacing_mm), extent_mm=L3_EXTENT_MM)
    row = measured(tmp_path, grid, rods(grid, RADIUS_MM, axis=axis))
    for side, radius in (("left", LEFT_MM), ("right", RIGHT_MM)):
        body = metric(row, "L3", "vertebra_slab", side)
        assert body["acsa_mm2"] == pytest.approx(np.pi * radius**2 / axis[2], rel=WITHIN_1_PERCENT)
        assert body["volume_mm3"] == pytest.approx(np.pi * radius**2 / axis[2] * 27.0, rel=WITHIN_1_PERCENT)


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1), (1, -1, -1)])
@pytest.mark.parametrize(
    "rotation_deg", [(10.0, 0.0, 0.0), (20.0, 0.0, 0.0), (30.0, 0.0, 0.0), (0.0, 15.0, 0.0), (-20.0, 8.0, 5.0)]
)
def test_oblique_slices_through_an_upright_cylinder(
    tmp_path: Path, rotation_deg: tuple[float, float, float], flips: tuple[int, int, int]
) -> None:
    grid = grid_of(spacing_mm=(0.8, 0.7, 4.0), extent_mm=L3_EXTENT_MM, rotation_deg=rotation_deg, flips=flips)
    row = measured(tmp_path, grid, rods(grid, RADIUS_MM))
    cosine = abs(grid.normal[2])
    for side, radius in (("left", LEFT_MM), ("right", RIGHT_MM)):
        body = metric(row, "L3", "vertebra_slab", side)
        area = np.pi * radius**2
        assert body["acsa_mm2"] == pytest.approx(area / cosine, rel=WITHIN_1_PERCENT)
        assert body["csa_perp_mm2"] == pytest.approx(area, rel=WITHIN_1_PERCENT)
        assert body["volume_mm3"] == pytest.approx(area * 27.0, rel=WITHIN_1_PERCENT)
    # Without a level the scanner's axis stands in for the body's.
    tilt_deg = float(np.degrees(np.arccos(cosine)))
    assert metric(row, "stack", "slice_block", "left")["slice_tilt_deg"] == pytest.approx(tilt_deg)


def wedged_spine(upper_deg: float, lower_deg: float) -> list[dict[str, Any]]:
    """The straight spine whose outermost end plates lean: that of L1 rises backwards, that of L5 falls backwards."""
    spine = lumbar_spine()
    for vertebra_, end, angle in ((spine[0], "superior", upper_deg), (spine[-1], "inferior", -lower_deg)):
        radians = np.radians(angle)
        vertebra_[f"{end}_normal"] = [0.0, float(-np.sin(radians)), float(np.cos(radians))]
    return spine


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1)])
@pytest.mark.parametrize("tilt_deg", [0.0, -15.0])
@pytest.mark.parametrize("spacing_mm", [2.0, 5.0])
def test_a_block_between_planes_that_are_not_parallel(
    tmp_path: Path, spacing_mm: float, tilt_deg: float, flips: tuple[int, int, int]
) -> None:
    grid = grid_of((1.0, 1.0, spacing_mm), (160.0, 190.0, 300.0), (tilt_deg, 0.0, 0.0), flips)
    labels = rods(grid, RADIUS_MM)
    row = measured(tmp_path, grid, labels, wedged_spine(12.0, 15.0))
    y = MUSCLE_XY_MM[Muscle.ERECTOR_SPINAE][1]
    # A plane cuts a cylinder at the height it has on the cylinder's axis.
    length = 179.0 + y * (np.tan(np.radians(12.0)) + np.tan(np.radians(15.0)))
    for side, radius in (("left", LEFT_MM), ("right", RIGHT_MM)):
        block = metric(row, "L1_L5", "plane_block", side)
        assert block["volume_mm3"] == pytest.approx(np.pi * radius**2 * length, rel=WITHIN_1_PERCENT)
        assert block["acsa_mm2"] == pytest.approx(block["volume_mm3"] / 179.0, rel=0.02)
        assert block["coverage_frac"] == pytest.approx(1.0)
        assert block["reason_code"] is None
        slices = metric(row, "L1_L5", "slice_block", side)
        assert slices["volume_mm3"] == pytest.approx(np.pi * radius**2 * 179.0, rel=0.02)


def test_a_block_between_planes_that_the_stack_cuts(tmp_path: Path) -> None:
    grid = grid_of(extent_mm=(160.0, 130.0, 160.0))  # from z = -80 to 80
    row = measured(tmp_path, grid, rods(grid, RADIUS_MM), wedged_spine(12.0, 15.0))
    block = metric(row, "L1_L5", "plane_block", "left")
    y = MUSCLE_XY_MM[Muscle.ERECTOR_SPINAE][1]
    length = 179.0 + y * (np.tan(np.radians(12.0)) + np.tan(np.radians(15.0)))
    assert block["coverage_frac"] == pytest.approx(160.0 / length, rel=WITHIN_1_PERCENT)
    assert (block["volume_mm3"], block["acsa_mm2"], block["reason_code"]) == (None, None, "COVERAGE_PARTIAL")


def test_fat_of_a_block_between_planes(tmp_path: Path) -> None:
    """Fat rises along the body, and the block reaches higher behind than the slices say."""
    grid = grid_of((1.0, 1.0, 4.0), (160.0, 130.0, 240.0))
    labels = rods(grid, RADIUS_MM)
    z = world(grid)[..., 2]
    save(tmp_path, grid, dseg=labels, fat=(200.0 + z).astype(np.float32), water=(200.0 - z).astype(np.float32))
    paths = {"dseg_path": "dseg.nii.gz", "water_path": "water.nii.gz", "fat_path": "fat.nii.gz"}
    rows = [scan_row(grid, sequence="dixon", **paths), spine_row(wedged_spine(20.0, 0.0))]
    work = work_in(tmp_path)
    row = next(r for r in run(MEASURE, run(LEVELS, rows, work), work) if r["role"] == "muscles")
    y = MUSCLE_XY_MM[Muscle.ERECTOR_SPINAE][1]
    # Mean z of a cylinder of radius r cut at height h by a plane of slope s: (h^2 - l^2) / 2 + r^2 s^2 / 8, over h - l.
    rise = np.tan(np.radians(20.0))
    top, low = 89.5 + y * rise, -89.5
    mean_z = ((top**2 - low**2) / 2 + (LEFT_MM * rise) ** 2 / 8) / (top - low)
    found = [
        m
        for m in row["metrics"]
        if (m["level_scheme"], m["muscle"], m["side"]) == ("plane_block", "erector_spinae", "left")
    ]
    assert {m["fi_method"] for m in found} == {"dixon_ff_ratio_of_sums", "dixon_ff_voxel_mean"}
    for m in found:
        assert m["fi"] == pytest.approx(0.5 + mean_z / 400.0, abs=0.002)
        assert m["fcsa_mm2"] == pytest.approx(m["acsa_mm2"] * (1 - m["fi"]))


@pytest.mark.parametrize(("thickness_mm", "spacing_mm"), [(4.0, 6.0), (3.0, 4.5), (1.0, 8.0)])
def test_gaps_between_slices_are_shared_out(tmp_path: Path, thickness_mm: float, spacing_mm: float) -> None:
    # Slices of 4 mm every 6 mm: volume must not be 4/6 of the truth.
    grid = grid_of(spacing_mm=(1.0, 1.0, spacing_mm))
    row = measured(tmp_path, grid, rods(grid, RADIUS_MM), slice_thickness_mm=thickness_mm)
    for level, scheme, height_mm in (("L1_L5", "slice_block", 179.0), ("L3", "vertebra_slab", 27.0)):
        volume = metric(row, level, scheme, "left")["volume_mm3"]
        assert volume == pytest.approx(np.pi * LEFT_MM**2 * height_mm, rel=WITHIN_1_PERCENT)


def test_mirrored_person_has_mirrored_sides(tmp_path: Path) -> None:
    grid = grid_of()
    row = measured(tmp_path, grid, rods(grid, {Side.LEFT: RIGHT_MM, Side.RIGHT: LEFT_MM}))
    left, right = (metric(row, "L3", "vertebra_slab", side)["acsa_mm2"] for side in ("left", "right"))
    assert left == pytest.approx(np.pi * RIGHT_MM**2, rel=WITHIN_1_PERCENT)
    assert right == pytest.approx(np.pi * LEFT_MM**2, rel=WITHIN_1_PERCENT)


def test_partial_coverage_has_no_volume(tmp_path: Path) -> None:
    grid = grid_of(extent_mm=(190, 130, 88))  # from z = -44 to 44 mm: 19.5 of 27 mm of L2 and L4
    row = measured(tmp_path, grid, rods(grid, RADIUS_MM))
    cut = metric(row, "L2", "vertebra_slab", "left")
    assert cut["coverage_frac"] == pytest.approx(19.5 / 27)
    assert (cut["volume_mm3"], cut["csa_mid_mm2"], cut["reason_code"]) == (None, None, "COVERAGE_PARTIAL")
    assert cut["acsa_mm2"] == pytest.approx(np.pi * LEFT_MM**2, rel=WITHIN_1_PERCENT)
    outside = metric(row, "L5", "vertebra_slab", "left")
    assert (outside["acsa_mm2"], outside["coverage_frac"], outside["reason_code"]) == (None, 0.0, "COVERAGE_PARTIAL")


def test_without_levels_every_muscle_has_a_row_that_says_so(tmp_path: Path) -> None:
    grid = grid_of()
    row = measured(tmp_path, grid, rods(grid, RADIUS_MM), [])
    unresolved = [m for m in row["metrics"] if m["level"] is None]
    assert len(unresolved) == 8
    for m in unresolved:
        assert (m["level_scheme"], m["reason_code"]) == ("none", "LEVEL_UNRESOLVED")
        assert m["acsa_mm2"] is None
        assert m["volume_mm3"] is None
        assert m["coverage_frac"] is None
    stack = metric(row, "stack", "slice_block", "left")
    assert stack["volume_mm3"] == pytest.approx(np.pi * LEFT_MM**2 * 200.0, rel=WITHIN_1_PERCENT)


def test_an_absent_muscle_is_null_never_zero(tmp_path: Path) -> None:
    grid = grid_of()
    row = measured(tmp_path, grid, rods(grid, RADIUS_MM))
    assert (row["status"], row["reason_code"]) == ("warn", "SEG_PARTIAL")
    for m in row["metrics"]:
        if m["muscle"] != "erector_spinae":
            assert m["reason_code"] == "SEG_EMPTY"
            for name in ("volume_mm3", "acsa_mm2", "csa_mid_mm2", "csa_perp_mm2", "fcsa_mm2", "rcsa_vb", "fi"):
                assert m[name] is None
            assert m["asym_signed_pct"] is None


def test_a_muscle_that_ends_is_partial(tmp_path: Path) -> None:
    grid = grid_of()
    labels = rods(grid, RADIUS_MM)
    labels[:25] = 0  # nothing below z = 0, the middle of L3
    row = measured(tmp_path, grid, labels)
    half = metric(row, "L3", "vertebra_slab", "left")
    assert half["reason_code"] == "SEG_PARTIAL"
    assert half["acsa_mm2"] == pytest.approx(np.pi * LEFT_MM**2 / 2, rel=WITHIN_1_PERCENT)
    gone = metric(row, "L5", "vertebra_slab", "left")
    assert (gone["reason_code"], gone["acsa_mm2"]) == ("SEG_PARTIAL", None)


def test_a_slice_the_model_missed_is_no_gap_of_the_muscle(tmp_path: Path) -> None:
    grid = grid_of()
    labels = rods(grid, RADIUS_MM)
    labels[24] = 0  # in the middle of L3
    row = measured(tmp_path, grid, labels)
    body = metric(row, "L3", "vertebra_slab", "left")
    assert body["acsa_mm2"] == pytest.approx(np.pi * LEFT_MM**2, rel=WITHIN_1_PERCENT)
    assert (body["volume_mm3"], body["reason_code"]) == (None, "SEG_PARTIAL")
    assert metric(row, "L1_L5", "slice_block", "left")["volume_mm3"] is None
    assert metric(row, "L4", "vertebra_slab", "left")["volume_mm3"] is not None


def test_one_missing_side_leaves_asymmetry_null(tmp_path: Path) -> None:
    grid = grid_of()
    row = measured(tmp_path, grid, rods(grid, {Side.LEFT: LEFT_MM, Side.RIGHT: -1.0}))
    left = metric(row, "L3", "vertebra_slab", "left")
    assert left["acsa_mm2"] is not None
    assert left["asym_signed_pct"] is None


def test_contact_with_the_border_in_plane(tmp_path: Path) -> None:
    grid = grid_of(extent_mm=(110.0, 130.0, 200.0))  # x reaches 55 mm; the muscle reaches 62 mm
    row = measured(tmp_path, grid, rods(grid, RADIUS_MM))
    body = metric(row, "L3", "vertebra_slab", "left")
    assert (body["truncated_fov"], body["reason_code"]) == (True, "FOV_TRUNCATED")


def test_end_slices_alone_are_no_truncation(tmp_path: Path) -> None:
    grid = grid_of()
    row = measured(tmp_path, grid, rods(grid, RADIUS_MM))
    assert metric(row, "stack", "slice_block", "left")["truncated_fov"] is False


def test_disc_group_has_areas_and_no_volume(tmp_path: Path) -> None:
    grid = grid_of(extent_mm=(190.0, 130.0, 16.0))
    labels = rods(grid, RADIUS_MM)
    spine = [vertebra("L4", 19.0), vertebra("L5", -19.0)]
    row = measured(tmp_path, grid, labels, spine)
    group = metric(row, "L4_L5", "disc_stack", "left")
    assert group["acsa_mm2"] == pytest.approx(np.pi * LEFT_MM**2, rel=WITHIN_1_PERCENT)
    assert group["volume_mm3"] is None
    assert metric(row, "stack", "slice_block", "left")["volume_mm3"] is None


def test_a_single_slice_has_no_volume(tmp_path: Path) -> None:
    grid = grid_of(extent_mm=(190.0, 130.0, 4.0))
    row = measured(tmp_path, grid, rods(grid, RADIUS_MM), [])
    stack = metric(row, "stack", "slice_block", "left")
    assert stack["volume_mm3"] is None
    assert stack["acsa_mm2"] == pytest.approx(np.pi * LEFT_MM**2, rel=WITHIN_1_PERCENT)


@pytest.mark.parametrize("flip", [1, -1])
def test_cross_sections_slice_by_slice(tmp_path: Path, flip: int) -> None:
    slope = 0.06
    grid = grid_of(spacing_mm=(0.7, 0.7, 5.0), extent_mm=(140.0, 120.0, 100.0), flips=(1, 1, flip))
    labels = rods(grid, {Side.LEFT: 20.0, Side.RIGHT: -20.0}, slope)
    labels[:2] = 0
    row = measured(tmp_path, grid, labels)
    areas = {(a["muscle"], a["side"]): a["csa_mm2"] for a in row["areas"]}
    assert len(areas) == 8
    assert areas["erector_spinae", "right"] == [None] * 20
    left = areas["erector_spinae", "left"]
    assert left[:2] == [None, None]
    z = grid.to_world(np.array([[0.0, 0.0, k] for k in range(20)]))[:, 2]
    assert left[2:] == pytest.approx(np.pi * (20.0 + slope * z[2:]) ** 2, rel=WITHIN_1_PERCENT)


def test_an_empty_label_map_fails_with_a_reason(tmp_path: Path) -> None:
    grid = grid_of(spacing_mm=(4.0, 4.0, 8.0))
    row = measured(tmp_path, grid, np.zeros(grid.size[::-1], np.uint16))
    assert (row["status"], row["reason_code"], row["metrics"]) == ("failed", "SEG_EMPTY", None)


def test_a_scan_that_was_not_segmented_fails_with_a_reason(tmp_path: Path) -> None:
    row = run(MEASURE, run(LEVELS, [scan_row(grid_of())], work_in(tmp_path)), work_in(tmp_path))[0]
    assert (row["status"], row["reason_code"]) == ("failed", "SEG_EMPTY")


def test_spine_scans_pass_through(tmp_path: Path) -> None:
    work = work_in(tmp_path)
    rows = run(LEVELS, [spine_row(lumbar_spine())], work)
    assert run(MEASURE, rows, work) == [rows[0] | {"metrics": None, "areas": None}]


def test_shape_equal_but_elsewhere_is_refused(tmp_path: Path) -> None:
    grid = grid_of(spacing_mm=(4.0, 4.0, 8.0))
    moved = Grid(grid.size, grid.spacing_mm, tuple(x + 3.0 for x in grid.origin_mm), grid.direction)
    labels = rods(grid, RADIUS_MM)
    save(tmp_path, grid, dseg=labels)
    save(tmp_path, moved, image=labels.astype(np.float32))
    row = scan_row(grid, dseg_path="dseg.nii.gz", image_path="image.nii.gz")
    done = run(MEASURE, run(LEVELS, [row], work_in(tmp_path)), work_in(tmp_path))[0]
    assert (done["status"], done["reason_code"]) == ("failed", "AFFINE_MISMATCH")
