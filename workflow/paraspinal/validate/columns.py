"""The declared columns of the tables of mask agreement."""

from __future__ import annotations

from paraspinal.core.records.columns import BOOL, FLOAT, INT, STATE, TEXT
from paraspinal.core.records.tables import Column, Table

OVERLAP_MEASURES = ("dsc", "hd95_mm", "assd_mm", "nsd_1mm", "nsd_2mm")
STRATA = ("centre", "vendor", "field_strength_t", "sequence", "sex", "age_band", "bmi_band")
_UNNAMED = "not stated"

_PAIR = (
    Column("pair", INT, "number of the pair: row of the sheet, or order of the BIDS names"),
    Column("participant", INT, "number of the participant, in the order of the pairs", null_meaning="not named"),
    Column("scan_id", TEXT, "the scan in the tables of a run", null_meaning="no results given, or not among them"),
    *(Column(name, TEXT, "stratum", null_meaning=_UNNAMED) for name in STRATA),
)

PAIRS = Table(
    "pairs",
    "Every pair of label maps, and what became of it: no file of either folder is left out.",
    (*_PAIR, *STATE),
    ("pair",),
)

_ABSENT = "neither holds the muscle"
_WORST = "0 where only one holds the muscle"
_FAR = "diagonal of the image where only one holds the muscle"
_SURFACE = "surface elements weighted by area, as DeepMind's surface-distance"

OVERLAP = Table(
    "overlap",
    "One row per scan, muscle, side and level.",
    (
        *_PAIR,
        Column("muscle", TEXT, "multifidus | erector_spinae | psoas_major | quadratus_lumborum"),
        Column("side", TEXT, "left | right, of the patient"),
        Column("level", TEXT, "vertebral level, by the slices of the run; all: the whole muscle"),
        Column("pair_state", TEXT, "both_present | reference_only | prediction_only | both_absent"),
        Column("dsc", FLOAT, f"Dice overlap; {_WORST}", "1", "2 |A and B| / (|A| + |B|)", _ABSENT),
        Column(
            "hd95_mm",
            FLOAT,
            f"95 % Hausdorff distance: maximum of the two directed 95th percentiles; {_FAR}",
            "mm",
            _SURFACE,
            _ABSENT,
        ),
        Column("assd_mm", FLOAT, f"average symmetric surface distance; {_FAR}", "mm", _SURFACE, _ABSENT),
        Column("nsd_1mm", FLOAT, f"share of both surfaces within 1 mm; {_WORST}", "1", _SURFACE, _ABSENT),
        Column("nsd_2mm", FLOAT, f"share of both surfaces within 2 mm; {_WORST}", "1", _SURFACE, _ABSENT),
        Column("reference_volume_mm3", FLOAT, "volume in the reference", "mm3", "", "not in the reference"),
        Column("prediction_volume_mm3", FLOAT, "volume in the prediction", "mm3", "", "not in the prediction"),
        Column("volume_difference_mm3", FLOAT, "prediction - reference", "mm3", "", "not in both"),
        Column("volume_difference_pct", FLOAT, "the same of the reference", "%", "", "not in both"),
        Column("reference_fi", FLOAT, "Dixon fat in the reference", "1", "sum F / sum (F + W)", "no Dixon images"),
        Column("prediction_fi", FLOAT, "Dixon fat in the prediction", "1", "sum F / sum (F + W)", "no Dixon images"),
    ),
    ("pair", "muscle", "side", "level"),
)

_NONE = "no scan to count"
OVERLAP_SUMMARY = Table(
    "overlap_summary",
    "Overlap and distance over scans. A muscle that only one map holds counts as the worst case; one that neither "
    "holds is excluded and counted.",
    (
        Column("measure", TEXT, " | ".join(OVERLAP_MEASURES)),
        *(c for c in OVERLAP.columns if c.name in ("muscle", "side", "level")),
        Column("stratum_by", TEXT, "what the rows were divided by; all: not divided"),
        Column("stratum", TEXT, "the part this row is about"),
        Column("n", INT, "scans counted", "scan"),
        Column("n_participants", INT, "participants among them", "participant", null_meaning="not named"),
        Column("n_reference_only", INT, "muscle missing in the prediction, or no prediction: failures", "scan"),
        Column("n_prediction_only", INT, "muscle missing in the reference", "scan"),
        Column("n_both_absent", INT, "muscle in neither: not counted in n", "scan"),
        Column(
            "failure_frac",
            FLOAT,
            "share of the references without a prediction",
            "1",
            "n_reference_only / (n - n_prediction_only)",
            "no reference",
        ),
        Column("is_sufficient", BOOL, "20 participants or more (scans where none are named)"),
        Column("mean", FLOAT, "mean", "unit of the measure", "", _NONE),
        Column("sd", FLOAT, "standard deviation", "unit of the measure", "n - 1", "fewer than 2 scans"),
        Column("median", FLOAT, "median", "unit of the measure", "", _NONE),
        Column("q25", FLOAT, "first quartile", "unit of the measure", "linear", _NONE),
        Column("q75", FLOAT, "third quartile", "unit of the measure", "linear", _NONE),
        Column("worst", FLOAT, "worst scan", "unit of the measure", "least overlap, largest distance", _NONE),
    ),
    ("measure", "muscle", "side", "level", "stratum_by", "stratum"),
)
