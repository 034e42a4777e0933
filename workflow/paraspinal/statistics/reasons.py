"""Why statistics of agreement are null."""

from __future__ import annotations

from enum import StrEnum


class AgreementReason(StrEnum):
    """Why statistics of agreement are null; closed."""

    NO_PAIRS = "NO_PAIRS"
    TOO_FEW_PAIRS = "TOO_FEW_PAIRS"
    NO_VARIANCE = "NO_VARIANCE"
    ZERO_REFERENCE = "ZERO_REFERENCE"
    ZERO_REFERENCE_MEAN = "ZERO_REFERENCE_MEAN"
    NOT_NUMERIC = "NOT_NUMERIC"
    DUPLICATE_COLUMN = "DUPLICATE_COLUMN"


AGREEMENT_REASONS = {
    AgreementReason.NO_PAIRS: "no row has both values",
    AgreementReason.TOO_FEW_PAIRS: "fewer than 3 pairs, only the bias is given",
    AgreementReason.NO_VARIANCE: "values do not vary, no ICC",
    AgreementReason.ZERO_REFERENCE: "a reference is zero, no percentage error",
    AgreementReason.ZERO_REFERENCE_MEAN: "the reference mean is zero, name a margin in its unit",
    AgreementReason.NOT_NUMERIC: "holds words, not compared",
    AgreementReason.DUPLICATE_COLUMN: "two columns of one name, not compared",
}
"""Every reason in plain words."""
