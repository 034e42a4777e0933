"""The columns of every table: shard tables between stages and the cohort tables people read."""

from __future__ import annotations

import pyarrow as pa

from paraspinal.core.records.columns import (
    BOOL,
    FLOAT,
    FLOATS,
    GRID,
    INT,
    KEYS,
    LEVEL_MODEL,
    METRIC_KEYS,
    METRIC_VALUES,
    NOT_APPLICABLE,
    NOT_STATED,
    RECEIPT,
    SERIES,
    STATE,
    TEXT,
    TEXTS,
)
from paraspinal.core.records.people_schemas import COVARIATES, PARTICIPANTS
from paraspinal.core.records.receipts import ACTIVITIES
from paraspinal.core.records.tables import Column, Table

INVENTORY = Table(
    "inventory",
    "Every stack of every file found under the input, with its disposition; nothing is left out.",
    (
        Column("stack_id", TEXT, "keyed pseudonym of the stack: one set of slices on one grid"),
        Column("subject", TEXT, KEYS[0].description, null_meaning="the file names no person, or several"),
        Column("session", TEXT, KEYS[1].description, null_meaning="the file names no visit, or several persons"),
        Column("shard", INT, "shard the session was dealt to", null_meaning="the stack is in no session"),
        Column("days_from_first_visit", INT, "days since the person's first visit", "day", null_meaning=NOT_STATED),
        Column("source", TEXT, "dicom | nifti | other"),
        Column("n_files", INT, "files in the stack", "file"),
        Column("n_slices", INT, "slices in the stack", "slice", null_meaning=NOT_APPLICABLE),
        Column("dixon_part", TEXT, "water | fat | inphase | oppphase | fatfraction", null_meaning=NOT_APPLICABLE),
        Column("acquisition_number", INT, "acquisition number on the scanner", null_meaning="not stated, or several"),
        Column(
            "acquisition_moment",
            INT,
            "order of the acquisition in the visit; images acquired within 8 s share a number",
            null_meaning=NOT_STATED,
        ),
        Column("rescale_slope", FLOAT, "factor the header states on stored values", "1", "", "not stated, or several"),
        Column("rescale_intercept", FLOAT, "what the header adds to them", "1", "", "not stated, or several"),
        Column("scale_slope", FLOAT, "Philips: what brings values to one scale", "1", "", "not stated, or several"),
        Column("rescale_varies", BOOL, "slope or intercept differ between the slices", null_meaning=NOT_APPLICABLE),
        *SERIES,
        *GRID,
        Column("content_digest", TEXT, "digest of headers, sizes and sampled pixels", null_meaning="unreadable"),
        Column("decided_by", TEXT, "the stage the status comes from"),
        *STATE,
    ),
    ("stack_id",),
)

SESSION_STACKS = Table(
    "session_stacks",
    "Rows of the inventory that belong to the sessions of one shard; what `convert` reads.",
    tuple(c for c in INVENTORY.columns if c.name not in ("shard", "days_from_first_visit", "decided_by")),
    ("subject", "session", "stack_id"),
)

CONVERT = Table(
    "convert",
    "One row per stack: the NIfTI image made from it.",
    (
        *(c for c in SESSION_STACKS.columns if c.name in SESSION_STACKS.key),
        Column("image_path", TEXT, "NIfTI image, relative to the results", null_meaning="not converted"),
        Column("image_sha256", TEXT, "sha256 of the image", null_meaning="not converted"),
        Column("source_sha256", TEXT, "sha256 over the files of the stack in order", null_meaning="not converted"),
        *STATE,
        RECEIPT,
    ),
    SESSION_STACKS.key,
)

