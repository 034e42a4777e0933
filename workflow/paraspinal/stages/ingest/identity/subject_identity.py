"""Whose image it is, and of which visit: decided over the whole input, so that nobody gets another one's name.

What the headers claim is gathered first, by study and by patient ID, and only then is anybody named. Raw identifiers
live here for the time of the process and leave it as keyed pseudonyms only.
"""

from __future__ import annotations

import datetime
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from paraspinal.core.archives import files as archives
from paraspinal.stages.ingest.identity.people_sheet import PeopleSheet
from paraspinal.stages.ingest.reading.record import FileRecord, Values

Files = list[tuple[bytes, FileRecord]]

_FILLERS = (
    "anon anonym anonymous anonymus anonymized anonymised anonymize anonymise deidentified unknown unnamed undefined "
    "none null nil na nan test patient noname noid name removed deleted hidden empty"
)
PLACEHOLDERS = frozenset(_FILLERS.split())
"""Words that stand where an identifier was taken out or never typed in."""
_NOTHING = re.compile(r"0*|x*")


class Claim(NamedTuple):
    """Who a header says it is; empty where it does not say. ``name`` is folded, ``birth_date`` is YYYYMMDD."""

    patient_id: str = ""
    name: str = ""
    birth_date: str = ""


@dataclass(frozen=True)
class Visit:
    """One person's visit. Where several persons come into question ``conflict`` says why, and it is unassigned.

    ``study`` and ``day`` (a day number) are what the header states. Not to leave this process.
    """

    person: str
    label: str
    study: str = ""
    day: int | None = None
    conflict: str = ""


def stated(text: object) -> str:
    """Give back what a header states, stripped; nothing for a placeholder such as ANON, N/A, 000 or XXX."""
    plain = str(text or "").strip()
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", plain).casefold())
    joined = "".join(words)
    is_filler = _NOTHING.fullmatch(joined) or joined in PLACEHOLDERS or all(word in PLACEHOLDERS for word in words)
    return "" if is_filler else plain


def day_of(text: object) -> int | None:
    """Read a DICOM date (YYYYMMDD, or YYYY.MM.DD of old) as a day number; None if it is none."""
    found = re.match(r"(\d{4})(\.?)(\d{2})\2(\d{2})", str(text or "").strip())
    try:
        return datetime.date(int(found[1]), int(found[3]), int(found[4])).toordinal() if found else None
    except ValueError:
        return None


def _fold(name: str) -> str:
    """Write a person's name one way: its first group of components, without case and empty components."""
    group = next((part for part in unicodedata.normalize("NFKC", stated(name)).split("=") if stated(part)), "")
    return " ".join(re.split(r"[\^\s,]+", group.casefold())).strip()


@lru_cache(1 << 12)
def _claim(patient_id: str, name: str, birth_date: str) -> Claim:
    born = day_of(birth_date)
    return Claim(stated(patient_id), _fold(name), str(born or ""))


def claim_of(values: Values) -> Claim:
    """Read what a header claims."""
    return _claim(*(str(values.get(name, "")) for name in ("patient_id", "patient_name", "birth_date")))


def _unit(values: Values) -> str:
    """What belongs to one person by its nature: a study, or a series that names none; may be empty."""
    return str(values.get("study_uid") or values.get("series_uid") or "")


def _is_several(claims: Iterable[Claim]) -> bool:
    """Whether claims for one study, or for one patient ID, come from more than one person.

    Two patient IDs are two people. Under one ID, a name may be misspelt or a birth date mistyped, but not both. Where
    an ID is missing, name and birth date stand for it and neither may differ.
    """
    claims = list(claims)
    ids, names, births = ({claim[k] for claim in claims if claim[k]} for k in range(3))
    has_partial = any(not claim.patient_id and (claim.name or claim.birth_date) for claim in claims)
    n_differing = (len(names) > 1) + (len(births) > 1)
    return len(ids) > 1 or n_differing == 2 or (has_partial and n_differing == 1)


def _merge(claims: Iterable[Claim]) -> Claim:
    """What claims of one person state together."""
    return Claim(*(max(column) for column in zip(*claims, strict=True)))


class SubjectResolver:
    """Tells whose every file of an input is. Memory grows with its studies and patients, not with its files."""

    def __init__(self, files: Iterable[tuple[bytes, Values]], sheet: PeopleSheet) -> None:
        """Gather the claims of DICOM files, but for those the sheet names a person for."""
        self._sheet = sheet
        by_unit: dict[str, set[Claim]] = {}
        by_id: dict[str, set[Claim]] = {}
        for path, values in files:
            if sheet.row_of(path, values):
                continue
            claim = claim_of(values)
            if unit := _unit(values):
                by_unit.setdefault(unit, set()).add(claim)
            if claim.patient_id:
                by_id.setdefault(claim.patient_id, set()).add(claim)
        self._mixed_ids = {patient for patient, claims in by_id.items() if _is_several(claims)}
        self._units = {unit: None if _is_several(claims) else _merge(claims) for unit, claims in by_unit.items()}

    def visits(self, files: Files) -> list[tuple[Visit, Files]]:
        """Part the files of one series by person, visit and study.

        Several persons are parted only where the sheet names one for every file. Else all files stay together as a
        visit that is unassigned.
        """
        study, date = (_only(record.values.get(name) for _, record in files) for name in ("study_uid", "study_date"))
        parts: dict[Visit, Files] = {}
        n_named = 0
        for path, record in files:
            values = {**record.values}
            values["study_uid"], values["study_date"] = (
                values.get("study_uid") or study,
                values.get("study_date") or date,
            )
            row = self._sheet.row_of(path, values)
            n_named += row is not None
            person, conflict = (row.person, "") if row else self._person(path, values)
            visit = _visit(person, conflict, row.visit if row else "", values)
            parts.setdefault(visit, []).append((path, record))
        n_persons = len({visit.person for visit in parts})
        if n_persons == 1 or n_named == len(files):
            return sorted(parts.items(), key=lambda part: repr(part[0]))
        named = f", {n_named} of {len(files)} files are named by the people sheet" if n_named else ""
        return [(Visit("", "", study, conflict=f"{n_persons} persons share this series{named}"), files)]

    def _person(self, path: bytes, values: Values) -> tuple[str, str]:
        """Say whose image it is by the best the header offers, never nothing, and what contradicts it."""
        if values.get("person"):
            return str(values["person"]), ""
        claim, unit = claim_of(values), _unit(values)
        merged = self._units.get(unit, claim)
        if merged and not _is_several((claim, merged)):
            claim = merged
        conflict = "" if merged else "several persons share its study"
        if claim.patient_id:
            return claim.patient_id, conflict or (
                "several persons bear its ID" if claim.patient_id in self._mixed_ids else ""
            )
        if claim.name:
            return f"name|{claim.name}|{claim.birth_date}", conflict
        return f"study|{unit}" if unit else "folder|" + os.fsdecode(archives.folder_of(path)), conflict


def _only(found: Iterable[object]) -> str:
    """The one thing that is stated, if no other is."""
    kinds = {str(value) for value in found if value}
    return kinds.pop() if len(kinds) == 1 else ""


def _visit(person: str, conflict: str, label: str, values: Values) -> Visit:
    """A visit is what the sheet calls so, or a study date, or a study."""
    day, study = day_of(values["study_date"]), str(values["study_uid"])
    date = datetime.date.fromordinal(day).strftime("%Y%m%d") if day else ""
    return Visit(person, label or str(values.get("visit", "")) or date or study or "1", study, day, conflict)
