"""The participants sheet: whose row it is, what it may say, and that nothing identifying gets past it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from dicom_factory import save, series, settings_for

from paraspinal.cohort.tables.people import INVENTORY_READ, participants
from paraspinal.core.errors import ConfigError
from paraspinal.core.identity import Identity
from paraspinal.core.records.people_schemas import COVARIATES
from paraspinal.core.records.registry import SHEET_FACTS_PATH
from paraspinal.core.records.schemas import INVENTORY
from paraspinal.core.records.tables import Row
from paraspinal.stages.ingest import ingest
from paraspinal.stages.ingest.identity.participants import facts_of, load_participants

KEY = Identity(bytes(range(32)))


def sheet(base: Path, text: str) -> str:
    """Write a sheet; bars stand for tabs."""
    path = base / "participants.tsv"
    path.write_text(text.replace("|", "\t"), encoding="utf-8")
    return str(path)


def facts(base: Path, text: str) -> list[Row]:
    return [fact for row in load_participants(sheet(base, text)) for fact in facts_of(row, KEY)]


def test_no_sheet_says_nothing() -> None:
    assert load_participants("") == ()


def test_values_are_typed_and_people_are_hashed(tmp_path: Path) -> None:
    found = facts(tmp_path, "Person|sex|age_years|bmi_kg_m2|smoker|score\nP 1|female|94|24.5|never|3\nP2||41|||\n")
    subject = KEY.subject("P 1")
    assert found == [
        {"subject": subject, "covariate": "sex", "value": "F", "number": None},
        {"subject": subject, "covariate": "age_years", "value": "90", "number": 90.0},
        {"subject": subject, "covariate": "bmi_kg_m2", "value": "24.5", "number": 24.5},
        {"subject": subject, "covariate": "smoker", "value": "never", "number": None},
        {"subject": subject, "covariate": "score", "value": "3", "number": 3.0},
        {"subject": KEY.subject("P2"), "covariate": "age_years", "value": "41", "number": 41.0},
    ]


def test_a_sheet_may_be_keyed_by_pseudonym(tmp_path: Path) -> None:
    subject = KEY.subject("P1")
    assert facts(tmp_path, f"subject|smoker\n{subject}|no\n")[0]["subject"] == subject


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("sex\nF", "whose row"),
        ("person|subject\nDOE|aaaaaaaaaaaa", "whose row"),
        ("person|sex|sex\nDOE|F|F", "twice"),
        ("DOE, JANE|F\nx|y", "no name of a covariate"),
        ("person|birth_date\nDOE|19700101", "like an identifier"),
        ("person|patient_name\nDOE|Jane", "like an identifier"),
        ("person|sex\n|F", "row 2, column person: empty"),
        ("person|sex\nDOE|F\nDOE|M", "row 3, column person: the same as in row 2"),
        ("subject|sex\nDOE_JANE|F", "row 2, column subject: not a pseudonym"),
        ("person|sex\nDOE|maybe", "row 2, column sex: not a word"),
        ("person|height_cm\nDOE|1.78", "row 2, column height_cm: not possible"),
        ("person|age_years\nDOE|old", "row 2, column age_years: not possible"),
        ("person|bmi_kg_m2\nDOE|nan", "row 2, column bmi_kg_m2: not possible"),
        ("person|note\nDOE|came on 3.4.2019", "a date"),
        ("person|note\nDOE|2019-04-03", "a date"),
        ("person|note\nDOE|jane@doe.org", "an address"),
        ("person|note\nDOE|" + "x" * 41, "a long text"),
        ("person|other\nDOE|doe", "the same as whose row"),
        ("person|hospital_number\nDOE|4711001\nROE|4711002", "column hospital_number: numbers of people"),
        ("person|sex\nDOE|F|more", "more cells"),
    ],
)
def test_wrong_sheets_are_refused_by_row_and_column_and_quote_nothing(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word) as error:
        load_participants(sheet(tmp_path, text))
    assert "DOE" not in str(error.value).upper()
    assert "JANE" not in str(error.value).upper()


def test_a_run_keeps_the_facts_of_its_people_only_and_no_identifier(tmp_path: Path) -> None:
    save(series(), tmp_path / "in" / "1")
    path = sheet(tmp_path, "person|sex|smoker\nP1|M|never\nStranger|F|daily\n")
    settings = settings_for(tmp_path, ingest={"workers": 1, "participants_sheet": path})
    ingest(settings)
    found = COVARIATES.read(settings.out_path / SHEET_FACTS_PATH)
    subject = Identity.load(settings.private_path).subject("P1")
    assert [(r["subject"], r["covariate"], r["value"]) for r in found] == [
        (subject, "sex", "M"),
        (subject, "smoker", "never"),
    ]
    for file in settings.out_path.rglob("*"):
        if file.is_file():
            assert b"Stranger" not in file.read_bytes()
            assert b"participants.tsv" not in file.read_bytes()


def test_without_a_sheet_the_table_is_there_and_empty(tmp_path: Path) -> None:
    save(series(), tmp_path / "in" / "1")
    settings = settings_for(tmp_path)
    ingest(settings)
    assert COVARIATES.read(settings.out_path / SHEET_FACTS_PATH) == []


def stack(subject: str | None, session: str, day: int | None, sex: str | None, age: float | None) -> Row:
    return {
        "stack_id": f"{subject}{session}{sex}", "subject": subject, "session": session, "days_from_first_visit": day,
        "source": "dicom", "n_files": 1, "plane": "axial", "sequence": "T2w", "is_fat_suppressed": False,
        "decided_by": "ingest", "status": "ok", "sex": sex, "age_years": age,
    }  # fmt: skip


def test_people_have_the_sheet_before_the_header_and_the_first_visit_before_later_ones() -> None:
    inventory = INVENTORY.arrow([
        stack("a", "a2", 400, "F", 42.0), stack("a", "a1", 0, None, 41.0), stack("b", "b1", 0, "M", 50.0),
        stack("c", "c1", None, None, None), stack(None, "", None, "F", 10.0),
    ]).select(list(INVENTORY_READ))  # fmt: skip
    said = COVARIATES.arrow([
        {"subject": "b", "covariate": "sex", "value": "F", "number": None},
        {"subject": "b", "covariate": "height_cm", "value": "180", "number": 180.0},
        {"subject": "b", "covariate": "weight_kg", "value": "81", "number": 81.0},
        {"subject": "b", "covariate": "centre", "value": "north", "number": None},
    ])  # fmt: skip
    a, b, c = participants(inventory, said).to_pylist()
    assert (a["n_visits"], a["sex"], a["sex_source"], a["age_years"]) == (2, "F", "header", 41.0)
    assert (a["is_in_sheet"], a["bmi_kg_m2"], a["centre"]) == (False, None, None)
    assert (b["sex"], b["sex_source"], b["age_years"], b["age_source"]) == ("F", "sheet", 50.0, "header")
    assert (b["is_in_sheet"], b["centre"]) == (True, "north")
    assert b["bmi_kg_m2"] == pytest.approx(25.0)
    assert (c["sex"], c["sex_source"], c["age_years"], c["age_source"]) == (None, None, None, None)


def test_nobody_gives_an_empty_table() -> None:
    empty = INVENTORY.arrow([]).select(list(INVENTORY_READ))
    assert len(participants(empty, COVARIATES.arrow([]))) == 0
    assert isinstance(empty, pa.Table)
