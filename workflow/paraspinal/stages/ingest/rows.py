"""From stacks to rows: pseudonyms instead of names, closed words instead of header text."""

from __future__ import annotations

import hashlib
import re

from paraspinal.core.identity import Identity
from paraspinal.core.records.tables import Row
from paraspinal.stages.ingest.identity.subject_identity import Visit, day_of
from paraspinal.stages.ingest.kinds.vendor import model_of, vendor_of
from paraspinal.stages.ingest.reading.record import Values
from paraspinal.stages.ingest.stacking.stacks import Stack

MAX_AGE_YEARS = 90.0
"""Everyone older is 90: great age identifies."""
MODEL_LENGTH = 6
_AGE_UNITS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


def stack_row(stack: Stack, visit: Visit, identity: Identity) -> Row:
    """Describe a stack in the columns of the inventory; nothing of the header's free text gets in.

    Where headers contradict each other about whose visit it is, it is unassigned.
    """
    values = stack.values
    grid = stack.grid
    series = str(values.get("series_uid") or values.get("series") or "")
    place = series or str(min(stack.paths), "utf-8", "surrogateescape")
    is_known = bool(visit.person) and not visit.conflict
    subject = identity.subject(visit.person) if is_known else None
    session = identity.session(visit.person, visit.label) if is_known else None
    return {
        "stack_id": identity.pseudonym("stack", f"{subject}|{session}|{visit.study}|{place}|{stack.key}"),
        "subject": subject,
        "session": session,
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
        "protocol_id": _protocol(values, identity),
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


def _protocol(values: Values, identity: Identity) -> str | None:
    """Pseudonym of what this scanner calls series of this kind; None where it gives them no name."""
    named = [str(values.get(name, "")) for name in ("protocol", "series_description")]
    scanner = [str(values.get(name, "")) for name in ("institution", "manufacturer", "scanner_model")]
    words = ["".join(text.casefold().split()) for text in (*scanner, *named)]
    return identity.pseudonym("protocol", "|".join(words)) if any(named) else None


def _whole(number: object) -> int | None:
    return int(number) if isinstance(number, int | float) and abs(number) < 1 << 53 else None


def _content(stack: Stack) -> str:
    """Digest what the stack holds, in the order of its slices; independent of names and times of files."""
    hasher = hashlib.sha256()
    for piece in stack.slices:
        hasher.update(f"{piece.digest}:{piece.frame}\n".encode())
    return hasher.hexdigest()[:32]


def _age(values: Values) -> float | None:
    """Age in years from the stated age, else from birth and study date."""
    if stated := re.fullmatch(r"(\d{1,3})([YMWD])", str(values.get("age", "")).strip()):
        return min(MAX_AGE_YEARS, int(stated.group(1)) * _AGE_UNITS[stated.group(2)])
    born, scanned = (day_of(values.get(name)) for name in ("birth_date", "study_date"))
    if born is None or scanned is None or not 0 <= scanned - born < 130 * 366:
        return None
    return min(MAX_AGE_YEARS, (scanned - born) / 365.25)
