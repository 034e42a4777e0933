"""Columns that several tables share: keys, state, what headers say of a series, its grid, and what is measured."""

from __future__ import annotations

import pyarrow as pa

from paraspinal.core.records.tables import Column

TEXT, INT, FLOAT, BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
TEXTS, FLOATS = pa.list_(TEXT), pa.list_(FLOAT)

NOT_APPLICABLE = "does not apply to this item"
NOT_STATED = "the header does not say"

KEYS = (
    Column("subject", TEXT, "keyed pseudonym of the person (BIDS sub)"),
    Column("session", TEXT, "keyed pseudonym of the visit (BIDS ses)"),
)
STATE = (
    Column("status", TEXT, "ok | warn | failed | excluded"),
    Column("reason_code", TEXT, "why the status is not ok; closed list", null_meaning="status is ok"),
    Column("detail", TEXT, "a few words on the reason, free of identifiers", null_meaning="nothing to add"),
)
STATE_NAMES = tuple(column.name for column in STATE)
LEVEL_MODEL = Column("level_model_sha256", TEXT, "weights behind the levels", null_meaning="no levels, or set by hand")
RECEIPT = Column("activity_id", TEXT, "receipt of the computation")
SERIES = (
    Column("site", TEXT, "keyed pseudonym of the institution", null_meaning=NOT_STATED),
    Column("manufacturer", TEXT, "scanner vendor", null_meaning=NOT_STATED),
    Column("scanner_model", TEXT, "scanner model", null_meaning=NOT_STATED),
    Column("field_strength_t", FLOAT, "magnetic field", "T", null_meaning=NOT_STATED),
    Column("sex", TEXT, "sex as the header says (F, M, O)", null_meaning=NOT_STATED),
    Column("age_years", FLOAT, "age at the scan, 90 for everyone older", "year", null_meaning=NOT_STATED),
    Column("series_id", TEXT, "keyed pseudonym of the series UID", null_meaning="the file belongs to no series"),
    Column(
        "protocol_id",
        TEXT,
        "keyed pseudonym of how a scanner calls this kind of series: site, vendor, model, protocol and description",
        null_meaning=NOT_STATED,
    ),
    Column("frame_of_reference_id", TEXT, "keyed pseudonym of the frame of reference", null_meaning=NOT_STATED),
    Column("series_number", INT, "series number on the scanner", null_meaning=NOT_STATED),
    Column("plane", TEXT, "axial | sagittal | coronal | oblique | unknown"),
    Column(
        "plane_tilt_deg",
        FLOAT,
        "angle between slice normal and nearest patient axis",
        "degree",
        null_meaning="no position and orientation",
    ),
    Column(
        "body_region",
        TEXT,
        "lumbar | thoracic | cervical | whole_spine | abdomen | pelvis | elsewhere | unstated",
        null_meaning="the file is no image",
    ),
    Column("body_region_evidence", TEXT, "coded | text | override sheet: what it rests on", null_meaning="unstated"),
    Column("body_region_confidence", FLOAT, "trust in the body region, 0 to 1", "1", null_meaning="unstated"),
    Column("sequence", TEXT, "T1w | T2w | PDw | STIR | FLAIR | dixon | other | unknown"),
    Column("is_fat_suppressed", BOOL, "fat is nulled, no fat fraction can be read"),
    Column("sequence_evidence", TEXT, "what the sequence class rests on", null_meaning=NOT_STATED),
    Column("sequence_confidence", FLOAT, "trust in the sequence class, 0 to 1", "1", null_meaning=NOT_STATED),
    Column("repetition_time_ms", FLOAT, "repetition time", "ms", null_meaning=NOT_STATED),
    Column("echo_time_ms", FLOAT, "echo time", "ms", null_meaning=NOT_STATED),
    Column("inversion_time_ms", FLOAT, "inversion time", "ms", null_meaning=NOT_STATED),
    Column("flip_angle_deg", FLOAT, "flip angle", "degree", null_meaning=NOT_STATED),
    Column("slice_thickness_mm", FLOAT, "slice thickness", "mm", null_meaning=NOT_STATED),
)
GRID = (
    Column("size", pa.list_(INT), "voxels along column, row, slice", "voxel", null_meaning="no regular grid"),
    Column("spacing_mm", FLOATS, "voxel spacing along column, row, slice", "mm", null_meaning="no regular grid"),
    Column("origin_mm", FLOATS, "centre of the first voxel, LPS", "mm", null_meaning="no regular grid"),
    Column("direction", FLOATS, "row-major 3x3 direction matrix, LPS", "1", null_meaning="no regular grid"),
)

