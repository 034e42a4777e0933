from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_factory import nine_labels
from PIL import Image
from scan_factory import MUSCLE_XY_MM, SCAN_ID, grid_of, lumbar_spine, rods, run, save, scan_row, spine_row, work_in

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.labels import muscle_labels, vertebra_labels
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Light, Muscle, Reason, Side
from paraspinal.stages.levels.stage import STAGE as LEVELS
from paraspinal.stages.measure.stage import STAGE as MEASURE
from paraspinal.stages.quality import assess
from paraspinal.stages.quality.assess import flags_of_measures, lateral_curve_deg
from paraspinal.stages.quality.flags import Flag, flag_rows, worst
from paraspinal.stages.quality.shape import largest_jump
from paraspinal.stages.quality.stage import STAGE as QUALITY

RADII = {Side.LEFT: 13.5, Side.RIGHT: 13.0}
CODES = muscle_labels()
LEFT_ES = CODES[Muscle.ERECTOR_SPINAE, Side.LEFT]


def grid() -> Grid:
    return grid_of(spacing_mm=(1.5, 1.5, 4.0))


def whole() -> np.ndarray:
    return rods(grid(), RADII, muscles=tuple(Muscle))


def judged(tmp_path: Path, labels: np.ndarray, on: Grid | None = None, levels: bool = True, **over: Any) -> Row:
    """The quality row of a muscle scan with this label map."""
    on = on or grid()
    save(tmp_path, on, dseg=labels, image=(labels > 0).astype(np.float32) * 100 + 50)
    row = scan_row(on, sequence="STIR", dseg_path="dseg.nii.gz", image_path="image.nii.gz", **over)
    work = work_in(tmp_path)
    rows = [row, spine_row(lumbar_spine(), status="excluded")] if not levels else [row, spine_row(lumbar_spine())]
    for stage in (LEVELS, MEASURE, QUALITY):
        rows = run(stage, rows, work)
    return next(r for r in rows if r["role"] == "muscles")


def measured_from(tmp_path: Path, **over: Any) -> Row:
    """The measure row of the scan that :func:`judged` has just saved."""
    row = scan_row(grid(), sequence="STIR", dseg_path="dseg.nii.gz", image_path="image.nii.gz", **over)
    work = work_in(tmp_path)
    return run(MEASURE, run(LEVELS, [row, spine_row(lumbar_spine())], work), work)[0]


def reasons(row: Row) -> set[tuple[str | None, str | None, str]]:
    return {(f["muscle"], f["side"], f["reason_code"]) for f in row["flags"]}


def test_nothing_doubtful_is_green(tmp_path: Path) -> None:
    row = judged(tmp_path, whole())
    assert (row["light"], row["flags"], row["status"]) == ("green", [], "ok")


def test_a_model_with_six_muscles_is_complete_and_has_no_rows_of_others(tmp_path: Path) -> None:
    muscles = tuple(muscle for muscle in Muscle if muscle is not Muscle.QUADRATUS_LUMBORUM)
    six = [code for (muscle, _), code in muscle_labels().items() if muscle in muscles]
    row = judged(tmp_path, rods(grid(), RADII, muscles=muscles), model_labels=six)
    assert (row["light"], row["flags"], row["status"]) == ("green", [], "ok")
    measured = measured_from(tmp_path, model_labels=six)
    assert {(m["muscle"], m["side"]) for m in measured["metrics"]} == {(m, s) for m in muscles for s in Side}
    assert {(a["muscle"], a["side"]) for a in measured["areas"]} == {(m, s) for m in muscles for s in Side}
    assert all(m["acsa_mm2"] for m in measured["metrics"] if m["level"] == "stack")
    assert all(m["asym_signed_pct"] > 0 for m in measured["metrics"] if m["level"] == "stack")


def test_a_label_that_no_model_draws_changes_nothing(tmp_path: Path) -> None:
    before = judged(tmp_path, whole())
    eight = list(muscle_labels().values())
    with nine_labels(tmp_path):
        assert judged(tmp_path, whole(), model_labels=eight) == before
        measured = measured_from(tmp_path, model_labels=eight)
        assert len({(m["muscle"], m["side"]) for m in measured["metrics"]}) == len(eight)


