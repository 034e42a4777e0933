"""What a person can do about a reason code; codes that nobody can do anything about have no hint."""

from __future__ import annotations

from paraspinal.core.vocab import Reason

_SEND_AGAIN = "copy it from the scanner or the archive again"
_OVERRIDE = "if that is wrong, `use: yes` in the override sheet takes it back"
_LOOK = "look at the overlay picture"

HINTS = {
    Reason.DICOM_UNREADABLE: _SEND_AGAIN,
    Reason.DICOM_TRUNCATED: _SEND_AGAIN,
    Reason.DICOM_NO_PIXELS: _SEND_AGAIN,
    Reason.DICOM_UNSUPPORTED_TS: "decompress it, for example with gdcmconv --raw",
    Reason.SLICE_MISSING: _SEND_AGAIN,
    Reason.DERIVED_REFORMAT: _OVERRIDE,
    Reason.LOCALIZER: _OVERRIDE,
    Reason.WRONG_BODY_PART: _OVERRIDE,
    Reason.MIXED_PATIENTS: "say who is who in the people sheet",
    Reason.SEQ_UNKNOWN: "name the sequence in the override sheet",
    Reason.DIXON_INCOMPLETE: "add the missing image, or name its part in the override sheet",
    Reason.DIXON_SWAP_SUSPECTED: "if the names are wrong, correct dixon_part in the override sheet",
    Reason.DIXON_SCALE_MISMATCH: "export both images with their rescale slopes",
    Reason.SEG_EMPTY: "is it a lumbar image? Check the field of view",
    Reason.SEG_PARTIAL: _LOOK,
    Reason.SEG_IMPLAUSIBLE: _LOOK,
    Reason.LEVEL_UNRESOLVED: "set the levels in the levels sheet",
    Reason.LSTV_SUSPECTED: "name the lowest vertebra in the levels sheet",
    Reason.PATIENT_MOVED: "check the levels on the overlay, or set them in the levels sheet",
    Reason.OUTLIER: _LOOK,
    Reason.EXCLUDED_BY_SHEET: "take `use: no` out of the override sheet",
    Reason.UNEXPECTED_ERROR: "report it with the log lines; every run tries it again",
}


def hint(code: str | None) -> str:
    """Say what to do about a reason code; empty if there is nothing."""
    return HINTS.get(Reason(code), "") if code else ""