GRID_NAMES = tuple(column.name for column in GRID)

METRIC_KEYS = (
    *KEYS,
    Column("scan_id", TEXT, "name of the scan"),
    Column("muscle", TEXT, "multifidus | erector_spinae | psoas_major | quadratus_lumborum"),
    Column("side", TEXT, "left | right, of the patient"),
    Column("level", TEXT, "L1 .. L6, T12, a disc such as L4_L5, L1_L5, or stack", null_meaning="LEVEL_UNRESOLVED"),
    Column(
        "level_scheme", TEXT, "vertebra_slab | vertebra_mid | disc_mid | disc_stack | slice_block | plane_block | none"
    ),
    Column("fi_method", TEXT, "how fi was computed", null_meaning="no method applies; see fi_reason_code"),
)
NO_VALUE = "could not be measured; see reason_code"
METRIC_VALUES = (
    Column("n_slices", FLOAT, "slices in the level, fractions counted", "slice", "sum of slice weights", NO_VALUE),
    Column("coverage_frac", FLOAT, "share of the level inside the scan", "1", "", NO_VALUE),
    Column(
        "volume_mm3",
        FLOAT,
        "muscle volume in the level",
        "mm3",
        "sum over slices of weight * area * spacing",
        "level not fully covered, gaps, or not measured",
    ),
    Column("acsa_mm2", FLOAT, "mean anatomical cross-section", "mm2", "sum(w * area) / sum(w)", NO_VALUE),
    Column("csa_mid_mm2", FLOAT, "cross-section at the mid plane", "mm2", "linear between slices", NO_VALUE),
    Column("csa_perp_mm2", FLOAT, "mean cross-section across the body's axis", "mm2", "acsa * |cos tilt|", NO_VALUE),
    Column("fcsa_mm2", FLOAT, "functional (lean) cross-section", "mm2", "acsa * (1 - fi)", "acsa or fi is null"),
    Column("rcsa_vb", FLOAT, "cross-section relative to the vertebral body", "1", "acsa / body area", "no body area"),
    Column("rcsa_disc", FLOAT, "cross-section relative to the disc", "1", "acsa / disc area", "no disc area"),
    Column("slice_tilt_deg", FLOAT, "angle between slice normal and body axis", "degree", "", NO_VALUE),
    Column("asym_signed_pct", FLOAT, "left minus right", "%", "100 (L-R) / ((L+R)/2) of acsa", "a side is missing"),
    Column("asym_abs_pct", FLOAT, "size of the asymmetry", "%", "|asym_signed_pct|", "a side is missing"),
    Column("truncated_fov", BOOL, "the muscle touches the border of the image in plane", "", "", NO_VALUE),
    Column(
        "outline_disagreement",
        FLOAT,
        "1 - Dice between the outlines of the image and of its mirror image, 0 sure, 1 no idea",
        "1",
        "mean over the slices of the level, by weight * area",
        "the model does not tell, or not measured",
    ),
    Column("fi", FLOAT, "fat infiltration", "1", "see fi_method", "see fi_reason_code"),
    Column("fi_eroded", FLOAT, "fi of the mask eroded by one voxel in plane", "1", "see fi_method", "fi is null"),
    Column("fi_dilated", FLOAT, "fi of the mask dilated by one voxel in plane", "1", "see fi_method", "fi is null"),
    Column("fi_reason_code", TEXT, "why fi is null", "", "", "fi is given"),
    Column("bias_correction", TEXT, "n4 | none: what was done to the image before fi", "", "", "no method applies"),
    Column("level_source", TEXT, "sagittal_transfer | same_image | manual | none"),
    Column("level_numbering", TEXT, "counted_from_sacrum | assumed | manual | unresolved"),
    Column("level_confidence", FLOAT, "trust in the level, 0 to 1", "1", "", "levels are unresolved"),
    Column("lstv_suspected", BOOL, "a transitional vertebra is suspected", "", "", "unresolved, or set by hand"),
    Column("reason_code", TEXT, "why values are null or doubtful", "", "", "nothing to say"),
)