def test_a_muscle_of_one_side_alone_has_a_size_and_no_asymmetry(tmp_path: Path) -> None:
    left = [code for (_, side), code in muscle_labels().items() if side is Side.LEFT]
    judged(tmp_path, whole(), model_labels=left)
    stack = [m for m in measured_from(tmp_path, model_labels=left)["metrics"] if m["level"] == "stack"]
    assert len(stack) == len(Muscle)
    assert all(m["side"] == "left" and m["acsa_mm2"] and m["asym_signed_pct"] is None for m in stack)


@pytest.mark.parametrize(
    ("status", "light"),
    [("failed", "red"), ("excluded", "amber")],
)
def test_what_was_not_measured_is_never_green(tmp_path: Path, status: str, light: str) -> None:
    row = scan_row(None, status=status, reason_code="LOCALIZER", detail="three planes")
    work = work_in(tmp_path)
    done = run(QUALITY, run(MEASURE, run(LEVELS, [row], work), work), work)[0]
    assert (done["light"], done["status"], done["reason_code"]) == (light, status, "LOCALIZER")
    assert done["flags"] == [
        {"muscle": None, "side": None, "level": None, "light": light, "reason_code": "LOCALIZER",
         "detail": "three planes"}
    ]  # fmt: skip


def test_a_warning_is_amber_and_a_scan_without_role_too(tmp_path: Path) -> None:
    row = judged(tmp_path, whole(), status="warn", reason_code="SLICE_IRREGULAR", detail="one")
    assert (row["light"], reasons(row)) == ("amber", {(None, None, "SLICE_IRREGULAR")})
    idle = run(QUALITY, run(MEASURE, [{**scan_row(None, role="none")}], work_in(tmp_path)), work_in(tmp_path))[0]
    assert idle["light"] == "amber"


def test_missing_levels_are_amber(tmp_path: Path) -> None:
    row = judged(tmp_path, whole(), levels=False)
    assert (row["light"], reasons(row)) == ("amber", {(None, None, "LEVEL_UNRESOLVED")})


def test_suspected_transitional_vertebra_is_amber(tmp_path: Path) -> None:
    work = work_in(tmp_path)
    row = spine_row(lumbar_spine(), lstv_suspected=True)
    done = run(QUALITY, run(MEASURE, run(LEVELS, [row], work), work), work)[0]
    assert (done["light"], reasons(done)) == ("amber", {(None, None, "LSTV_SUSPECTED")})
    assert "off by one" in done["flags"][0]["detail"]


def test_a_missing_muscle_is_named(tmp_path: Path) -> None:
    labels = whole()
    labels[labels == LEFT_ES] = 0
    row = judged(tmp_path, labels)
    assert ("erector_spinae", "left", "SEG_EMPTY") in reasons(row)
    assert row["light"] == "amber"


def test_implausible_cross_section(tmp_path: Path) -> None:
    on = grid_of(spacing_mm=(1.5, 1.5, 4.0), extent_mm=(220.0, 170.0, 200.0))
    row = judged(tmp_path, rods(on, {Side.LEFT: 40.0, Side.RIGHT: 40.0}), on)  # 5027 mm2, plausible to 4500
    flags = [f for f in row["flags"] if f["reason_code"] == "SEG_IMPLAUSIBLE" and f["muscle"] == "erector_spinae"]
    assert {f["level"] for f in flags} == {"L1_L2", "L2_L3", "L3_L4", "L4_L5"}
    assert "plausible 300 to 4500" in flags[0]["detail"]


def test_unequal_sides(tmp_path: Path) -> None:
    row = judged(tmp_path, rods(grid(), {Side.LEFT: 16.0, Side.RIGHT: 12.5}))  # ratio of areas 1.64
    assert ("erector_spinae", None, "OUTLIER") in reasons(row)
    row = judged(tmp_path, rods(grid(), {Side.LEFT: 14.0, Side.RIGHT: 12.5}))  # 1.25
    assert ("erector_spinae", None, "OUTLIER") not in reasons(row)