_SCAN_KEYS = (*KEYS, Column("scan_id", TEXT, "name of the scan: a single image, or the parts of one Dixon acquisition"))
_SCAN = (
    *_SCAN_KEYS,
    Column("stack_ids", TEXTS, "stacks the scan is made of (rows of the inventory)"),
    *SERIES,
    *GRID,
    Column("role", TEXT, "muscles (axial, measured) | spine (sagittal, used for levels) | none"),
    Column(
        "levels_from_same_image",
        BOOL,
        "no sagittal scan shares its frame of reference, and its slices are fine enough to show vertebrae",
        null_meaning="not a muscle scan",
    ),
    Column("image_path", TEXT, "image the muscles are outlined on; for Dixon the water image", null_meaning="none"),
    Column("water_path", TEXT, "water image", null_meaning="not Dixon, or missing"),
    Column("fat_path", TEXT, "fat image", null_meaning="not Dixon, or missing"),
    Column("fat_fraction_path", TEXT, "vendor fat-fraction map", null_meaning="not Dixon, or missing"),
    Column("image_sha256s", TEXTS, "sha256 of the images of the scan"),
    Column(
        "fat_fraction_scale",
        FLOAT,
        "value that means 100 % in the fat-fraction map",
        "stored value",
        null_meaning="no map",
    ),
    Column("subcutaneous_ff", FLOAT, "fat fraction under the skin, fattier half", "1", "", "no pair, or no skin seen"),
    Column("dixon_fat_to_water", FLOAT, "brightness of pure fat over pure water", "1", "", "no pair, or none in view"),
    Column(
        "dixon_fit_ratio",
        FLOAT,
        "a / b of the in-phase (or opposed-phase) image; 1 when water and fat are on one scale",
        "1",
        "IP = a W + b F, OP = |a W - b F|",
        "no pair, no such image, or it does not fit",
    ),
    Column("dixon_noise_ratio", FLOAT, "noise of fat over noise of water in air", "1", "", "no pair, or no noise"),
    Column("dixon_step_ratio", FLOAT, "step between values of fat over that of water", "1", "", "no pair, or no steps"),
    Column(
        "dixon_swapped_slices", INT, "slices with fat and water swapped", "slice", "", "no pair, or parts of slices"
    ),
    Column("fi_reason_code", TEXT, "why no fat infiltration is reported", null_meaning="it may be reported"),
)

HARMONIZE = Table(
    "harmonize",
    "One row per scan: stacks that belong together, with the checks that decide what may be measured.",
    (*_SCAN, *STATE, RECEIPT),
    ("subject", "session", "scan_id"),
)

VERTEBRA = pa.struct(
    [
        ("level", TEXT),
        ("centre_mm", FLOATS),
        ("superior_point_mm", FLOATS),
        ("superior_normal", FLOATS),
        ("inferior_point_mm", FLOATS),
        ("inferior_normal", FLOATS),
        ("body_area_mm2", FLOAT),
        ("disc_area_mm2", FLOAT),
        ("confidence", FLOAT),
    ]
)
"""``disc_area_mm2`` is that of the disc below."""
LABEL_DISAGREEMENT = pa.struct(
    [
        ("label", INT),
        ("entropy", FLOAT),
        ("flip_disagreement", FLOAT),
        ("slice_disagreement", pa.list_(FLOAT)),
    ]
)
SLAB = pa.struct(
    [
        ("level", TEXT),
        ("level_scheme", TEXT),
        ("slice_weights", FLOATS),
        ("coverage_frac", FLOAT),
        ("confidence", FLOAT),
        ("slice_tilt_deg", FLOAT),
        ("body_area_mm2", FLOAT),
        ("disc_area_mm2", FLOAT),
        ("centre_mm", FLOATS),
        ("planes_mm", FLOATS),
        ("reason_code", TEXT),
    ]
)
"""``planes_mm`` of a block between planes: point and normal of the upper one, then of the lower one."""

_SEGMENT = (
    Column("dseg_path", TEXT, "label map in the native grid; of a spine made by levels", null_meaning="not segmented"),
    Column("dseg_sha256", TEXT, "sha256 of the label map", null_meaning="not segmented"),
    Column("model", TEXT, "name@version of the model", null_meaning="not segmented"),
    Column("model_sha256", TEXT, "sha256 of the weights", null_meaning="not segmented"),
    Column(
        "model_labels",
        pa.list_(INT),
        "label codes of the muscles the model can draw; no other muscle has rows",
        null_meaning="no muscles segmented",
    ),
    Column(
        "label_disagreement",
        pa.list_(LABEL_DISAGREEMENT),
        "per label: entropy, disagreement with the mirror image (whole, slices)",
        null_meaning="none",
    ),
    Column(
        "probseg_path",
        TEXT,
        "what the spine network says of the scan: 8-bit class probabilities and heatmaps of sagittal slices",
        null_meaning="no vertebrae were looked for in it",
    ),
    Column("probseg_sha256", TEXT, "sha256 of that image", null_meaning="no vertebrae were looked for in it"),
    Column("spine_model_sha256", TEXT, "sha256 of the weights that looked for vertebrae", null_meaning="none did"),
)

