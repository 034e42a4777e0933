"""Closed vocabularies that several rooms share: what a table may say is listed, anything else raises."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What became of an item at a stage; counts over all members add up to the expected number."""

    OK = "ok"
    WARN = "warn"
    FAILED = "failed"
    EXCLUDED = "excluded"

    @property
    def is_usable(self) -> bool:
        """Whether the next stage may work on the item."""
        return self in (Status.OK, Status.WARN)

    @property
    def is_failure(self) -> bool:
        """Whether the item was lost to a fault in it."""
        return self is Status.FAILED


class Reason(StrEnum):
    """Why an item is not plainly ``ok``; closed: a new code is a reviewed change."""

    DICOM_UNREADABLE = "DICOM_UNREADABLE"
    DICOM_TRUNCATED = "DICOM_TRUNCATED"
    DICOM_NO_PIXELS = "DICOM_NO_PIXELS"
    DICOM_UNSUPPORTED_TS = "DICOM_UNSUPPORTED_TS"
    NOT_AN_IMAGE = "NOT_AN_IMAGE"  # a file that is no image at all: README, DICOMDIR, SR, hidden files
    NO_GEOMETRY = "NO_GEOMETRY"
    BAD_SPACING = "BAD_SPACING"
    NOT_MR = "NOT_MR"
    SECONDARY_CAPTURE = "SECONDARY_CAPTURE"
    DERIVED_REFORMAT = "DERIVED_REFORMAT"
    LOCALIZER = "LOCALIZER"
    WRONG_BODY_PART = "WRONG_BODY_PART"
    WRONG_PLANE = "WRONG_PLANE"  # coronal or steeply oblique: neither cross-sections nor levels
    MIXED_PATIENTS = "MIXED_PATIENTS"
    MIXED_STACKS = "MIXED_STACKS"
    SLICE_MISSING = "SLICE_MISSING"
    SLICE_IRREGULAR = "SLICE_IRREGULAR"
    DUP_IDENTICAL = "DUP_IDENTICAL"
    DUP_CONFLICT = "DUP_CONFLICT"
    FOURD_UNEXPECTED = "FOURD_UNEXPECTED"
    TOO_FEW_SLICES = "TOO_FEW_SLICES"
    CONSTANT_IMAGE = "CONSTANT_IMAGE"
    SEQ_UNKNOWN = "SEQ_UNKNOWN"
    FATSUP_NO_FI = "FATSUP_NO_FI"
    DIXON_INCOMPLETE = "DIXON_INCOMPLETE"
    DIXON_GRID_MISMATCH = "DIXON_GRID_MISMATCH"
    DIXON_SCALE_MISMATCH = "DIXON_SCALE_MISMATCH"
    DIXON_SWAP_SUSPECTED = "DIXON_SWAP_SUSPECTED"
    CONVERT_RC = "CONVERT_RC"
    CONVERT_MULTI_OUTPUT = "CONVERT_MULTI_OUTPUT"
    AFFINE_MISMATCH = "AFFINE_MISMATCH"
    SEG_EMPTY = "SEG_EMPTY"
    SEG_PARTIAL = "SEG_PARTIAL"
    SEG_IMPLAUSIBLE = "SEG_IMPLAUSIBLE"
    LEVEL_UNRESOLVED = "LEVEL_UNRESOLVED"
    LSTV_SUSPECTED = "LSTV_SUSPECTED"
    PATIENT_MOVED = "PATIENT_MOVED"  # between the scan the levels come from and the scan they are for
    COVERAGE_PARTIAL = "COVERAGE_PARTIAL"
    FOV_TRUNCATED = "FOV_TRUNCATED"
    FI_UNIMODAL = "FI_UNIMODAL"
    FI_METHOD_INVALID = "FI_METHOD_INVALID"  # the method is not valid for this muscle: psoas on T1w or T2w
    OUTLIER = "OUTLIER"
    PHI_DETECTED = "PHI_DETECTED"
    EXCLUDED_BY_SHEET = "EXCLUDED_BY_SHEET"  # the user's override sheet says so
    NO_REFERENCE = "NO_REFERENCE"  # there is nothing to compare a label map with
    UNEXPECTED_ERROR = "UNEXPECTED_ERROR"  # a software error met this input; see the log


class Sequence(StrEnum):
    """Sequence class of an image, by what its contrast means for measuring."""

    T1W = "T1w"
    T2W = "T2w"
    PDW = "PDw"
    STIR = "STIR"
    FLAIR = "FLAIR"
    DIXON = "dixon"
    OTHER = "other"
    UNKNOWN = "unknown"

    @property
    def is_fat_suppressed(self) -> bool:
        """Whether fat is nulled, so that no fat fraction can be read from the image."""
        return self is Sequence.STIR


class DixonPart(StrEnum):
    """Which image of a Dixon set."""

    WATER = "water"
    FAT = "fat"
    IN_PHASE = "inphase"
    OPPOSED_PHASE = "oppphase"
    FAT_FRACTION = "fatfraction"


class Plane(StrEnum):
    """Plane of acquisition by the slice normal."""

    AXIAL = "axial"
    SAGITTAL = "sagittal"
    CORONAL = "coronal"
    OBLIQUE = "oblique"
    UNKNOWN = "unknown"


class Muscle(StrEnum):
    """The four muscles."""

    MULTIFIDUS = "multifidus"
    ERECTOR_SPINAE = "erector_spinae"
    PSOAS_MAJOR = "psoas_major"
    QUADRATUS_LUMBORUM = "quadratus_lumborum"


class Side(StrEnum):
    """Side of the patient."""

    LEFT = "left"
    RIGHT = "right"


class LevelScheme(StrEnum):
    """What part of the muscle a row is about."""

    VERTEBRA_SLAB = "vertebra_slab"
    VERTEBRA_MID = "vertebra_mid"
    DISC_MID = "disc_mid"
    DISC_STACK = "disc_stack"
    SLICE_BLOCK = "slice_block"  # exactly the slices the scan has, or the block L1_L5
    PLANE_BLOCK = "plane_block"  # the block L1_L5 between the planes of its outer end plates
    NONE = "none"  # the level could not be resolved


class LevelSource(StrEnum):
    """Where the levels of a scan come from."""

    SAGITTAL_TRANSFER = "sagittal_transfer"
    SAME_IMAGE = "same_image"
    MANUAL = "manual"
    NONE = "none"


class LevelNumbering(StrEnum):
    """How vertebrae got their numbers."""

    COUNTED_FROM_SACRUM = "counted_from_sacrum"
    ASSUMED = "assumed"
    MANUAL = "manual"
    UNRESOLVED = "unresolved"


class Light(StrEnum):
    """Traffic light of an item."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