@pytest.mark.parametrize(("fi", "is_flagged"), [(0.2, False), (0.45, False), (0.55, True)])
def test_implausible_fat(tmp_path: Path, fi: float, is_flagged: bool) -> None:
    """Published means of the erector spinae are 0.11 to 0.22; single persons scatter by 0.25."""
    labels = whole()
    water = np.where(labels == LEFT_ES, 100 * (1 - fi), 85.0).astype(np.float32)
    save(tmp_path, grid(), dseg=labels, water=water, fat=np.where(labels == LEFT_ES, 100 * fi, 15.0).astype(np.float32))
    paths = {"dseg_path": "dseg.nii.gz", "water_path": "water.nii.gz", "fat_path": "fat.nii.gz"}
    rows = [scan_row(grid(), sequence="dixon", **paths), spine_row(lumbar_spine())]
    for stage in (LEVELS, MEASURE, QUALITY):
        rows = run(stage, rows, work_in(tmp_path))
    row = next(r for r in rows if r["role"] == "muscles")
    assert reasons(row) == ({("erector_spinae", "left", "OUTLIER")} if is_flagged else set())
    if is_flagged:
        assert "dixon_ff_ratio_of_sums 0.55, plausible 0.00 to 0.47" in row["flags"][0]["detail"]


def test_jump_between_slices(tmp_path: Path) -> None:
    labels = whole()
    labels[25][labels[25] == LEFT_ES] = 0
    row = judged(tmp_path, labels)
    assert reasons(row) == {("erector_spinae", "left", "SEG_IMPLAUSIBLE")}
    assert "jumps" in row["flags"][0]["detail"]


def test_a_second_piece(tmp_path: Path) -> None:
    labels = whole()
    labels[20:30, 2:12, 2:12] = LEFT_ES
    row = judged(tmp_path, labels)
    details = {f["side"]: f["detail"] for f in row["flags"] if f["muscle"] == "erector_spinae"}
    assert "second piece" in details["left"]
    labels = whole()
    labels[20:22, 2:6, 2:6] = LEFT_ES  # a crumb
    assert not [f for f in judged(tmp_path, labels)["flags"] if "piece" in (f["detail"] or "")]


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1)])
def test_exchanged_sides(tmp_path: Path, flips: tuple[int, int, int]) -> None:
    on = grid_of(spacing_mm=(1.5, 1.5, 4.0), flips=flips)
    labels = rods(on, RADII, muscles=tuple(Muscle))
    assert judged(tmp_path, labels, on)["light"] == "green"
    left = CODES[Muscle.PSOAS_MAJOR, Side.LEFT]
    right = CODES[Muscle.PSOAS_MAJOR, Side.RIGHT]
    exchanged = np.where(labels == left, right, np.where(labels == right, left, labels)).astype(np.uint16)
    row = judged(tmp_path, exchanged, on)
    assert reasons(row) == {("psoas_major", side, "SEG_IMPLAUSIBLE") for side in ("left", "right")}
    assert "wrong side" in row["flags"][0]["detail"]


def test_contact_with_the_border(tmp_path: Path) -> None:
    x = MUSCLE_XY_MM[Muscle.QUADRATUS_LUMBORUM][0]
    on = grid_of(spacing_mm=(1.5, 1.5, 4.0), extent_mm=(2 * x + 12.0, 130.0, 200.0))
    row = judged(tmp_path, rods(on, RADII, muscles=tuple(Muscle)), on)
    assert reasons(row) == {("quadratus_lumborum", side, "FOV_TRUNCATED") for side in ("left", "right")}


def test_high_disagreement(tmp_path: Path) -> None:
    unsure = [
        {"label": LEFT_ES, "entropy": 0.7, "flip_disagreement": 0.1},
        {"label": CODES[Muscle.MULTIFIDUS, Side.RIGHT], "entropy": 0.1, "flip_disagreement": 0.4},
        {"label": CODES[Muscle.MULTIFIDUS, Side.LEFT], "entropy": 0.1, "flip_disagreement": 0.1},
    ]
    unsure = [{**found, "slice_disagreement": None} for found in unsure]
    row = judged(tmp_path, whole(), label_disagreement=unsure)
    assert reasons(row) == {("erector_spinae", "left", "SEG_IMPLAUSIBLE"), ("multifidus", "right", "SEG_IMPLAUSIBLE")}


