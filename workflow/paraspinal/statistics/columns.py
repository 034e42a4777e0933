"""The declared columns of the table of agreement."""

from __future__ import annotations

from paraspinal.core.errors import ConfigError
from paraspinal.core.records.columns import BOOL, FLOAT, INT, TEXT
from paraspinal.core.records.tables import Column, Table

_UNIT = "unit of the measure"
_FEW = "fewer than 3 pairs; see reason_code"
_NO_TEST = "not tested; see reason_code"
_NO_PARTICIPANTS = "no participants named, fewer than 3 of them, or no margin"

_KEY = (
    Column("stratum_by", TEXT, "what the rows were divided by; all: not divided"),
    Column("stratum", TEXT, "the part this row is about"),
)
_COUNTS = (
    Column("n_rows", INT, "rows of the input in this part", "row"),
    Column("n", INT, "pairs: rows with both values; all statistics are of these", "pair"),
    Column("n_participants", INT, "participants among the pairs", "participant", null_meaning="none named"),
    Column("n_missing_reference", INT, "rows with a prediction and no reference", "row"),
    Column("n_missing_prediction", INT, "rows with a reference and no prediction: failures", "row"),
    Column("n_missing_both", INT, "rows with neither", "row"),
    Column(
        "failure_frac",
        FLOAT,
        "share of the references without a prediction",
        "1",
        "n_missing_prediction / (n + n_missing_prediction)",
        "no reference",
    ),
    Column("is_sufficient", BOOL, "20 participants or more (pairs where none are named)"),
)
_VALUES = (
    Column("reference_mean", FLOAT, "mean of the references", _UNIT, "", "no pairs"),
    Column("prediction_mean", FLOAT, "mean of the predictions", _UNIT, "", "no pairs"),
    Column("bias", FLOAT, "mean difference", _UNIT, "mean(prediction - reference)", "no pairs"),
    Column("bias_ci_low", FLOAT, "95 % confidence interval of the bias, lower end", _UNIT, "t", _FEW),
    Column("bias_ci_high", FLOAT, "95 % confidence interval of the bias, upper end", _UNIT, "t", _FEW),
    Column("bias_pct", FLOAT, "bias of the reference mean", "%", "100 bias / |reference_mean|", "mean is 0, no pairs"),
    Column("sd_difference", FLOAT, "standard deviation of the differences", _UNIT, "n - 1", _FEW),
    Column("loa_lower", FLOAT, "lower 95 % limit of agreement", _UNIT, "bias - 1.96 sd_difference", _FEW),
    Column("loa_lower_ci_low", FLOAT, "its exact 95 % interval, lower end", _UNIT, "noncentral t (Carkeet)", _FEW),
    Column("loa_lower_ci_high", FLOAT, "its exact 95 % interval, upper end", _UNIT, "noncentral t (Carkeet)", _FEW),
    Column("loa_upper", FLOAT, "upper 95 % limit of agreement", _UNIT, "bias + 1.96 sd_difference", _FEW),
    Column("loa_upper_ci_low", FLOAT, "its exact 95 % interval, lower end", _UNIT, "noncentral t (Carkeet)", _FEW),
    Column("loa_upper_ci_high", FLOAT, "its exact 95 % interval, upper end", _UNIT, "noncentral t (Carkeet)", _FEW),
    Column("icc_a1", FLOAT, "intraclass correlation, absolute agreement", "1", "ICC(A,1)", "no variance; " + _FEW),
    Column("icc_a1_ci_low", FLOAT, "95 % interval, lower end", "1", "McGraw and Wong", "no variance; " + _FEW),
    Column("icc_a1_ci_high", FLOAT, "95 % interval, upper end", "1", "McGraw and Wong", "no variance; " + _FEW),
    Column("mae", FLOAT, "mean absolute error", _UNIT, "mean |prediction - reference|", _FEW),
    Column("mape_pct", FLOAT, "mean absolute percentage error", "%", "100 mean(|d| / |reference|)", "a reference is 0"),
    Column("sem", FLOAT, "standard error of measurement", _UNIT, "sd_difference / sqrt(2)", _FEW),
    Column("cv_pct", FLOAT, "coefficient of variation", "%", "100 sem / |mean of all values|", "mean is 0; " + _FEW),
    Column("mdc95", FLOAT, "minimal detectable change", _UNIT, "1.96 sqrt(2) sem", _FEW),
)
_TEST = (
    Column("margin", FLOAT, "equivalence margin", _UNIT, "", _NO_TEST),
    Column("margin_rule", TEXT, "where the margin comes from"),
    Column("normality_p", FLOAT, "Kolmogorov-Smirnov of standardised differences", "1", "", "constant; " + _NO_TEST),
    Column("tost_method", TEXT, "parametric | bootstrap | constant, by normality_p > 0.05", null_meaning=_NO_TEST),
    Column("tost_p", FLOAT, "two one-sided tests of the mean difference, rows as independent", "1", "", _NO_TEST),
    Column("tost_p_holm", FLOAT, "adjusted over the rows of one stratum_by", "1", "Holm", _NO_TEST),
    Column("ci90_low", FLOAT, "90 % interval of the mean difference, lower end", _UNIT, "", _NO_TEST),
    Column("ci90_high", FLOAT, "90 % interval of the mean difference, upper end", _UNIT, "", _NO_TEST),
    Column("smallest_margin", FLOAT, "any larger margin passes", _UNIT, "max |ci90|", _NO_TEST),
    Column("smallest_margin_pct", FLOAT, "the same of the reference mean", "%", "", "mean is 0; " + _NO_TEST),
    Column("is_equivalent", BOOL, "tost_p below 0.05", "", "", _NO_TEST),
    Column("participant_tost_method", TEXT, "the same on one mean per participant", null_meaning=_NO_PARTICIPANTS),
    Column("participant_tost_p", FLOAT, "the same on one mean per participant", "1", "", _NO_PARTICIPANTS),
    Column("participant_tost_p_holm", FLOAT, "adjusted as tost_p_holm", "1", "Holm", _NO_PARTICIPANTS),
    Column("participant_ci90_low", FLOAT, "90 % interval, lower end", _UNIT, "", _NO_PARTICIPANTS),
    Column("participant_ci90_high", FLOAT, "90 % interval, upper end", _UNIT, "", _NO_PARTICIPANTS),
    Column("participant_smallest_margin", FLOAT, "any larger margin passes", _UNIT, "", _NO_PARTICIPANTS),
    Column("participant_is_equivalent", BOOL, "participant_tost_p below 0.05", "", "", _NO_PARTICIPANTS),
    Column("reason_code", TEXT, "why values are null; several are separated by ;", "", "", "nothing to say"),
)


def agreement_table(by: tuple[str, ...] = ()) -> Table:
    """Declare the table; ``by`` are the columns of the input that divide every measure.

    Raises ConfigError when one of them bears the name of a statistic.
    """
    measure = Column("measure", TEXT, "what was compared")
    groups = tuple(Column(name, TEXT, "as in the input", null_meaning="not stated") for name in by)
    columns = (measure, *groups, *_KEY, *_COUNTS, *_VALUES, *_TEST)
    if len({c.name for c in columns}) < len(columns):
        raise ConfigError("a column to divide by has the name of a statistic", hint="rename it in the table")
    return Table(
        "agreement",
        "Agreement of predictions with references: one row per measure, group and stratum.",
        columns,
        ("measure", *by, "stratum_by", "stratum"),
    )
