"""Levels that people set: what the sheet may say, and that it overrides the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scan_factory import grid_of, lumbar_spine, rods, run, save, scan_row, spine_row, vertebra, work_in

from paraspinal.core.errors import ConfigError
from paraspinal.core.levels_sheet import HandLevel, HandLevels, load_levels_sheet, unmet
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Side
from paraspinal.stages.levels.stage import STAGE
from paraspinal.stages.measure.stage import STAGE as MEASURE

STACK_ID, SERIES_ID = "abcdefghij", "ji765432ab"
IDS = {"stack_ids": [STACK_ID], "series_id": SERIES_ID}


def sheet(folder: Path, text: str) -> str:
    """Write a sheet; bars stand for tabs."""
    path = folder / "levels.tsv"
    path.write_text(text.replace("|", "\t"))
    return str(path)


def levels(folder: Path, text: str, *rows: Row) -> dict[str, Row]:
    work = work_in(folder, levels={"levels_sheet": sheet(folder, text)})
    return {row["role"]: row for row in run(STAGE, list(rows), work)}


def slabs_of(row: Row) -> dict[tuple[str | None, str], dict[str, Any]]:
    return {(s["level"], s["level_scheme"]): s for s in row["slabs"]}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("level|first_slice|last_slice\nL3|4|9", "no column id"),
        ("id|first_slice\nabcdefghij|3", "no column lowest or level"),
        ("id|lowest\nDOE^JANE|L5", "row 2, column id: not an id"),
        ("id|lowest\nabcdefghij|L3", "row 2, column lowest: not a vertebra"),
        ("id|lowest\nabcdefghij|L5\nabcdefghij|L5", "row 3, column id: the same as in row 2"),
        ("id|lowest|level\nabcdefghij|L5|L4", "row 2, column lowest: the row names a level too"),
        ("id|level|first_slice|last_slice\nabcdefghij|S1|3|4", "row 2, column level: not a level"),
        ("id|level|first_slice|last_slice\nabcdefghij|L1_L5|3|4", "row 2, column level: not a level"),
        ("id|level|first_slice|last_slice\nabcdefghij|L3|3|", "row 2, column last_slice: not the number"),
        ("id|level|first_slice|last_slice\nabcdefghij|L3|3|4.5", "row 2, column last_slice: not the number"),
        ("id|level|first_slice|last_slice\nabcdefghij|L3|3|4\nabcdefghij|L3|5|6", "row 3, column level: the same"),
        (
            "id|level|first_slice|last_slice\nabcdefghij|L3|9|12\nabcdefghij|L4|5|6\nabcdefghij|L5|7|8",
            "row 4, column first_slice: out of order",
        ),
    ],
)
def test_a_wrong_sheet_is_refused_by_row_and_column(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_levels_sheet(sheet(tmp_path, text))
    assert word in caught.value.message
    assert "DOE" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_without_a_sheet_nothing_is_set() -> None:
    assert load_levels_sheet("") == {}


def test_rows_of_one_scan_come_from_head_to_foot(tmp_path: Path) -> None:
    text = f"id|level|first_slice|last_slice|lowest\n{STACK_ID}|L5|4|9|\n{STACK_ID}|L4|18|12|\n{SERIES_ID}||||L6"
    found = load_levels_sheet(sheet(tmp_path, text))
    assert found[STACK_ID] == HandLevels(levels=(HandLevel("L4", 12, 18), HandLevel("L5", 4, 9)))
    assert found[SERIES_ID] == HandLevels(lowest="L6")
    assert unmet(found, [STACK_ID, None]) == 1


@pytest.mark.parametrize("name", [STACK_ID, SERIES_ID])
def test_slices_set_by_hand_go_before_the_model(tmp_path: Path, name: str) -> None:
    text = f"id|level|first_slice|last_slice\n{name}|L3|21|28\n{name}|L3_L4|18|18"
    row = levels(tmp_path, text, scan_row(grid_of(), **IDS), spine_row(lumbar_spine()))["muscles"]
    assert (row["level_source"], row["level_numbering"], row["level_scan_id"]) == ("manual", "manual", None)
    slabs = slabs_of(row)
    keys = [("L3", "vertebra_slab"), ("L3", "vertebra_mid"), ("L3_L4", "disc_mid"), ("stack", "slice_block")]
    assert list(slabs) == keys
    assert np.flatnonzero(slabs[keys[0]]["slice_weights"]).tolist() == list(range(21, 29))
    assert sum(slabs[keys[0]]["slice_weights"]) == 8.0
    assert slabs[keys[1]]["slice_weights"][24:26] == [0.5, 0.5]
    assert slabs[keys[2]]["slice_weights"][18] == 1.0
    assert {slabs[key]["coverage_frac"] for key in keys} == {1.0}


def test_what_is_set_by_hand_is_measured(tmp_path: Path) -> None:
    grid = grid_of()
    text = f"id|level|first_slice|last_slice\n{STACK_ID}|L1|41|46\n{STACK_ID}|L5|3|9"
    labels = rods(grid, {Side.LEFT: 20.0, Side.RIGHT: 16.0})
    row = scan_row(grid, sequence="dixon", dseg_path=save(tmp_path, grid, dseg=labels)["dseg"], **IDS)
    row = row | {"frame_of_reference_id": None}  # as NIfTI has none
    done = run(MEASURE, [levels(tmp_path, text, row)["muscles"]], work_in(tmp_path))[0]
    volumes = {
        m["level"]: m["volume_mm3"]
        for m in done["metrics"]
        if (m["muscle"], m["side"]) == ("erector_spinae", "left") and m["level_scheme"] != "vertebra_mid"
    }
    area = np.pi * 20.0**2
    assert volumes["L1"] == pytest.approx(area * 6 * 4.0, rel=0.01)
    assert volumes["L5"] == pytest.approx(area * 7 * 4.0, rel=0.01)
    assert volumes["L1_L5"] == pytest.approx(area * 44 * 4.0, rel=0.01)
    assert {m["level_source"] for m in done["metrics"]} == {"manual"}


def test_a_disc_given_every_slice_is_a_group_on_that_disc(tmp_path: Path) -> None:
    grid = grid_of(extent_mm=(100, 100, 16))
    text = f"id|level|first_slice|last_slice\n{STACK_ID}|L4_L5|0|3"
    slabs = slabs_of(levels(tmp_path, text, scan_row(grid, **IDS))["muscles"])
    assert list(slabs) == [("L4_L5", "disc_stack"), ("L4_L5", "disc_mid"), ("stack", "slice_block")]


def test_slices_the_scan_does_not_have_are_no_levels(tmp_path: Path) -> None:
    text = f"id|level|first_slice|last_slice\n{STACK_ID}|L3|44|50"
    row = levels(tmp_path, text, scan_row(grid_of(), **IDS), spine_row(lumbar_spine()))["muscles"]
    assert (row["level_source"], row["level_reason_code"]) == ("none", "LEVEL_UNRESOLVED")
    assert row["level_detail"] == "the levels sheet names slice 50, the scan has 0 to 49"


def unnumbered(*names: str) -> list[dict[str, Any]]:
    return [vertebra("L3", v["centre_mm"][2]) | {"level": None} for v in lumbar_spine() if v["level"] in names]


def test_the_lowest_vertebra_numbers_a_spine_without_sacrum(tmp_path: Path) -> None:
    spine = spine_row(unnumbered("L1", "L2", "L3", "L4"), level_numbering="unresolved", **IDS)
    done = levels(tmp_path, f"id|lowest\n{STACK_ID}|L4", scan_row(grid_of()), spine)
    assert [v["level"] for v in done["spine"]["vertebrae"]] == ["L4", "L3", "L2", "L1"]
    assert done["spine"]["level_numbering"] == "manual"
    row = done["muscles"]
    assert (row["level_source"], row["level_numbering"]) == ("sagittal_transfer", "manual")
    slabs = slabs_of(row)
    assert np.flatnonzero(slabs["L3", "vertebra_slab"]["slice_weights"]).tolist() == list(range(21, 29))


def test_a_sixth_lumbar_vertebra_is_named_by_hand(tmp_path: Path) -> None:
    sacrum = vertebra("S1", -152.0) | {"inferior_point_mm": None, "inferior_normal": None}
    # The model counts upwards from the sacrum: the sixth is taken for L5, and so on.
    names = ("L5", "L4", "L3", "L2", "L1", "T12")
    spine = [vertebra(name, z) for name, z in zip(names, range(-114, 77, 38), strict=True)]
    done = levels(
        tmp_path,
        f"id|lowest\n{STACK_ID}|L6",
        scan_row(grid_of(extent_mm=(50, 50, 400))),
        spine_row([*spine, sacrum], lstv_suspected=True, **IDS),
    )
    slabs = slabs_of(done["muscles"])
    found = [level for level, scheme in slabs if scheme == "vertebra_slab"]
    assert found == ["L1", "L2", "L3", "L4", "L5", "L6"]
    assert ("L6_S1", "disc_mid") in slabs
    assert ("L5_L6", "disc_mid") in slabs
    assert done["muscles"]["lstv_suspected"] is False


def test_a_vertebra_that_was_not_found_is_passed_over(tmp_path: Path) -> None:
    spine = spine_row(unnumbered("L1", "L2", "L4", "L5"), level_numbering="unresolved", **IDS)
    done = levels(tmp_path, f"id|lowest\n{STACK_ID}|L5", scan_row(grid_of()), spine)
    assert [v["level"] for v in done["spine"]["vertebrae"]] == ["L5", "L4", "L2", "L1"]


def test_only_the_scans_a_sheet_names_depend_on_it(tmp_path: Path) -> None:
    rows = [scan_row(grid_of(), **IDS)]
    other = [scan_row(grid_of(), stack_ids=["bbbbbbbbbb"])]

    def activity(text: str, of: list[Row]) -> str:
        settings = work_in(tmp_path, levels={"levels_sheet": sheet(tmp_path, text)}).settings
        return STAGE.narrow(STAGE.recipe(settings), of, settings).id

    one, two = (f"id|level|first_slice|last_slice\n{STACK_ID}|L3|2|{last}" for last in (8, 9))
    assert activity(one, rows) != activity(two, rows)
    assert activity(one, rows) == activity(one + f"\n{SERIES_ID}|L3|1|5", rows)
    assert activity(one, other) == activity(two, other)