def test_flags_never_change_a_number_or_drop_a_row(tmp_path: Path) -> None:
    work = work_in(tmp_path)
    rows = [
        scan_row(None, scan_id="sub-a_ses-b_acq-x_T1w", status="failed", reason_code="NO_GEOMETRY"),
        scan_row(None, scan_id="sub-a_ses-b_acq-y_T1w", status="excluded", reason_code="LOCALIZER"),
        spine_row(lumbar_spine()),
    ]
    done = run(QUALITY, run(MEASURE, run(LEVELS, rows, work), work), work)
    assert sorted(r["scan_id"] for r in done) == sorted(r["scan_id"] for r in rows)
    by_id = {r["scan_id"]: r for r in rows}
    for row in done:
        for name in ("status", "reason_code", "detail", "dseg_path", "sequence"):
            assert row[name] == by_id[row["scan_id"]][name]


def test_overlay_is_small_repeatable_and_shows_every_muscle(tmp_path: Path) -> None:
    first = judged(tmp_path, whole())
    path = tmp_path / first["overlay_path"]
    assert path.name == SCAN_ID.replace("_T1w", "_desc-overlay_dseg.png")
    content = path.read_bytes()
    assert len(content) < 150_000
    picture = Image.open(path)
    assert not picture.info.keys() & {"Title", "Comment", "Description"}
    colours = {tuple(c) for c in np.asarray(picture.convert("RGB")).reshape(-1, 3)}
    assert len([c for c in colours if len(set(c)) > 1]) == len(Muscle)
    judged(tmp_path, whole())
    assert path.read_bytes() == content


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, -1)])
def test_overlay_shows_the_patients_left_on_the_right_and_front_on_top(
    tmp_path: Path, flips: tuple[int, int, int]
) -> None:
    on = grid_of(spacing_mm=(1.5, 1.5, 4.0), flips=flips)
    labels = np.where(
        np.isin(rods(on, RADII, muscles=tuple(Muscle)), [CODES[Muscle.PSOAS_MAJOR, Side.RIGHT], LEFT_ES]),
        rods(on, RADII, muscles=tuple(Muscle)),
        0,
    ).astype(np.uint16)
    picture = Image.open(tmp_path / judged(tmp_path, labels, on)["overlay_path"]).convert("RGB").crop((0, 0, 216, 168))
    pixels = np.asarray(picture).astype(int)
    blue = np.argwhere((pixels == (70, 160, 255)).all(axis=-1)).mean(axis=0)  # erector spinae
    green = np.argwhere((pixels == (80, 220, 100)).all(axis=-1)).mean(axis=0)  # psoas
    assert blue[1] > green[1]
    assert blue[0] > green[0]


def test_overlay_of_a_sagittal_spine(tmp_path: Path) -> None:
    # Rows run to the feet, columns to the back, slices to the left.
    direction = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
    on = Grid((100, 120, 9), (1.0, 1.0, 4.0), (-16.0, -50.0, 60.0), direction)
    labels = np.zeros((9, 120, 100), np.uint16)
    labels[3:6, 20:45, 30:60] = vertebra_labels()["L1"]
    labels[3:6, 60:85, 30:60] = vertebra_labels()["L2"]
    save(tmp_path, on, dseg=labels, image=labels.astype(np.float32))
    work = work_in(tmp_path)
    row = spine_row(lumbar_spine(), dseg_path="dseg.nii.gz", image_path="image.nii.gz")
    done = run(QUALITY, run(MEASURE, run(LEVELS, [row], work), work), work)[0]
    assert done["light"] == "green"
    pixels = np.asarray(Image.open(tmp_path / done["overlay_path"]).convert("RGB").crop((0, 0, 216, 168))).astype(int)
    upper = np.argwhere((pixels == (70, 160, 255)).all(axis=-1)).mean(axis=0)  # odd codes: L1 is 41
    lower = np.argwhere((pixels == (255, 190, 0)).all(axis=-1)).mean(axis=0)
    assert upper[0] < lower[0]