SEGMENT = Table(
    "segment",
    "One row per scan: muscles outlined on axial images, what the network sees of the spine on sagittal ones.",
    (*_SCAN_KEYS, *_SEGMENT, *STATE, RECEIPT),
    HARMONIZE.key,
)

_LEVELS = (
    *(c for c in _SEGMENT if c.name in ("dseg_path", "dseg_sha256", "label_disagreement")),
    Column("vertebrae", pa.list_(VERTEBRA), "vertebrae found, LPS mm", null_meaning="none were looked for in the scan"),
    Column("level_numbering", TEXT, "how vertebrae were numbered", null_meaning="neither looked for nor measured"),
    Column("lstv_suspected", BOOL, "a transitional vertebra is suspected", null_meaning="no levels, or set by hand"),
    Column("slabs", pa.list_(SLAB), "levels on the slices of this scan", null_meaning="not measured"),
    Column("level_source", TEXT, "sagittal_transfer | same_image | manual | none", null_meaning="not measured"),
    Column("level_scan_id", TEXT, "scan the levels come from", null_meaning="no levels, or set by hand"),
    LEVEL_MODEL,
    Column("level_reason_code", TEXT, "why there are no levels", null_meaning="levels are resolved"),
    Column("level_detail", TEXT, "a few words on that", null_meaning="levels are resolved"),
    Column(
        "level_shift_mm",
        FLOATS,
        "how far the patient seems to have moved from the scan the levels come from to this one, LPS",
        "mm",
        null_meaning="not judged: no sagittal scan, or too little of it in view",
    ),
)

LEVELS_SHARD = Table(
    "levels_shard",
    "One row per scan: vertebrae where they were looked for, and which slices belong to which level.",
    (*_SCAN_KEYS, *_LEVELS, *STATE, RECEIPT),
    HARMONIZE.key,
)

METRICS = Table(
    "metrics",
    "One row per scan, muscle, side, level, scheme and fat method. Size columns repeat on each row of a key that "
    "differs only in fi_method.",
    (
        *METRIC_KEYS,
        *METRIC_VALUES,
        Column("sequence", TEXT, "sequence class of the scan"),
        Column("model_sha256", TEXT, "weights that outlined the muscle"),
        LEVEL_MODEL,
        Column("activity_id", TEXT, "receipt of the measurement"),
    ),
    tuple(c.name for c in METRIC_KEYS),
)

FLAG = pa.struct(
    [("muscle", TEXT), ("side", TEXT), ("level", TEXT), ("light", TEXT), ("reason_code", TEXT), ("detail", TEXT)]
)
METRIC = pa.struct(
    [(c.name, c.type) for c in METRICS.columns if c.name not in ("subject", "session", "scan_id", "activity_id")]
)

SLICE_AREAS = pa.struct([("muscle", TEXT), ("side", TEXT), ("csa_mm2", FLOATS)])
"""One muscle in every slice of a scan in stored order; null where the label map does not show it."""

_FAT = (
    Column("marrow_ff_frac", FLOAT, "fat fraction of the vertebral marrow", "1", "", "no pair, or no vertebra in view"),
    Column("fi_reason_code", TEXT, "why no fat infiltration is reported", null_meaning="it may be reported"),
)
"""What measuring finds out about the fat of a scan as a whole; harmonize has the second, and measure the last word."""

MEASURE = Table(
    "measure",
    "One row per scan with its metric rows.",
    (
        *_SCAN_KEYS,
        *_FAT,
        Column("metrics", pa.list_(METRIC), "metric rows of the scan", null_meaning="not measured"),
        Column("areas", pa.list_(SLICE_AREAS), "cross-sections slice by slice", null_meaning="not measured"),
        *STATE,
        RECEIPT,
    ),
    HARMONIZE.key,
)

QUALITY_SHARD = Table(
    "quality_shard",
    "One row per scan with its flags.",
    (
        *_SCAN_KEYS,
        Column("light", TEXT, "green: nothing doubtful | amber: doubtful, or excluded from measuring | red: failed"),
        Column("flags", pa.list_(FLAG), "what is doubtful", null_meaning="not judged"),
        Column("overlay_path", TEXT, "picture of the outlines", null_meaning="nothing to show"),
        *STATE,
        RECEIPT,
    ),
    HARMONIZE.key,
)

