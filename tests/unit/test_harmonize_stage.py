"""Scans from stacks: every stack in exactly one scan, Dixon sets whole or flagged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import AXIAL, CORONAL, SAGITTAL, run, save, series, settings_for, shard_rows, uid
from stage_runs import rows_after, run_stage
from test_harmonize_integrity import SPACING, body

from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Status
from paraspinal.stages import convert, harmonize
from paraspinal.stages.harmonize.pairing import dixon_sets, is_one_grid
from paraspinal.stages.harmonize.stage import levels_from_same_image


def scans_of(base: Path) -> list[Row]:
    """Run ingest, convert and harmonize; every usable stack must be in exactly one scan."""
    run(base)
    settings = settings_for(base)
    run_stage(convert.STAGE, settings)
    run_stage(harmonize.STAGE, settings)
    stacks = rows_after("convert", settings)
    scans = rows_after("harmonize", settings)
    usable = sorted(row["stack_id"] for row in stacks if Status(row["status"]).is_usable)
    assert sorted(stack for scan in scans for stack in scan["stack_ids"]) == usable
    for scan in scans:
        assert len(scan["image_sha256s"]) == len(scan["stack_ids"])
        assert (base / "results" / scan["image_path"]).is_file()
    return scans


def dixon(volumes: dict[str, np.ndarray], number: int = 5, **tags: Any) -> list[Any]:
    """One series per part, numbered on from ``number``; 12-bit pixels of the body on its own grid."""
    items = []
    for k, (word, volume) in enumerate(volumes.items()):
        kept = {
            "ImageType": ["DERIVED", "PRIMARY", "DIXON", word], "SeriesNumber": number + k,
            "SeriesDescription": "vibe_dixon",
            "PixelSpacing": list(SPACING[:2]), "ScanningSequence": "GR", "SequenceVariant": "SP",
        }  # fmt: skip
        for n, plane in enumerate(volume):
            pixels = np.clip(np.round(plane), 0, 4095).astype(np.uint16)
            origin = (-180.0, -120.0, SPACING[2] * n)
            items += series(1, origin=origin, first=n + 1, seed=word, pixel_array=pixels, **{**kept, **tags})
    return items


def parts() -> dict[str, np.ndarray]:
    """The four images of a sound Dixon acquisition."""
    water, fat = body()
    return {"WATER": water, "FAT": fat, "IN_PHASE": water + fat, "OPP_PHASE": np.abs(water - fat)}


def test_sound_dixon_set_is_one_scan(tmp_path: Path) -> None:
    save(dixon(parts()), tmp_path / "in")
    (scan,) = scans_of(tmp_path)
    assert (scan["status"], scan["reason_code"], scan["fi_reason_code"], scan["role"]) == ("ok", None, None, "muscles")
    assert len(scan["stack_ids"]) == 4
    assert scan["image_path"] == scan["water_path"]
    assert "desc-fat" in scan["fat_path"]
    assert scan["subcutaneous_ff"] == pytest.approx(0.95, abs=0.02)
    assert scan["scan_id"].endswith(f"acq-ax{scan['stack_ids'][0]}_dixon")


@pytest.mark.parametrize("absent", ["FAT", "WATER"])
def test_missing_part(tmp_path: Path, absent: str) -> None:
    made = parts()
    del made[absent]
    save(dixon(made), tmp_path / "in")
    (scan,) = scans_of(tmp_path)
    assert (scan["status"], scan["reason_code"], scan["fi_reason_code"]) == (
        "warn",
        "DIXON_INCOMPLETE",
        "DIXON_INCOMPLETE",
    )
    assert scan["role"] == "muscles"
    assert ("desc-inphase" if absent == "WATER" else "desc-water") in scan["image_path"]


def test_water_with_a_map_is_complete(tmp_path: Path) -> None:
    made = parts()
    fraction = made["FAT"] / np.maximum(made["WATER"] + made["FAT"], 1) * 1000
    save(dixon({"WATER": made["WATER"], "FAT_FRACTION": fraction}), tmp_path / "in")
    (scan,) = scans_of(tmp_path)
    assert (scan["status"], scan["fi_reason_code"], scan["fat_fraction_scale"]) == ("ok", None, 1000.0)


def test_swapped_names(tmp_path: Path) -> None:
    made = parts()
    save(dixon({"WATER": made["FAT"], "FAT": made["WATER"]}), tmp_path / "in")
    (scan,) = scans_of(tmp_path)
    assert (scan["status"], scan["fi_reason_code"]) == ("warn", "DIXON_SWAP_SUSPECTED")


def test_slope_on_one_part_only(tmp_path: Path) -> None:
    made = parts()
    lost = {"WATER": made["WATER"], "FAT": made["FAT"] * 0.1, "IN_PHASE": made["IN_PHASE"]}
    save(dixon(lost), tmp_path / "in")
    (scan,) = scans_of(tmp_path)
    assert (scan["status"], scan["fi_reason_code"]) == ("warn", "DIXON_SCALE_MISMATCH")


def stated_slope(*more: str) -> list[Any]:
    """A pair whose fat alone states a slope, which makes it right again; with the images named."""
    made = parts()
    fat = dixon({"FAT": made["FAT"] * 2.0}, 6)
    for ds in fat:
        ds.RescaleSlope, ds.RescaleIntercept = 0.5, 0.0
    return [*dixon({"WATER": made["WATER"]}), *fat, *dixon({word: made[word] for word in more}, 7)]


def test_slope_stated_on_one_part_only_is_suspected(tmp_path: Path) -> None:
    save(stated_slope(), tmp_path / "in")
    (scan,) = scans_of(tmp_path)
    assert (scan["status"], scan["fi_reason_code"]) == ("warn", "DIXON_SCALE_MISMATCH")
    assert scan["detail"].startswith("rescale slope none of water, 0.5 of fat")


@pytest.mark.parametrize("word", ["IN_PHASE", "OPP_PHASE"])
def test_slope_stated_on_one_part_only_is_sound_where_physics_proves_it(tmp_path: Path, word: str) -> None:
    save(stated_slope(word), tmp_path / "in")
    (scan,) = scans_of(tmp_path)
    assert (scan["status"], scan["fi_reason_code"]) == ("ok", None)
    assert scan["dixon_fit_ratio"] == pytest.approx(1.0, abs=0.05)


def _shifted(items: list[Any]) -> list[Any]:
    for ds in items:
        x, y, z = ds.ImagePositionPatient
        ds.ImagePositionPatient = [x, y, z + SPACING[2]]
    return items


GRIDS: dict[str, Callable[[np.ndarray], list[Any]]] = {
    "shifted by a slice": lambda fat: _shifted(dixon({"FAT": fat}, 6)),
    "one slice less": lambda fat: dixon({"FAT": fat[:-1]}, 6),
    "another matrix": lambda fat: dixon({"FAT": fat[:, ::2, ::2]}, 6),
    "another pixel": lambda fat: dixon({"FAT": fat}, 6, PixelSpacing=[1.9, 1.9]),
}


@pytest.mark.parametrize("how", GRIDS)
def test_parts_on_different_grids_are_never_divided(tmp_path: Path, how: str) -> None:
    made = parts()
    save([*dixon({"WATER": made["WATER"]}), *GRIDS[how](made["FAT"])], tmp_path / "in")
    scans = scans_of(tmp_path)
    assert {scan["fi_reason_code"] for scan in scans} <= {"DIXON_GRID_MISMATCH", "DIXON_INCOMPLETE"}
    assert {scan["status"] for scan in scans} == {"warn"}


def acquisition(number: int, time: str, seed: float = 1.0) -> list[Any]:
    """Water and fat of one acquisition, at a time of day."""
    made = {word: volume * seed for word, volume in parts().items() if word in ("WATER", "FAT")}
    return dixon(made, number, AcquisitionTime=time)


def test_two_acquisitions_on_one_grid_are_told_by_time(tmp_path: Path) -> None:
    """The scanner numbered all water before all fat, so that numbers alone would pair the wrong ones."""
    early, late = acquisition(5, "101500"), acquisition(6, "103000", 0.5)
    for ds in [*early, *late]:
        is_fat, is_late = "FAT" in ds.ImageType, ds in late
        ds.SeriesNumber = 5 + 2 * is_fat + is_late
        ds.SeriesInstanceUID = uid("series", ds.SeriesNumber)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid("sop", ds.SeriesNumber, ds.InstanceNumber)
    save([*early, *late], tmp_path / "in")
    scans = scans_of(tmp_path)
    assert [scan["status"] for scan in scans] == ["ok", "ok"]
    moments = {row["stack_id"]: row["acquisition_moment"] for row in shard_rows(settings_for(tmp_path))}
    assert all(len({moments[stack] for stack in scan["stack_ids"]}) == 1 for scan in scans)


def test_a_part_that_fits_two_acquisitions_alike_is_given_to_neither(tmp_path: Path) -> None:
    rows = [_stack("water", 5), _stack("water", 7), _stack("fat", 6)]
    sets = dixon_sets(rows)
    assert sorted(len(found.parts) for found in sets) == [1, 1, 1]
    assert [found.disputed for found in sets if "water" in found.parts] == [{"fat"}, {"fat"}]


def test_other_grid(tmp_path: Path) -> None:
    made = parts()
    moved = dixon({"FAT": made["FAT"]}, 6)
    for ds in moved:
        x, y, z = ds.ImagePositionPatient
        ds.ImagePositionPatient = [x, y + 20.0, z]
    save([*dixon({"WATER": made["WATER"]}), *moved], tmp_path / "in")
    (scan,) = scans_of(tmp_path)
    assert (scan["status"], scan["fi_reason_code"]) == ("warn", "DIXON_GRID_MISMATCH")


def test_rounding_noise_is_no_other_grid(tmp_path: Path) -> None:
    made = parts()
    noisy = dixon({"FAT": made["FAT"]}, 6, PixelSpacing=[2.0001, 2.0001])
    save([*dixon({"WATER": made["WATER"]}), *noisy], tmp_path / "in")
    (scan,) = scans_of(tmp_path)
    assert scan["status"] == "ok"


def test_two_acquisitions_stay_apart(tmp_path: Path) -> None:
    made = parts()
    both = {"WATER": made["WATER"], "FAT": made["FAT"]}
    save([*dixon(both, 5), *dixon({k: v * 0.9 for k, v in both.items()}, 20)], tmp_path / "in")
    first, second = scans_of(tmp_path)
    numbers = {first["series_number"], second["series_number"]}
    assert numbers == {5, 20}
    assert [len(scan["stack_ids"]) for scan in (first, second)] == [2, 2]


def test_single_images(tmp_path: Path) -> None:
    save(series(5, SeriesNumber=1), tmp_path / "in" / "t2")
    save(series(5, 4.0, SAGITTAL, SeriesNumber=2, RepetitionTime=600.0, EchoTime=12.0), tmp_path / "in" / "t1 sag")
    save(series(5, 4.0, CORONAL, SeriesNumber=3), tmp_path / "in" / "coronal")
    save(series(2, SeriesNumber=4), tmp_path / "in" / "two")
    save(series(5, SeriesNumber=5, ScanOptions="FS"), tmp_path / "in" / "fatsat")
    odd = {"EchoTime": None, "RepetitionTime": None, "SeriesDescription": "axial"}
    save(series(5, SeriesNumber=6, **odd), tmp_path / "in" / "unknown")
    save(series(5, 4.0, SAGITTAL, SeriesNumber=7, **odd), tmp_path / "in" / "unknown sagittal")
    by_number = {scan["series_number"]: scan for scan in scans_of(tmp_path)}
    names = ("role", "status", "reason_code", "fi_reason_code")
    assert {number: tuple(scan[name] for name in names) for number, scan in by_number.items()} == {
        1: ("muscles", "ok", None, None),
        2: ("spine", "ok", None, None),
        3: ("none", "excluded", "WRONG_PLANE", None),
        4: ("none", "excluded", "TOO_FEW_SLICES", None),
        5: ("muscles", "ok", None, "FATSUP_NO_FI"),
        6: ("muscles", "warn", "SEQ_UNKNOWN", "SEQ_UNKNOWN"),
        7: ("spine", "ok", None, "SEQ_UNKNOWN"),
    }
    assert by_number[1]["scan_id"].endswith("_T2w")


def test_repeated_scans_are_kept_apart(tmp_path: Path) -> None:
    save([*series(seed=1), *series(seed=2, AcquisitionNumber=2, first=7)], tmp_path / "in")
    assert len({scan["scan_id"] for scan in scans_of(tmp_path)}) == 2


def test_slightly_tilted_slices_measure_muscles_steep_ones_do_not(tmp_path: Path) -> None:
    for number, angle in enumerate((40.0, 50.0)):
        c, s = float(np.cos(np.radians(angle))), float(np.sin(np.radians(angle)))
        save(series(5, 4.0, (1.0, 0.0, 0.0, 0.0, c, s), SeriesNumber=number), tmp_path / "in" / str(number))
    assert {scan["series_number"]: scan["role"] for scan in scans_of(tmp_path)} == {0: "muscles", 1: "none"}


@pytest.mark.parametrize(
    ("size", "spacing_mm", "spine", "expected"),
    [
        (30, 4.0, None, True),
        (30, 5.5, None, False),
        (20, 4.0, None, False),
        (30, 4.0, {}, False),
        (30, 4.0, {"status": "failed"}, True),
        (30, 4.0, {"frame_of_reference_id": "another"}, True),
        (30, 4.0, {"role": "none"}, True),
    ],
)
def test_a_muscle_scan_without_a_spine_scan_seeks_its_own_levels(
    size: int, spacing_mm: float, spine: Row | None, expected: bool
) -> None:
    scan = {"role": "muscles", "status": "ok", "frame_of_reference_id": "f", "size": [9, 9, size]}
    scan["spacing_mm"] = [1.0, 1.0, spacing_mm]
    scans = [scan] if spine is None else [scan, {**scan, "role": "spine", **spine}]
    assert levels_from_same_image(scan, scans) is expected
    assert levels_from_same_image({**scan, "role": "spine"}, scans) is None
    assert levels_from_same_image({**scan, "frame_of_reference_id": None}, scans) is (spacing_mm <= 5.0 and size == 30)


def test_doubts_from_upstream_are_kept(tmp_path: Path) -> None:
    save(series(5, ImagesInAcquisition=7), tmp_path / "in")
    (scan,) = scans_of(tmp_path)
    assert (scan["status"], scan["reason_code"]) == ("warn", "SLICE_MISSING")


def _stack(part: str, number: int | None, **over: Any) -> Row:
    return {
        "stack_id": f"{part}{number}{over.get('origin_mm', '')}", "dixon_part": part, "series_number": number,
        "series_id": f"s{number}", "plane": "axial", "frame_of_reference_id": None, "size": [10, 10, 5],
        "spacing_mm": [1.0, 1.0, 4.0], "origin_mm": [0.0, 0.0, 0.0],
        "direction": [float(x) for x in np.eye(3).reshape(-1)],
        "acquisition_moment": None, "acquisition_number": None,
        **over,
    }  # fmt: skip


def test_five_groups_of_one_series_pair_by_place() -> None:
    origins = [[0.0, 0.0, 35.0 * k] for k in range(5)]
    rows = [_stack(part, 5, origin_mm=origin) for part in ("fat", "water", "inphase") for origin in origins]
    sets = dixon_sets(rows)
    assert len(sets) == 5
    for members in sets:
        assert len(members.parts) == 3
        assert len({str(row["origin_mm"]) for row in members.parts.values()}) == 1


def test_nothing_is_lost_without_a_founder() -> None:
    rows = [_stack("fat", 1), _stack("oppphase", 2), _stack("fat", 40), _stack("fatfraction", 3)]
    found = [row["stack_id"] for members in dixon_sets(rows) for row in members.parts.values()]
    assert sorted(found) == sorted(row["stack_id"] for row in rows)


def test_grids_of_different_size_are_never_one() -> None:
    assert not is_one_grid(_stack("fat", 1), _stack("water", 1, size=[10, 10, 6]))


def test_axial_is_the_default_orientation_of_the_factory() -> None:
    assert AXIAL[0] == AXIAL[4] == 1.0