def curved(*degrees: float) -> list[dict[str, Any]]:
    """The straight spine with vertebrae tilted to the side."""
    spine = lumbar_spine()
    for vertebra, angle in zip(spine, np.radians(degrees), strict=True):
        normal = [float(np.sin(angle)), 0.0, float(np.cos(angle))]
        vertebra["superior_normal"], vertebra["inferior_normal"] = normal, [-x for x in normal]
    return spine


def test_a_lateral_curve_is_the_angle_between_the_most_tilted_vertebrae() -> None:
    assert lateral_curve_deg(curved(5.0, 12.0, 3.0, -9.0, -4.0)) == pytest.approx(21.0)
    assert lateral_curve_deg(lumbar_spine()) == pytest.approx(0.0)
    assert lateral_curve_deg(curved(20.0, 0.0, 0.0, 0.0, 0.0)[:1]) is None
    assert lateral_curve_deg([]) is None
    unnumbered = [vertebra | {"level": None} for vertebra in curved(5.0, 12.0, 3.0, -9.0, -4.0)]
    assert lateral_curve_deg(unnumbered) == pytest.approx(21.0)
    one_plate = [vertebra | {"superior_normal": None} for vertebra in curved(5.0, 12.0, 3.0, -9.0, -4.0)]
    assert lateral_curve_deg(one_plate) is None


@pytest.mark.parametrize(("tilt", "light"), [(7.0, "green"), (8.0, "amber")])
def test_a_curved_spine_is_flagged_on_the_scan_that_takes_its_levels(tmp_path: Path, tilt: float, light: str) -> None:
    save(tmp_path, grid(), dseg=whole(), image=(whole() > 0).astype(np.float32) * 100 + 50)
    row = scan_row(grid(), sequence="STIR", dseg_path="dseg.nii.gz", image_path="image.nii.gz")
    rows = [row, spine_row(curved(tilt, 0.0, 0.0, 0.0, -tilt))]
    for stage in (LEVELS, MEASURE, QUALITY):
        rows = run(stage, rows, work_in(tmp_path))
    assert {r["role"]: r["light"] for r in rows} == {"muscles": light, "spine": light}
    if light == "amber":
        assert [f["detail"] for r in rows for f in r["flags"]] == [
            "the lumbar spine curves sideways by 16 degrees, limit 15"
        ] * 2


def test_jump_ignores_the_tapering_ends() -> None:
    areas = np.array([0, 1, 5, 20, 60, 100, 104, 100, 60, 20, 5, 1, 0])
    assert largest_jump(areas, 4.0)[1] == pytest.approx(4 / 102)
    assert largest_jump(areas, 15.0)[1] > 1
    assert largest_jump(np.array([3, 3]), 4.0) == (0, 0.0)


def test_worst_light_and_merged_flags() -> None:
    assert worst([]) is Light.GREEN
    assert worst([Light.AMBER, Light.RED, Light.GREEN]) is Light.RED
    rows = flag_rows([
        Flag(Light.AMBER, Reason.OUTLIER, "one", Muscle.MULTIFIDUS),
        Flag(Light.RED, Reason.OUTLIER, "two", Muscle.MULTIFIDUS),
        Flag(Light.AMBER, Reason.OUTLIER, "one", Muscle.PSOAS_MAJOR),
    ])  # fmt: skip
    assert [(r["muscle"], r["light"], r["detail"]) for r in rows] == [
        ("multifidus", "red", "one; two"),
        ("psoas_major", "amber", "one"),
    ]


def test_a_muscle_of_which_nothing_is_published_is_not_called_implausible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = {"side": "left", "level": "stack", "level_scheme": "slice_block", "reason_code": None}
    metric = {**where, "muscle": "psoas_major", "acsa_mm2": 90_000.0, "fi_method": "dixon_pdff_map", "fi": 0.9}
    row = {"metrics": [metric]}
    settings = work_in(tmp_path).settings.quality
    assert len(list(flags_of_measures(row, settings))) == 2
    monkeypatch.setattr(assess, "_reference", lambda *_: {})
    assert list(flags_of_measures(row, settings)) == []