SCANS = Table(
    "scans",
    "One row per usable image (a Dixon acquisition is one row).",
    (
        *_SCAN,
        *(c for c in _FAT if c not in _SCAN),
        Column("days_from_first_visit", INT, "days since the person's first visit", "day", null_meaning=NOT_STATED),
        Column("visit", INT, "number of the visit, 1 is the first", null_meaning=NOT_STATED),
        Column("dseg_path", TEXT, "label map in the native grid", null_meaning="not segmented"),
        Column("dseg_sha256", TEXT, "sha256 of the label map", null_meaning="not segmented"),
        Column("model", TEXT, "name@version of the model", null_meaning="not segmented"),
        Column("model_sha256", TEXT, "sha256 of the weights", null_meaning="not segmented"),
        Column("light", TEXT, "green: nothing doubtful | amber: doubtful, or excluded from measuring | red: failed"),
        Column("overlay_path", TEXT, "picture of the outlines", null_meaning="nothing to show"),
        *STATE,
        Column("activity_id", TEXT, "receipt of the last stage"),
    ),
    HARMONIZE.key,
)

LEVELS = Table(
    "levels",
    "One row per measured scan, level and scheme: where the level lies on the scan's slices.",
    (
        *KEYS,
        Column("scan_id", TEXT, "name of the scan"),
        Column("level", TEXT, "L1 .. L6, T12, a disc such as L4_L5, L1_L5, or stack", null_meaning="LEVEL_UNRESOLVED"),
        Column(
            "level_scheme",
            TEXT,
            "vertebra_slab | vertebra_mid | disc_mid | disc_stack | slice_block | plane_block | none",
        ),
        Column("level_source", TEXT, "sagittal_transfer | same_image | manual | none"),
        Column("level_numbering", TEXT, "counted_from_sacrum | assumed | manual | unresolved"),
        Column("level_scan_id", TEXT, "scan the levels come from", null_meaning="no levels, or set by hand"),
        LEVEL_MODEL,
        Column("first_slice", INT, "first slice with weight > 0, counted from 0", "slice", null_meaning="not covered"),
        Column("last_slice", INT, "last slice with weight > 0, counted from 0", "slice", null_meaning="not covered"),
        Column("n_slices", FLOAT, "slices in the level, fractions counted", "slice", null_meaning="not covered"),
        Column("coverage_frac", FLOAT, "share of the level inside the scan", "1", null_meaning="no levels"),
        Column("level_confidence", FLOAT, "trust in the level, 0 to 1", "1", null_meaning="no levels"),
        Column(
            "lstv_suspected", BOOL, "a transitional vertebra is suspected", null_meaning="no levels, or set by hand"
        ),
        Column("reason_code", TEXT, "why the level is null or doubtful", null_meaning="nothing to say"),
        RECEIPT,
    ),
    ("subject", "session", "scan_id", "level", "level_scheme"),
)

QUALITY = Table(
    "quality",
    "One row per flag; a scan without a flag has one green row with null muscle.",
    (
        *KEYS,
        Column("scan_id", TEXT, "name of the scan"),
        Column("muscle", TEXT, "muscle the flag is about", null_meaning="the whole scan"),
        Column("side", TEXT, "left | right", null_meaning="the whole scan"),
        Column("level", TEXT, "level the flag is about", null_meaning="the whole muscle or scan"),
        Column("light", TEXT, "green: nothing doubtful | amber: doubtful, or excluded from measuring | red: failed"),
        Column("reason_code", TEXT, "what is doubtful", null_meaning="nothing"),
        Column("detail", TEXT, "measured value and limit", null_meaning="nothing to add"),
        RECEIPT,
    ),
    ("subject", "session", "scan_id", "muscle", "side", "level", "reason_code"),
)

SLICES = Table(
    "slices",
    "One row per measured scan, muscle, side and slice: the cross-sections that the metrics are made of.",
    (
        *METRIC_KEYS[:5],
        Column("slice", INT, "slice, counted from 0 in the order of the converted image", "slice"),
        Column("csa_mm2", FLOAT, "anatomical cross-section in this slice", "mm2", "", "the label map shows none here"),
        RECEIPT,
    ),
    ("subject", "session", "scan_id", "muscle", "side", "slice"),
)

COHORT_TABLES = (INVENTORY, SCANS, LEVELS, METRICS, SLICES, QUALITY, PARTICIPANTS, COVARIATES, ACTIVITIES)
