"""Five makers, three forms of export, two fields: every stack named, placed and trusted as it should be.

The phantom writes the files, the whole of ingest reads them; what a stack shows is known from how it was written.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dicom_factory import run, settings_for
from stage_runs import rows_after, run_stage

from paraspinal.core.imaging.geometry import Grid, same_grid
from paraspinal.core.imaging.images import array_of, read_image
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import DixonPart, Plane
from paraspinal.phantom.dicom import PIXEL_SCALE, Series, Visit, datasets, write
from paraspinal.phantom.dixon_exports import DIXON, ECHO_TIMES_MS, Export, Extra, dixon, dual_echo, files
from paraspinal.phantom.enhanced import FrameHabits, enhanced
from paraspinal.phantom.vendors import SCANNERS, Protocol, Vendor, localizer, plain_series, reformat
from paraspinal.stages import convert

VISIT = Visit("matrix", "P1", "Test^Person", "F", "19700630", "20230615")
TILT_DEG = 7.0


def axial_grid() -> Grid:
    """A small axial grid, leaning a little, its slices along the cross product of rows and columns."""
    angle = np.deg2rad(TILT_DEG)
    axes = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return Grid((9, 8, 5), (1.1, 1.3, 4.4), (-61.25, -83.5, 47.125), tuple(axes.ravel()))


def sagittal_grid() -> Grid:
    axes = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    return Grid((9, 8, 5), (1.0, 1.2, 4.0), (8.0, -100.0, 90.0), tuple(axes.ravel()))


def voxels(seed: int, grid: Grid | None = None) -> np.ndarray:
    """Random relative signal, another for every seed."""
    size = (grid or axial_grid()).size[::-1]
    return np.random.default_rng(seed).uniform(0.05, 1.0, size).astype(np.float32)


PARTS = {part: voxels(k) for k, part in enumerate(DixonPart)}
EXTRAS = {extra: voxels(10 + k) for k, extra in enumerate(Extra)}


def exported(base: Path, vendor: Vendor, export: Export, field_t: float) -> list[Series]:
    """Write a Dixon set with its maps into ``base``/in; returns its series."""
    scanner = replace(SCANNERS[vendor], field_strength_t=field_t)
    series = dixon(vendor, 5, axial_grid(), PARTS, field_t, export, EXTRAS)
    write(files(vendor, series, VISIT, scanner, export), base / "in")
    return series


def grid_of(row: Row) -> Grid:
    return Grid(tuple(row["size"]), tuple(row["spacing_mm"]), tuple(row["origin_mm"]), tuple(row["direction"]))


@pytest.mark.parametrize("field_t", [1.5, 3.0])
@pytest.mark.parametrize("export", list(Export))
@pytest.mark.parametrize("vendor", list(Vendor))
def test_every_part_of_a_dixon_set(tmp_path: Path, vendor: Vendor, export: Export, field_t: float) -> None:
    series = exported(tmp_path, vendor, export, field_t)
    written = DIXON[vendor, export]
    summary, rows = run(tmp_path)
    n_per_series = len(PARTS) + len(EXTRAS) if written.is_one_series else 1
    assert len(series) == (len(PARTS) + len(EXTRAS)) / n_per_series
    assert summary.n_files == (len(series) if written.frames else 7 * axial_grid().size[2])
    assert len(rows) == 7
    in_phase, opposed = ECHO_TIMES_MS[field_t]
    for row in rows:
        assert (row["plane"], row["n_slices"], row["field_strength_t"]) == ("axial", 5, field_t)
        assert row["plane_tilt_deg"] == pytest.approx(TILT_DEG, abs=0.01)
        assert row["echo_time_ms"] == pytest.approx(in_phase if row["dixon_part"] == "inphase" else opposed)
        assert (row["repetition_time_ms"], row["flip_angle_deg"]) == (5.6, 9.0)
        assert row["body_region"] == "lumbar"
        # Philips says no more than SPINE; where the lumbar spine stands in the series name, that decides.
        region = ("text", 0.7) if vendor is Vendor.PHILIPS else ("coded", 0.95)
        assert (row["body_region_evidence"], row["body_region_confidence"]) == region
    named = {row["dixon_part"]: row for row in rows if row["dixon_part"]}
    assert set(named) == {part.value for part in DixonPart}
    for row in named.values():
        assert (row["sequence"], row["status"], row["is_fat_suppressed"]) == ("dixon", "ok", False)
        assert same_grid(grid_of(row), axial_grid(), tolerance_mm=1e-3)
        by_text = vendor is Vendor.CANON and export is Export.SEPARATE
        assert row["sequence_evidence"] == f"Dixon part by {'series text' if by_text else 'image type'}"
        assert 0.7 <= row["sequence_confidence"] <= 0.8 if by_text else row["sequence_confidence"] == 0.95
    maps = [row for row in rows if not row["dixon_part"]]
    assert len(maps) == len(EXTRAS)
    for row in maps:
        assert (row["sequence"], row["status"], row["reason_code"]) == ("other", "excluded", "SEQ_UNKNOWN")


@pytest.mark.parametrize("export", list(Export))
@pytest.mark.parametrize("vendor", list(Vendor))
def test_the_voxels_of_each_part_come_out_under_its_name(tmp_path: Path, vendor: Vendor, export: Export) -> None:
    exported(tmp_path, vendor, export, 3.0)
    run(tmp_path)
    settings = settings_for(tmp_path)
    run_stage(convert.STAGE, settings)
    rows = rows_after("convert", settings)
    found = {row["dixon_part"]: row for row in rows if row["dixon_part"]}
    assert {row["status"] for row in found.values()} == {"ok"}
    assert len(found) == len(PARTS)
    for part, truth in PARTS.items():
        image = read_image(settings.out_path / found[part.value]["image_path"])
        assert same_grid(Grid.of(image), axial_grid(), tolerance_mm=1e-3)
        assert np.abs(array_of(image) - truth * PIXEL_SCALE).max() <= 0.7  # half a stored step, Philips' slope 1.25


def test_philips_letters_in_private_items_alone_tell_the_parts(tmp_path: Path) -> None:
    # Before release 12 the frame type says nothing: ORIGINAL\PRIMARY\T1\NONE for every image.
    (one,) = dixon(Vendor.PHILIPS, 5, axial_grid(), PARTS, 3.0, Export.ENHANCED, EXTRAS)
    silent = tuple(replace(part, image_type=("ORIGINAL", "PRIMARY", "T1", "NONE")) for part in one.parts)
    habits = FrameHabits(is_by_place=True, has_classic_types=True, is_all_per_frame=True)
    write([enhanced([replace(one, parts=silent)], VISIT, SCANNERS[Vendor.PHILIPS], habits)], tmp_path / "in")
    _, rows = run(tmp_path)
    assert {row["dixon_part"] for row in rows} == {*(part.value for part in DixonPart), None}
    assert [row["sequence"] for row in rows if not row["dixon_part"]] == ["other", "other"]


def test_canon_coded_anatomy_stands_where_no_body_part_does(tmp_path: Path) -> None:
    (one,) = dixon(Vendor.CANON, 5, axial_grid(), PARTS, 3.0, Export.ENHANCED)
    item = enhanced([one], VISIT, SCANNERS[Vendor.CANON], FrameHabits())
    del item.BodyPartExamined
    write([item], tmp_path / "in")
    _, rows = run(tmp_path)
    regions = {(row["body_region"], row["body_region_evidence"], row["body_region_confidence"]) for row in rows}
    assert regions == {("lumbar", "coded", 0.95)}  # the study description agrees


EXPECTED: dict[Protocol, tuple[str, bool]] = {
    Protocol.T1: ("T1w", False),
    Protocol.T2: ("T2w", False),
    Protocol.PD: ("PDw", False),
    Protocol.STIR: ("STIR", True),
    Protocol.T1_FLAIR: ("T1w", False),
    Protocol.T2_FLAIR: ("FLAIR", False),
    Protocol.T1_FATSAT: ("T1w", True),
    Protocol.T2_FATSAT: ("T2w", True),
    Protocol.T2_3D: ("T2w", False),
    Protocol.T1_GRADIENT: ("T1w", False),
}


@pytest.mark.parametrize("is_enhanced", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize("vendor", list(Vendor))
def test_plain_protocols(tmp_path: Path, vendor: Vendor, is_enhanced: bool) -> None:
    items = []
    for number, protocol in enumerate(Protocol, start=10):
        plane = Plane.AXIAL if number % 2 else Plane.SAGITTAL
        grid = axial_grid() if plane is Plane.AXIAL else sagittal_grid()
        series = plain_series(vendor, protocol, plane, number, grid, voxels(number, grid))
        made = (
            [enhanced([series], VISIT, SCANNERS[vendor])] if is_enhanced else datasets(series, VISIT, SCANNERS[vendor])
        )
        items += made
    write(items, tmp_path / "in")
    _, rows = run(tmp_path)
    by_number = {row["series_number"]: row for row in rows}
    assert len(by_number) == len(rows) == len(Protocol)
    for number, protocol in enumerate(Protocol, start=10):
        row = by_number[number]
        assert (row["sequence"], row["is_fat_suppressed"]) == EXPECTED[protocol], (protocol, row["sequence_evidence"])
        assert (row["status"], row["plane"]) == ("ok", "axial" if number % 2 else "sagittal")
        assert row["body_region"] == "lumbar"
        # Canon and United Imaging write no sequence variant, Philips MP: spoiling is inferred.
        is_inferred = protocol is Protocol.T1_GRADIENT and vendor not in (Vendor.SIEMENS, Vendor.GE)
        assert row["sequence_confidence"] == (0.75 if is_inferred else 0.95), row["sequence_evidence"]
        assert row["sequence_evidence"].endswith("agrees")
        assert "TR " in row["sequence_evidence"]


@pytest.mark.parametrize("field_t", [1.5, 3.0])
@pytest.mark.parametrize("vendor", list(Vendor))
def test_dual_echo_without_words_is_told_by_echo_time(tmp_path: Path, vendor: Vendor, field_t: float) -> None:
    series = dual_echo(vendor, 5, axial_grid(), voxels(1), voxels(2), field_t)
    write(datasets(series, VISIT, replace(SCANNERS[vendor], field_strength_t=field_t)), tmp_path / "in")
    _, rows = run(tmp_path)
    found = {row["dixon_part"]: row["echo_time_ms"] for row in rows}
    assert found == dict(zip(("inphase", "oppphase"), ECHO_TIMES_MS[field_t], strict=True))
    for row in rows:
        assert (row["sequence"], row["sequence_confidence"]) == ("dixon", 0.7)
        assert row["sequence_evidence"].startswith("Dixon part by echo time")


@pytest.mark.parametrize("vendor", list(Vendor))
def test_echo_times_of_another_field_name_nothing(tmp_path: Path, vendor: Vendor) -> None:
    # 2.46 and 1.23 ms at 1.5 T: opposed, and a quarter of a turn.
    series = dual_echo(vendor, 5, axial_grid(), voxels(1), voxels(2), 3.0)
    write(datasets(series, VISIT, replace(SCANNERS[vendor], field_strength_t=1.5)), tmp_path / "in")
    _, rows = run(tmp_path)
    assert {row["dixon_part"] for row in rows} == {None}


@pytest.mark.parametrize("is_enhanced", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize("vendor", list(Vendor))
def test_localizers_and_reformats_are_set_aside(tmp_path: Path, vendor: Vendor, is_enhanced: bool) -> None:
    scanner = SCANNERS[vendor]
    flat = {
        Plane.AXIAL: replace(axial_grid(), size=(9, 8, 1)),
        Plane.SAGITTAL: replace(sagittal_grid(), size=(9, 8, 1)),
    }
    views = localizer(1, {plane: (grid, voxels(20 + k, grid)) for k, (plane, grid) in enumerate(flat.items())}, vendor)
    source = plain_series(vendor, Protocol.T2, Plane.AXIAL, 3, axial_grid(), voxels(30))
    derived = reformat(vendor, replace(source, parts=(replace(source.parts[0], array=voxels(31)),)), 4)
    if is_enhanced:
        items = [enhanced(views, VISIT, scanner), *(enhanced([one], VISIT, scanner) for one in (source, derived))]
    else:
        items = [ds for one in (*views, source, derived) for ds in datasets(one, VISIT, scanner)]
    write(items, tmp_path / "in")
    _, rows = run(tmp_path)
    outcomes = {(row["series_number"], row["status"], row["reason_code"]) for row in rows}
    assert outcomes == {(1, "excluded", "LOCALIZER"), (3, "ok", None), (4, "excluded", "DERIVED_REFORMAT")}
