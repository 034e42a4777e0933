"""The participants sheet: what is known of people beside their images, checked so that nothing in it names anyone.

Its closed columns have a meaning and bounds; any other column is a covariate of the user's. The column that says whose
row it is, is hashed and goes no further. Errors name row and column and never quote a cell.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from paraspinal.core.errors import ConfigError
from paraspinal.core.identity import SUBJECT_LENGTH, Identity
from paraspinal.core.records.tables import Row
from paraspinal.core.sheets import Cells, cells_of, read_rows
from paraspinal.stages.ingest.rows import MAX_AGE_YEARS

SHEET = "participants sheet"
OWNERS = ("person", "subject")
"""The column that says whose row it is: a patient ID or a person of the people sheet, or a pseudonym."""
BOUNDS = {"age_years": (0.0, 130.0), "height_cm": (30.0, 260.0), "weight_kg": (1.0, 500.0), "bmi_kg_m2": (5.0, 120.0)}
"""Closed columns that are numbers, with what is possible; a value beyond is in another unit."""
SEXES = {"F": "F", "FEMALE": "F", "W": "F", "M": "M", "MALE": "M", "O": "O", "OTHER": "O"}
CLOSED = ("sex", *BOUNDS, "centre")
MAX_TEXT = 40
"""Characters of a covariate's value: a category, not a story."""
MAX_WHOLE = 99_999
"""Whole numbers beyond are numbers of people, files or telephones."""
NAMING = frozenset({
    "name", "surname", "forename", "firstname", "lastname", "initials", "birth", "birthday", "birthdate", "dob", "date",
    "address", "street", "postcode", "zip", "phone", "telephone", "mobile", "email", "mail", "mrn", "ssn", "nhs", "id",
    "patient",
})  # fmt: skip
"""Words of a column name that speak of an identifier or a date."""
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,27}")
_SUBJECT = re.compile(rf"[a-z2-7]{{{SUBJECT_LENGTH}}}")
_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}|\d{1,2}[ -][A-Za-z]{3,9}[ -]\d{2,4}")


@dataclass(frozen=True)
class ParticipantRow:
    """One row: whose it is, and what it says; ``person`` must not leave this process."""

    number: int
    person: str
    subject: str
    values: Cells


def load_participants(path: str) -> tuple[ParticipantRow, ...]:
    """Read and check the sheet; no path is an empty sheet. Raises ConfigError naming the row and the column."""
    if not path:
        return ()
    (_, head), *body = read_rows(path, SHEET)
    columns = _columns(head)
    owner = next(name for name in columns if name in OWNERS)
    rows = []
    seen: dict[str, int] = {}
    for number, line in body:
        cells = cells_of(number, line, SHEET, columns, (owner,))
        whose = cells.pop(owner)
        if seen.setdefault(whose, number) != number:
            raise _wrong(number, owner, f"the same as in row {seen[whose]}", "one row per person")
        if owner == "subject" and not _SUBJECT.fullmatch(whose):
            raise _wrong(number, owner, "not a pseudonym", "as in the tables; patient IDs go into a column person")
        values = {name: _checked(number, name, cell, whose) for name, cell in cells.items() if cell}
        rows.append(ParticipantRow(number, whose * (owner == "person"), whose * (owner == "subject"), values))
    _refuse_numbers_of_people(rows)
    return tuple(rows)


def facts_of(row: ParticipantRow, identity: Identity) -> Iterator[Row]:
    """Yield the rows of the covariates table that a row of the sheet says, under the person's pseudonym."""
    subject = row.subject or identity.subject(row.person)
    for name, value in row.values.items():
        yield {"subject": subject, "covariate": name, "value": value, "number": _number(value)}


def _columns(head: list[str]) -> list[str]:
    """Check the header line, which may be a row of data by mistake and so is not quoted."""
    names = [name.lower() for name in head]
    hint = f"tab-separated, with a column {' or '.join(OWNERS)}, then e.g. {', '.join(CLOSED)}"
    for place, name in enumerate(names, start=1):
        if not _COLUMN.fullmatch(name):
            raise ConfigError(f"{SHEET}, row 1: column {place} is no name of a covariate", hint="letters, digits and _")
        if NAMING & set(name.split("_")):
            raise ConfigError(
                f"{SHEET}, row 1: column {place} is named like an identifier or a date", hint="leave it out"
            )
        if name in names[: place - 1]:
            raise ConfigError(f"{SHEET}, row 1: column {place} is there twice", hint=hint)
    if len(set(names) & set(OWNERS)) != 1:
        raise ConfigError(f"{SHEET}, row 1: whose row is it?", hint=hint)
    return names


def _checked(number: int, name: str, cell: str, whose: str) -> str:
    """Bring a value to the form the tables hold; raises ConfigError for what is impossible or may name someone."""
    if name == "sex":
        if cell.upper() not in SEXES:
            raise _wrong(number, name, "not a word we know", "F, M, O, or empty")
        return SEXES[cell.upper()]
    value = _number(cell)
    if name in BOUNDS:
        low, high = BOUNDS[name]
        if value is None or not low <= value <= high:
            raise _wrong(number, name, "not possible", f"a number from {low:g} to {high:g}, or empty")
        return f"{min(value, MAX_AGE_YEARS):g}" if name == "age_years" else cell
    if value is None and (len(cell) > MAX_TEXT or "@" in cell or _DATE.search(cell)):
        raise _wrong(number, name, "a date, an address or a long text", "a number or a short category")
    if cell.casefold() == whose.casefold():
        raise _wrong(number, name, "the same as whose row it is", "identifiers go nowhere else")
    return cell


def _refuse_numbers_of_people(rows: list[ParticipantRow]) -> None:
    """Refuse a covariate of large whole numbers that are all different: a number of people, not a measure."""
    for name in sorted({name for row in rows for name in row.values} - set(CLOSED)):
        found = Counter(row.values[name] for row in rows if name in row.values)
        numbers = [_number(value) for value in found]
        is_large = [x is not None and x == int(x) and abs(x) > MAX_WHOLE for x in numbers]
        if all(is_large) and max(found.values()) == 1:
            raise ConfigError(f"{SHEET}, column {name}: numbers of people", hint="leave out what identifies")


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _wrong(number: int, column: str, what: str, hint: str) -> ConfigError:
    return ConfigError(f"{SHEET}, row {number}, column {column}: {what}", hint=hint)
