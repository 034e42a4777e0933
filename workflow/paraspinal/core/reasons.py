"""What every reason code means, and what a person can do about it."""

from __future__ import annotations

from typing import NamedTuple

from paraspinal.core.vocab import Reason


class Meaning(NamedTuple):
    """A reason in plain words, and what to do."""

    text: str
    to_do: str


NO_REASON = "no reason recorded"

_SEND_AGAIN = "copy it from the scanner or the archive again"
_OVERRIDE = "if that is wrong, `use: yes` in the override sheet takes it back"
_OVERLAY = "look at the overlay picture"
_NOTHING = "nothing: it is left out on purpose"
_REPORT = "report it with the log lines"

REASONS = {
    Reason.DICOM_UNREADABLE: Meaning("DICOM cannot be read", _SEND_AGAIN),
    Reason.DICOM_TRUNCATED: Meaning("DICOM file is cut short", _SEND_AGAIN),
    Reason.DICOM_NO_PIXELS: Meaning("DICOM without pixels", _SEND_AGAIN),
    Reason.DICOM_UNSUPPORTED_TS: Meaning(
        "DICOM compression not supported", "decompress it, for example with gdcmconv --raw"
    ),
    Reason.NOT_AN_IMAGE: Meaning("not an image file", _NOTHING),
    Reason.NO_GEOMETRY: Meaning("no position or orientation", "export it again with its geometry tags"),
    Reason.BAD_SPACING: Meaning("impossible voxel spacing", "export it again with its geometry tags"),
    Reason.NOT_MR: Meaning("not magnetic resonance", _NOTHING),
    Reason.SECONDARY_CAPTURE: Meaning("screenshot", _NOTHING),
    Reason.DERIVED_REFORMAT: Meaning("reformatted from another series", _OVERRIDE),
    Reason.LOCALIZER: Meaning("localizer", _OVERRIDE),
    Reason.WRONG_BODY_PART: Meaning("another body part", _OVERRIDE),
    Reason.WRONG_PLANE: Meaning("neither axial nor sagittal", _NOTHING),
    Reason.MIXED_PATIENTS: Meaning("several people in one series", "say whose images they are in the people sheet"),
    Reason.MIXED_STACKS: Meaning("slices that belong to no common grid", "check the export: slices may be missing"),
    Reason.SLICE_MISSING: Meaning("a slice is missing", _SEND_AGAIN),
    Reason.SLICE_IRREGULAR: Meaning("slices are unevenly spaced", "check the export: slices may be missing"),
    Reason.DUP_IDENTICAL: Meaning("copy of another stack", _NOTHING),
    Reason.DUP_CONFLICT: Meaning("same position, different pixels", "keep the right copy in the input"),
    Reason.FOURD_UNEXPECTED: Meaning("time series", "export one image per series"),
    Reason.TOO_FEW_SLICES: Meaning("too few slices", _NOTHING),
    Reason.CONSTANT_IMAGE: Meaning("image is empty", _SEND_AGAIN),
    Reason.SEQ_UNKNOWN: Meaning("sequence cannot be told", "name the sequence in the override sheet"),
    Reason.FATSUP_NO_FI: Meaning(
        "fat is suppressed, no fat fraction",
        "nothing: sizes are given; if fat is not suppressed, say so in the override sheet",
    ),
    Reason.DIXON_INCOMPLETE: Meaning(
        "a Dixon part is missing", "add the missing image, or name its part in the override sheet"
    ),
    Reason.DIXON_GRID_MISMATCH: Meaning("Dixon parts on different grids", "export the parts of one acquisition"),
    Reason.DIXON_SCALE_MISMATCH: Meaning(
        "Dixon parts scaled differently", "export both images with their rescale slopes"
    ),
    Reason.DIXON_SWAP_SUSPECTED: Meaning(
        "water and fat may be swapped", "if the names are wrong, correct dixon_part in the override sheet"
    ),
    Reason.CONVERT_RC: Meaning("conversion failed", _REPORT),
    Reason.CONVERT_MULTI_OUTPUT: Meaning("conversion gave several images", _REPORT),
    Reason.AFFINE_MISMATCH: Meaning("geometry changed in conversion", _REPORT),
    Reason.SEG_EMPTY: Meaning("no muscle found", "is it a lumbar image? Check the field of view"),
    Reason.SEG_PARTIAL: Meaning("a muscle was not found", _OVERLAY),
    Reason.SEG_IMPLAUSIBLE: Meaning("implausible outline", _OVERLAY),
    Reason.LEVEL_UNRESOLVED: Meaning("spinal level not found", "set the levels in the levels sheet"),
    Reason.LSTV_SUSPECTED: Meaning("transitional vertebra suspected", "name the lowest vertebra in the levels sheet"),
    Reason.PATIENT_MOVED: Meaning(
        "patient moved between two scans", "check the levels on the overlay, or set them in the levels sheet"
    ),
    Reason.COVERAGE_PARTIAL: Meaning("level only partly covered", "nothing: the scan ends within the level"),
    Reason.FOV_TRUNCATED: Meaning(
        "muscle cut by the image border", "nothing: the scan does not show all of the muscle"
    ),
    Reason.FI_UNIMODAL: Meaning("fat and muscle cannot be told apart", _OVERLAY),
    Reason.FI_METHOD_INVALID: Meaning(
        "fat method not valid for this muscle", "nothing: sizes are given; Dixon gives fat infiltration of it"
    ),
    Reason.OUTLIER: Meaning("unlike the rest, or outside the published range", _OVERLAY),
    Reason.PHI_DETECTED: Meaning("identifying text found", "have the text removed from the pixels"),
    Reason.EXCLUDED_BY_SHEET: Meaning("set aside by your sheet", "take `use: no` out of the override sheet"),
    Reason.NO_REFERENCE: Meaning("no reference to compare with", "add a label map of the scan to the reference"),
    Reason.UNEXPECTED_ERROR: Meaning("software error, see the log", f"{_REPORT}; every run tries it again"),
}


def reason_text(code: str | None) -> str:
    """Explain a reason code; null is said to be unexplained, never hidden."""
    return REASONS[Reason(code)].text if code else NO_REASON


def what_to_do(code: str | None) -> str:
    """Say what to do about a reason code; empty without one."""
    return REASONS[Reason(code)].to_do if code else ""
