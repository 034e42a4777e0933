"""From stacks to rows: pseudonyms instead of names, closed words instead of header text."""

from __future__ import annotations

import datetime
import hashlib
import re
from dataclasses import dataclass

from paraspinal.core.identity import Identity
from paraspinal.core.tables import Row
from paraspinal.stages.ingest.record import Values
from paraspinal.stages.ingest.stacks import Stack, person_of
from paraspinal.stages.ingest.vendor import model_of, vendor_of

MAX_AGE_YEARS = 90.0
"""Everyone older is 90: great age identifies."""
MODEL_LENGTH = 6
_AGE_UNITS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


@dataclass(frozen=True)
class Person:
    """Who and when, for this process and the private folder only."""

    subject: str
    session: str
    day: int | None


def person_row(stack: Stack, identity: Identity) -> Person:
    """Make the pseudonyms of a stack's person and visit; ``day`` is the study date as a day number, if stated."""
    path = min(stack.paths)
    person = person_of(stack.values, path)
    date = str(stack.values.get("study_date", ""))
    visit = str(stack.values.get("visit") or date or stack.values.get("study_uid") or "1")
    return Person(identity.subject(person), identity.session(person, visit), _day(date))


def stack_row(stack: Stack, person: Person, identity: Identity) -> Row:
    """Describe a stack in the columns of the inventory; nothing of the header's free text gets in."""
    values = stack.values
    grid = stack.grid
    series = str(values.get("series_uid") or values.get("series") or "")
    place = series or str(min(stack.paths), "utf-8", "surrogateescape")
    return {
        "stack_id": identity.pseudonym("stack", f"{person.subject}|{person.session}|{place}|{stack.key}"),
        "subject": person.subject,
        "session": person.session,
        "source": stack.source,
        "n_files": stack.n_files,
        "n_slices": grid.size[2] if grid else len(stack.slices),
        "dixon_part": stack.contrast.part.value if stack.contrast.part else None,
        "site": _pseudonym(identity, "site", values.get("institution")),
        "manufacturer": vendor_of(values),
        "scanner_model": model_of(values, lambda text: identity.pseudonym("model", text, MODEL_LENGTH)),
        "field_strength_t": values.get("field_t"),
        "sex": sex if (sex := str(values.get("sex", "")).upper()) in ("F", "M", "O") else None,
        "age_years": _age(values),
        "series_id": _pseudonym(identity, "series", series),
        "frame_of_reference_id": _pseudonym(identity, "frame", values.get("frame_of_reference_uid")),
        "series_number": _whole(values.get("series_number")),
        "acquisition_number": _whole(values.get("acquisition")),
        "rescale_slope": values.get("slope"),
        "rescale_intercept": values.get("intercept"),
        "scale_slope": values.get("scale_slope"),
        "rescale_varies": bool(values.get("rescale_varies")),
        "plane": stack.plane.value,
        "plane_tilt_deg": stack.plane_tilt_deg,
        "body_region": stack.region.region.value,
        "body_region_evidence": stack.region.evidence,
        "body_region_confidence": stack.region.confidence,
        "sequence": stack.contrast.sequence.value,
        "is_fat_suppressed": stack.contrast.is_fat_suppressed,
        "sequence_evidence": stack.contrast.evidence or None,
        "sequence_confidence": stack.contrast.confidence,
        "repetition_time_ms": values.get("tr_ms"),
        "echo_time_ms": values.get("te_ms"),
        "inversion_time_ms": values.get("ti_ms"),
        "flip_angle_deg": values.get("flip_deg"),
        "slice_thickness_mm": values.get("slice_thickness_mm"),
        "size": list(grid.size) if grid else None,
        "spacing_mm": list(grid.spacing_mm) if grid else None,
        "origin_mm": list(grid.origin_mm) if grid else None,
        "direction": list(grid.direction) if grid else None,
        "content_digest": _content(stack),
        "status": stack.status.value,
        "reason_code": stack.reason.value if stack.reason else None,
        "detail": stack.detail or None,
    }


def _pseudonym(identity: Identity, kind: str, text: object) -> str | None:
    return identity.pseudonym(kind, str(text)) if text else None


def _whole(number: object) -> int | None:
    return int(number) if isinstance(number, int | float) and abs(number) < 1 << 53 else None


def _content(stack: Stack) -> str:
    """Digest what the stack holds, in the order of its slices; independent of names and times of files."""
    hasher = hashlib.sha256()
    for piece in stack.slices:
        hasher.update(f"{piece.digest}:{piece.frame}\n".encode())
    return hasher.hexdigest()[:32]


def _day(date: str) -> int | None:
    try:
        return datetime.date(int(date[:4]), int(date[4:6]), int(date[6:8])).toordinal() if len(date) >= 8 else None
    except ValueError:
        return None


def _age(values: Values) -> float | None:
    """Age in years from the stated age, else from birth and study date."""
    if stated := re.fullmatch(r"(\d{1,3})([YMWD])", str(values.get("age", "")).strip()):
        return min(MAX_AGE_YEARS, int(stated.group(1)) * _AGE_UNITS[stated.group(2)])
    born, scanned = (_day(str(values.get(name, ""))) for name in ("birth_date", "study_date"))
    if born is None or scanned is None or not 0 <= scanned - born < 130 * 366:
        return None
    return min(MAX_AGE_YEARS, (scanned - born) / 365.25)
