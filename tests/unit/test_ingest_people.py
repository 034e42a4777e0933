"""Who is who by the headers alone: nobody gets another one's name, and a contradiction is never settled by a guess."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from dicom_factory import outcome, run, save, series, uid
from hypothesis import given
from hypothesis import strategies as st

from paraspinal.core.identity import KEY_BYTES, Identity
from paraspinal.core.records.tables import Row
from paraspinal.stages.ingest.identity.people_sheet import PeopleSheet
from paraspinal.stages.ingest.identity.subject_identity import SubjectResolver, claim_of, day_of, stated

JANE = {"PatientName": "Doe^Jane", "PatientBirthDate": "19700102"}
JOHN = {"PatientName": "Roe^John", "PatientBirthDate": "19650304"}


def rows_of(base: Path, *people: dict[str, Any], study: bool = False) -> list[Row]:
    """One series of three slices per person; with ``study`` all bear one study UID, else each has its own."""
    for k, tags in enumerate(people):
        made = series(3, **{"SeriesNumber": k + 1, "seed": k, **tags})
        for ds in made:
            ds.StudyInstanceUID = uid("one" if study else ("study", k))
        save(made, base / "in" / str(k))
    return run(base)[1]


def n_people(rows: list[Row]) -> int:
    return len({row["subject"] for row in rows if row["subject"]})


@pytest.mark.parametrize(
    "text",
    ["ANON", "anonymous", "Anonymized", "UNKNOWN", "None", "N/A", "n.a.", "0", "0000000", "XXXXXX", "xx-xx", "-", "--",
     "TEST", "Patient^Anonymous", "test patient", "REMOVED", " ", "^", "^^^^", "\uff21\uff2e\uff2f\uff2e"],
)  # fmt: skip
def test_placeholders_are_not_stated(text: str) -> None:
    assert stated(text) == ""


@pytest.mark.parametrize("text", ["1", "A", "007", "Anonsen^Anna", "Tester^Tom", "Noname-17", "X1", "ID0", "Zoë", "N"])
def test_names_that_look_like_placeholders_are_stated(text: str) -> None:
    assert stated(text) == text


@pytest.mark.parametrize("patient", ["", "ANON", "0000"])
def test_people_without_an_id_are_told_by_name_and_birth_date(tmp_path: Path, patient: str) -> None:
    rows = rows_of(tmp_path, {"PatientID": patient, **JANE}, {"PatientID": patient, **JOHN})
    assert n_people(rows) == 2
    assert outcome(rows) == [("ok", None, 3)] * 2


def test_people_without_anything_are_told_by_study(tmp_path: Path) -> None:
    nobody = {"PatientID": "ANON", "PatientName": "ANON^ANON", "PatientBirthDate": None}
    assert n_people(rows_of(tmp_path, nobody, nobody)) == 2


def test_spaces_and_case_of_names_change_nobody(tmp_path: Path) -> None:
    same = [{"PatientID": " A1 "}, {"PatientID": "A1", "PatientName": "DOE^JANE^^"}]
    rows = rows_of(tmp_path, *same)
    assert (n_people(rows), outcome(rows)) == (1, [("ok", None, 3)] * 2)


def test_a_misspelt_name_is_the_same_person(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, JANE, {**JANE, "PatientName": "Deo^Jane"})
    assert (n_people(rows), outcome(rows)) == (1, [("ok", None, 3)] * 2)


def test_one_id_of_two_people_names_neither(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, JANE, JOHN, {"PatientID": "bystander"})
    assert outcome(rows) == [("failed", "MIXED_PATIENTS", 3)] * 2 + [("ok", None, 3)]
    assert {row["subject"] for row in rows if row["status"] == "failed"} == {None}
    assert {row["detail"] for row in rows if row["status"] == "failed"} == {"several persons bear its ID"}


def test_one_study_of_two_people_is_unassigned(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, {"PatientID": "A"}, {"PatientID": "B"}, study=True)
    assert outcome(rows) == [("failed", "MIXED_PATIENTS", 3)] * 2
    assert n_people(rows) == 0


def test_two_people_in_one_folder_are_two_people(tmp_path: Path) -> None:
    save([*series(3), *series(3, PatientID="P2", PatientName="Roe^John")], tmp_path / "in")
    rows = run(tmp_path)[1]
    assert (n_people(rows), outcome(rows)) == (2, [("ok", None, 3)] * 2)


def test_series_of_one_study_lend_each_other_what_one_lacks(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, {"PatientID": "A"}, {"PatientID": "", "PatientName": ""}, study=True)
    assert (n_people(rows), outcome(rows)) == (1, [("ok", None, 3)] * 2)


def test_one_series_over_two_studies_is_two_visits(tmp_path: Path) -> None:
    both = [*series(3), *series(3, StudyDate="20210301", first=4)]
    for ds in both:
        ds.SeriesInstanceUID = uid("shared")
    save(both, tmp_path / "in")
    rows = run(tmp_path)[1]
    assert outcome(rows) == [("ok", None, 3)] * 2
    assert (n_people(rows), len({row["session"] for row in rows})) == (1, 2)
    assert sorted(row["days_from_first_visit"] for row in rows) == [0, 365]


def test_a_visit_without_a_date_has_no_day(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, {}, {"StudyDate": None}, {"StudyDate": "20200401"})
    assert n_people(rows) == 1
    assert sorted(str(row["days_from_first_visit"]) for row in rows) == ["0", "31", "None"]


@pytest.mark.parametrize(
    ("text", "iso"),
    [("20200301", "2020-03-01"), ("2020.03.01", "2020-03-01"), ("20200230", None), ("", None), ("1 March", None)],
)
def test_days(text: str, iso: str | None) -> None:
    import datetime

    assert day_of(text) == (datetime.date.fromisoformat(iso).toordinal() if iso else None)


def test_text_burned_into_the_pixels_is_set_aside(tmp_path: Path) -> None:
    save(series(BurnedInAnnotation="YES"), tmp_path / "in" / "1")
    save(series(BurnedInAnnotation="NO", PatientID="P2"), tmp_path / "in" / "2")
    assert outcome(run(tmp_path)[1]) == [("excluded", "PHI_DETECTED", 6), ("ok", None, 6)]


@given(st.text(max_size=40))
def test_any_id_gives_a_plain_pseudonym_that_spaces_do_not_change(text: str) -> None:
    identity = Identity(b"k" * KEY_BYTES)
    claim = claim_of({"patient_id": text})
    assert claim == claim_of({"patient_id": f" {text} "})
    assert re.fullmatch("[a-z2-7]+", identity.subject(claim.patient_id))


@given(
    st.lists(
        st.tuples(st.sampled_from("AB"), st.sampled_from(("Kay", "Lee")), st.sampled_from("12"), st.sampled_from("st"))
    )
)
def test_a_name_is_given_only_where_all_claims_of_the_study_are_of_one_person(claims: list[tuple[str, ...]]) -> None:
    """Whatever headers claim: files that are named alike never differ in their IDs, nor in name and birth date both."""
    from paraspinal.stages.ingest.reading.record import DICOM, FileRecord

    files = []
    for k, (patient, name, born, study) in enumerate(claims):
        values = {"patient_id": patient, "patient_name": name, "birth_date": f"1970010{born}", "study_uid": study}
        files.append((b"/in/%d" % k, FileRecord(DICOM, values={**values, "series_uid": str(k)})))
    resolver = SubjectResolver(((path, record.values) for path, record in files), PeopleSheet((), b"/in"))
    named: dict[str, list[tuple[str, ...]]] = {}
    for file, claim in zip(files, claims, strict=True):
        ((visit, _),) = resolver.visits([file])
        if not visit.conflict:
            named.setdefault(visit.person, []).append(claim)
    for members in named.values():
        assert len({claim[0] for claim in members}) == 1
        assert min(len({claim[1] for claim in members}), len({claim[2] for claim in members})) == 1
