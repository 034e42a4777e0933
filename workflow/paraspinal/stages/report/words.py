"""Plain words for the codes of the tables; fat methods bring their own, which the data dictionary hands on."""

from __future__ import annotations

from paraspinal.core.labels import disc_labels, vertebra_labels
from paraspinal.core.vocab import LevelScheme, Light, Muscle, Reason, Sequence

MUSCLES = {
    Muscle.MULTIFIDUS: "Multifidus",
    Muscle.ERECTOR_SPINAE: "Erector spinae",
    Muscle.PSOAS_MAJOR: "Psoas major",
    Muscle.QUADRATUS_LUMBORUM: "Quadratus lumborum",
}

SCHEMES = {
    LevelScheme.VERTEBRA_SLAB: "Vertebral levels",
    LevelScheme.DISC_STACK: "Disc levels, oblique stacks",
    LevelScheme.VERTEBRA_MID: "Mid-vertebra",
    LevelScheme.DISC_MID: "Mid-disc",
    LevelScheme.SLICE_BLOCK: "Whole blocks",
    LevelScheme.PLANE_BLOCK: "Whole block between its end plates",
    LevelScheme.NONE: "Level unknown",
}
"""Title of each level scheme, in the order the report shows them; their definitions are in the data dictionary."""

SEQUENCES = {
    Sequence.T1W: "T1-weighted",
    Sequence.T2W: "T2-weighted",
    Sequence.PDW: "PD-weighted",
    Sequence.STIR: "STIR",
    Sequence.FLAIR: "FLAIR",
    Sequence.DIXON: "Dixon",
    Sequence.OTHER: "Other sequence",
    Sequence.UNKNOWN: "Unknown sequence",
}

LIGHTS = {Light.RED: "do not use without looking", Light.AMBER: "look before use", Light.GREEN: "nothing flagged"}
"""Worst first."""

NO_REASON = "no reason recorded"

REASONS = {
    Reason.DICOM_UNREADABLE: "DICOM cannot be read",
    Reason.DICOM_TRUNCATED: "DICOM file is cut short",
    Reason.DICOM_NO_PIXELS: "DICOM without pixels",
    Reason.DICOM_UNSUPPORTED_TS: "DICOM compression not supported",
    Reason.NOT_AN_IMAGE: "not an image file",
    Reason.NO_GEOMETRY: "no position or orientation",
    Reason.BAD_SPACING: "impossible voxel spacing",
    Reason.NOT_MR: "not magnetic resonance",
    Reason.SECONDARY_CAPTURE: "screenshot",
    Reason.DERIVED_REFORMAT: "reformatted from another series",
    Reason.LOCALIZER: "localizer",
    Reason.WRONG_BODY_PART: "another body part",
    Reason.MIXED_PATIENTS: "several people in one series",
    Reason.MIXED_STACKS: "slices that belong to no common grid",
    Reason.SLICE_MISSING: "a slice is missing",
    Reason.SLICE_IRREGULAR: "slices are unevenly spaced",
    Reason.DUP_IDENTICAL: "copy of another stack",
    Reason.DUP_CONFLICT: "same position, different pixels",
    Reason.FOURD_UNEXPECTED: "time series",
    Reason.TOO_FEW_SLICES: "too few slices",
    Reason.CONSTANT_IMAGE: "image is empty",
    Reason.SEQ_UNKNOWN: "sequence cannot be told",
    Reason.FATSUP_NO_FI: "fat is suppressed, no fat fraction",
    Reason.DIXON_INCOMPLETE: "a Dixon part is missing",
    Reason.DIXON_GRID_MISMATCH: "Dixon parts on different grids",
    Reason.DIXON_SCALE_MISMATCH: "Dixon parts scaled differently",
    Reason.DIXON_SWAP_SUSPECTED: "water and fat may be swapped",
    Reason.CONVERT_RC: "conversion failed",
    Reason.CONVERT_MULTI_OUTPUT: "conversion gave several images",
    Reason.AFFINE_MISMATCH: "geometry changed in conversion",
    Reason.SEG_EMPTY: "no muscle found",
    Reason.SEG_PARTIAL: "a muscle was not found",
    Reason.SEG_IMPLAUSIBLE: "implausible outline",
    Reason.LEVEL_UNRESOLVED: "spinal level not found",
    Reason.LSTV_SUSPECTED: "transitional vertebra suspected",
    Reason.PATIENT_MOVED: "patient moved between two scans",
    Reason.WRONG_PLANE: "neither axial nor sagittal",
    Reason.COVERAGE_PARTIAL: "level only partly covered",
    Reason.FOV_TRUNCATED: "muscle cut by the image border",
    Reason.FI_UNIMODAL: "fat and muscle cannot be told apart",
    Reason.FI_METHOD_INVALID: "fat method not valid for this muscle",
    Reason.OUTLIER: "unlike the rest, or outside the published range",
    Reason.MODEL_HASH_MISMATCH: "model is not the expected one",
    Reason.PHI_DETECTED: "identifying text found",
    Reason.EXCLUDED_BY_SHEET: "set aside by your sheet",
    Reason.NO_REFERENCE: "no reference to compare with",
    Reason.UPSTREAM_FAILED: "an earlier step failed",
    Reason.UNEXPECTED_ERROR: "fault of the software, see the log",
}


def level_order() -> list[str]:
    """List every level and block in reading order: head to foot, discs between vertebrae, blocks last."""
    vertebrae, discs = list(vertebra_labels()), list(disc_labels())
    ordered: list[str] = []
    for level in vertebrae:
        ordered += [level, *(d for d in discs if d.split("_")[0] == level)]
    return [*ordered, "L1_L5", "stack"]


def level_name(level: str) -> str:
    """Write a level for people: a dash in place of the underscore."""
    return {"stack": "all slices"}.get(level, level.replace("_", "–"))


def reason_text(code: str | None) -> str:
    """Explain a reason code; null is said to be unexplained, never hidden."""
    return REASONS[Reason(code)] if code else NO_REASON
