"""The user's two sheets: what they may say, what they change, and what they never touch."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from dicom_factory import AXIAL, CORONAL, SAGITTAL, instance, outcome, run, save, series, settings_for, uid

from paraspinal.cohort.running.plan import stage_params
from paraspinal.core.errors import ConfigError
from paraspinal.core.records.tables import Row
from paraspinal.stages.ingest import ingest
from paraspinal.stages.ingest.sheets import load_sheets


def sheet(base: Path, kind: str, text: str) -> dict[str, Any]:
    """Write a sheet; returns the setting that names it. Bars stand for tabs."""
    path = base / f"{kind}.tsv"
    path.write_text(text.replace("|", "\t"))
    return {"ingest": {"workers": 1, f"{kind}_sheet": str(path)}}


def overridden(base: Path, text: str) -> list[Row]:
    """The inventory with an override sheet; {stack}, {series} and {protocol} in it are ids of the first stack."""
    _, rows = run(base)
    row = min(rows, key=lambda row: (row["series_number"] or 0, row["stack_id"]))
    named = text.format(stack=row["stack_id"], series=row["series_id"], protocol=row["protocol_id"])
    return run(base, **sheet(base, "override", named))[1]


# What a sheet may be


WRONG = {
    "override": [
        ("", "empty"),
        ("sequence\nT1w", "no column id"),
        ("id\nabcdefghij", "no column sequence or"),
        ("id|sequence|colour\n", "column 3 has no known name"),
        ("id|sequence|sequence\n", "twice"),
        ("id|sequence\nDOE^JANE|T1w", "row 2, column id: not an id"),
        ("id|sequence\nabcdefghij|T1", "row 2, column sequence: not a word"),
        ("id|use\n|no", "row 2, column id: empty"),
        ("id|use\nabcdefghij|perhaps", "row 2, column use: neither"),
        ("id|body_region\nabcdefghij|spine", "row 2, column body_region"),
        ("id|use\nabcdefghij|no\nabcdefghij|yes", "row 3, column id: the same as in row 2"),
        ("id|sequence|dixon_part\nabcdefghij|T1w|fat", "row 2, column dixon_part"),
        ("id|sequence\nabcdefghij|dixon", "row 2, column dixon_part"),
        ("id|sequence|is_fat_suppressed\nabcdefghij|STIR|no", "row 2, column is_fat_suppressed"),
        ("id|use\nabcdefghij|no|more", "row 2: more cells"),
        ('id|use\nabcdefghij|"no', "row 2: not tab-separated"),
    ],
    "people": [
        ("patient_id\nDoe", "no column person"),
        ("person\nA", "no column path or"),
        ("patient_id|person\nDoe|", "row 2, column person: empty"),
        ("patient_id|person\n|A", "row 2: no condition"),
    ],
}


@pytest.mark.parametrize(("kind", "text", "word"), [(k, *case) for k, cases in WRONG.items() for case in cases])
def test_a_wrong_sheet_is_refused_before_anything_is_written(tmp_path: Path, kind: str, text: str, word: str) -> None:
    save(series(), tmp_path / "in")
    settings = settings_for(tmp_path, **sheet(tmp_path, kind, text))
    with pytest.raises(ConfigError) as caught:
        ingest(settings)
    assert word in caught.value.message
    assert not {"DOE", "JANE", "Doe", "perhaps", "spine", str(tmp_path)} & set(
        str(caught.value).replace(":", " ").split()
    )
    assert not (tmp_path / "results").exists()


def test_a_missing_sheet_is_refused_without_its_path(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, ingest={"workers": 1, "people_sheet": str(tmp_path / "Doe.tsv")})
    with pytest.raises(ConfigError, match="people sheet cannot be read") as caught:
        load_sheets(settings)
    assert "Doe" not in str(caught.value)


def test_a_sheet_may_come_from_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "override.tsv"
    path.write_bytes('\ufeffID\tUse\r\n"abcdefghij"\tNo\r\n\t\r\n'.encode())
    (row,) = load_sheets(settings_for(tmp_path, ingest={"workers": 1, "override_sheet": str(path)})).overrides
    assert (row.number, row.id, row.use) == (2, "abcdefghij", False)


def test_sheets_are_kept_out_of_the_public_configuration(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, **sheet(tmp_path, "people", "patient_id|person\nDoe|A"))
    assert str(tmp_path / "people.tsv") not in str(settings.public())


def test_an_edited_sheet_makes_the_engine_look_again(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, **sheet(tmp_path, "people", "patient_id|person\nDoe|A"))
    before = stage_params("ingest", settings)
    assert stage_params("ingest", settings) == before
    sheet(tmp_path, "people", "patient_id|person\nDoe|B")
    assert stage_params("ingest", settings) != before


# Overrides


@pytest.mark.parametrize("level", ["stack", "series", "protocol"])
def test_a_sequence_is_named(tmp_path: Path, level: str) -> None:
    save(series(), tmp_path / "in")
    (row,) = overridden(tmp_path, f"id|sequence\n{{{level}}}|PDw")
    assert (row["sequence"], row["sequence_evidence"], row["sequence_confidence"]) == ("PDw", "override sheet", 1.0)


def test_one_row_corrects_a_protocol_of_everybody_and_no_other(tmp_path: Path) -> None:
    for k in range(3):
        save(series(PatientID=f"P{k}", SeriesDescription="Odd Name"), tmp_path / "in" / f"a{k}")
        save(series(PatientID=f"P{k}", SeriesNumber=6), tmp_path / "in" / f"b{k}")
    elsewhere = series(PatientID="P9", SeriesNumber=7, SeriesDescription="odd  name", InstitutionName="Elsewhere")
    save(elsewhere, tmp_path / "in" / "c")
    rows = overridden(tmp_path, "id|sequence\n{protocol}|T1w")
    assert sorted(row["sequence"] for row in rows) == ["T1w"] * 3 + ["T2w"] * 4


def test_protocols_are_told_by_their_words_not_by_case_or_spaces(tmp_path: Path) -> None:
    for k, name in enumerate(("T2 TSE", "t2  tse", "T2 TSE new")):
        save(series(PatientID=f"P{k}", SeriesDescription=name), tmp_path / "in" / str(k))
    save(series(PatientID="P3", SeriesDescription=None), tmp_path / "in" / "none")
    _, rows = run(tmp_path)
    protocols = [row["protocol_id"] for row in rows]
    assert (len(set(protocols)), protocols.count(None)) == (3, 1)


def test_the_more_specific_row_wins_cell_by_cell(tmp_path: Path) -> None:
    save(series(), tmp_path / "in")
    (row,) = overridden(tmp_path, "id|sequence|is_fat_suppressed\n{protocol}|T1w|yes\n{stack}|PDw|")
    assert (row["sequence"], row["is_fat_suppressed"]) == ("PDw", True)


def test_a_dixon_part_is_named(tmp_path: Path) -> None:
    save(series(), tmp_path / "in")
    (row,) = overridden(tmp_path, "id|dixon_part\n{stack}|fat")
    assert (row["sequence"], row["dixon_part"]) == ("dixon", "fat")


def test_only_fat_suppression_is_corrected(tmp_path: Path) -> None:
    save(series(), tmp_path / "in")
    (row,) = overridden(tmp_path, "id|is_fat_suppressed\n{stack}|yes")
    assert (row["sequence"], row["is_fat_suppressed"]) == ("T2w", True)
    assert row["sequence_evidence"].endswith("fat suppression by override sheet")


def test_what_the_user_does_not_want_is_set_aside(tmp_path: Path) -> None:
    save(series(), tmp_path / "in" / "a")
    save(series(SeriesNumber=6), tmp_path / "in" / "b")
    rows = overridden(tmp_path, "id|use\n{series}|no")
    assert outcome(rows) == [("excluded", "EXCLUDED_BY_SHEET", 6), ("ok", None, 6)]


JUDGED = {
    "a localizer": ({"SeriesDescription": "localizer"}, "LOCALIZER"),
    "a reformat": ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "DERIVED_REFORMAT"),
    "another region": ({"BodyPartExamined": "KNEE"}, "WRONG_BODY_PART"),
    "no anatomy": ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "SEQ_UNKNOWN"),
}


@pytest.mark.parametrize("case", JUDGED)
def test_a_judgement_is_lifted(tmp_path: Path, case: str) -> None:
    tags, reason = JUDGED[case]
    save(series(**tags), tmp_path / "in")
    assert outcome(run(tmp_path)[1]) == [("excluded", reason, 6)]
    assert outcome(overridden(tmp_path, "id|use\n{stack}|yes")) == [("ok", None, 6)]


def test_naming_what_was_unknown_or_elsewhere_is_enough(tmp_path: Path) -> None:
    save(series(BodyPartExamined="KNEE"), tmp_path / "in")
    (row,) = overridden(tmp_path, "id|body_region\n{stack}|lumbar")
    assert (row["status"], row["body_region"], row["body_region_evidence"]) == ("ok", "lumbar", "override sheet")


def test_a_region_elsewhere_sets_aside(tmp_path: Path) -> None:
    save(series(), tmp_path / "in")
    assert outcome(overridden(tmp_path, "id|body_region\n{stack}|cervical")) == [("excluded", "WRONG_BODY_PART", 6)]


@pytest.mark.parametrize(
    ("tags", "reason"), [({"PixelSpacing": [0.0, 0.0]}, "BAD_SPACING"), ({"ImagePositionPatient": None}, "NO_GEOMETRY")]
)
def test_a_fault_is_never_lifted(tmp_path: Path, tags: dict[str, Any], reason: str) -> None:
    save(series(**tags, SeriesDescription="localizer"), tmp_path / "in")
    assert outcome(overridden(tmp_path, "id|use|sequence\n{stack}|yes|T1w")) == [("failed", reason, 6)]


def test_a_three_plane_series_is_wanted_after_all(tmp_path: Path) -> None:
    planes = enumerate((AXIAL, SAGITTAL, CORONAL))
    save([ds for k, plane in planes for ds in series(3, 10.0, plane, first=1 + 3 * k, seed=k)], tmp_path / "in")
    assert outcome(overridden(tmp_path, "id|use\n{series}|yes")) == [("ok", None, 3)] * 3


def test_rows_that_match_nothing_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(series(), tmp_path / "in")
    overridden(tmp_path, "id|use\n{stack}|yes\nabcdefghij|no\nabcdefghik|no")
    assert "override sheet that match nothing in the input: 2" in caplog.text
    run(tmp_path, **sheet(tmp_path, "people", "patient_id|person\nNobody|A"))
    assert "people sheet that match nothing in the input: 1" in caplog.text
    assert "Nobody" not in caplog.text


# People


def named(base: Path, text: str, **more: Any) -> tuple[list[Row], int]:
    """The inventory with a people sheet, and how many people it has; from scratch, for people get other names."""
    shutil.rmtree(base / "results", ignore_errors=True)
    rows = run(base, **sheet(base, "people", text), **more)[1]
    return rows, len({row["subject"] for row in rows if row["subject"]})


def test_two_people_in_one_series_are_split_by_the_sheet_alone(tmp_path: Path) -> None:
    shared = uid("shared")
    both = [*series(3), *series(3, first=4, PatientID="P2", origin=(-6, -5, 22))]
    for ds in both:
        ds.SeriesInstanceUID = shared
    save(both, tmp_path / "in")
    rows, n_people = named(tmp_path, "patient_id|person\nP1|A")
    assert (outcome(rows), n_people) == ([("failed", "MIXED_PATIENTS", 6)], 0)
    rows, n_people = named(tmp_path, "patient_id|person\nP1|A\nP2|B")
    assert (outcome(rows), n_people) == ([("ok", None, 3), ("ok", None, 3)], 2)


def test_folders_tell_people_apart_whom_the_header_does_not(tmp_path: Path) -> None:
    for k in range(3):
        made = series(PatientID="ANON", PatientName="ANON", PatientBirthDate="", SeriesNumber=k, seed=k)
        for ds in made:
            ds.StudyInstanceUID = uid("one for all")
        save(made, tmp_path / "in" / "site 1" / f"case{k}" / "scans")
    assert named(tmp_path, "path|person\nnowhere|X")[1] == 1
    assert named(tmp_path, "path|person\nsite 1/case0|A\nsite 1/case1/|B\n./site 1/case2|C")[1] == 3
    assert named(tmp_path, "path|person\nsite */case0|A\n*|B")[1] == 2


def test_the_first_row_that_fits_holds(tmp_path: Path) -> None:
    save(series(), tmp_path / "in" / "x")
    save(series(PatientID="P2"), tmp_path / "in" / "y")
    rows, n_people = named(tmp_path, "path|patient_id|person\nx|P1|A\nx|P2|B\n*||C")
    again, _ = named(tmp_path, "path|person\nx|A\ny|C")
    assert n_people == 2
    assert {row["subject"] for row in rows} == {row["subject"] for row in again}


def test_ids_of_two_hospitals_may_be_one_person(tmp_path: Path) -> None:
    save(series(PatientID="H1-7"), tmp_path / "in" / "1")
    save(series(PatientID="77-B", StudyDate="20210301"), tmp_path / "in" / "2")
    rows, n_people = named(tmp_path, "patient_id|person\nH1-7|same\n77-B|same")
    assert n_people == 1
    assert sorted(row["days_from_first_visit"] for row in rows) == [0, 365]


def test_visits_are_named(tmp_path: Path) -> None:
    save(series(), tmp_path / "in" / "1")
    save(series(StudyDate="20200302", SeriesNumber=6), tmp_path / "in" / "2")
    rows, _ = named(tmp_path, "patient_id|person|visit\nP1|A|baseline")
    assert len({row["session"] for row in rows}) == 1


def test_a_sheet_leaves_others_as_they_are(tmp_path: Path) -> None:
    save(series(), tmp_path / "in" / "1")
    save([instance(k, PatientID="P2", SeriesNumber=9) for k in range(1)], tmp_path / "in" / "2")
    before = {row["stack_id"]: row for row in run(tmp_path)[1]}
    rows, _ = named(tmp_path, "patient_id|person\nP2|B")
    same = [row for row in rows if before.get(row["stack_id"]) == row]
    assert len(same) == 1
