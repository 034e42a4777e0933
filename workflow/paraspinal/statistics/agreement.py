"""One row of the table of agreement from paired values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.records.tables import Row
from paraspinal.statistics.error import error_size
from paraspinal.statistics.icc import icc_a_1
from paraspinal.statistics.limits import limits_of_agreement
from paraspinal.statistics.margins import Margin
from paraspinal.statistics.reasons import AgreementReason
from paraspinal.statistics.tost import ALPHA, participant_means, tost

MIN_PAIRS = 3
"""Fewer pairs give a bias and nothing else."""
MIN_SUFFICIENT = 20
"""A part with fewer participants is called insufficient."""


@dataclass(frozen=True)
class Paired:
    """Values of one measure, (n,) each; NaN where missing.

    ``participant`` holds codes from 0, negative for unknown; None where no participants are named.
    """

    reference: NDArray[np.float64]
    prediction: NDArray[np.float64]
    participant: NDArray[np.int64] | None = None

    def complete(self) -> Paired:
        """Keep the rows with both values."""
        both = np.isfinite(self.reference) & np.isfinite(self.prediction)
        who = None if self.participant is None else self.participant[both]
        return Paired(self.reference[both], self.prediction[both], who)


def agreement_row(values: Paired, margin: Margin) -> Row:
    """Compute every statistic of :func:`paraspinal.statistics.columns.agreement_table` but keys and Holm's p."""
    pairs = values.complete()
    row = _counts(values, pairs) | {"margin_rule": str(margin)}
    reasons: list[AgreementReason] = []
    n = row["n"]
    if n:
        row |= _means(pairs)
    if n < MIN_PAIRS:
        reasons.append(AgreementReason.TOO_FEW_PAIRS if n else AgreementReason.NO_PAIRS)
    else:
        row |= _spread(pairs, reasons) | _equivalence(pairs, margin.of(row["reference_mean"]), reasons)
    found = {name: None if isinstance(x, float) and not np.isfinite(x) else x for name, x in row.items()}
    return found | {"reason_code": ";".join(reasons) or None}


def _counts(values: Paired, pairs: Paired) -> Row:
    has_reference, has_prediction = np.isfinite(values.reference), np.isfinite(values.prediction)
    n, failed = len(pairs.reference), int((has_reference & ~has_prediction).sum())
    participants = None if pairs.participant is None else len(np.unique(pairs.participant[pairs.participant >= 0]))
    return {
        "n_rows": len(values.reference),
        "n": n,
        "n_participants": participants,
        "n_missing_reference": int((~has_reference & has_prediction).sum()),
        "n_missing_prediction": failed,
        "n_missing_both": int((~has_reference & ~has_prediction).sum()),
        "failure_frac": failed / (n + failed) if n + failed else None,
        "is_sufficient": (n if participants is None else participants) >= MIN_SUFFICIENT,
    }


def _means(pairs: Paired) -> Row:
    reference, prediction = float(pairs.reference.mean()), float(pairs.prediction.mean())
    bias = float((pairs.prediction - pairs.reference).mean())
    return {
        "reference_mean": reference,
        "prediction_mean": prediction,
        "bias": bias,
        "bias_pct": 100.0 * bias / abs(reference) if reference else None,
    }


def _spread(pairs: Paired, reasons: list[AgreementReason]) -> Row:
    limits = limits_of_agreement(pairs.prediction - pairs.reference)
    icc, icc_ci = icc_a_1(np.column_stack([pairs.reference, pairs.prediction]))
    error = error_size(pairs.reference, pairs.prediction)
    if np.isnan(icc):
        reasons.append(AgreementReason.NO_VARIANCE)
    if error.mape_pct is None:
        reasons.append(AgreementReason.ZERO_REFERENCE)
    return {
        "sd_difference": limits.sd,
        **_interval("bias_ci", limits.bias_ci),
        "loa_lower": limits.lower,
        **_interval("loa_lower_ci", limits.lower_ci),
        "loa_upper": limits.upper,
        **_interval("loa_upper_ci", limits.upper_ci),
        "icc_a1": icc,
        **_interval("icc_a1_ci", icc_ci),
        "mae": error.mae,
        "mape_pct": error.mape_pct,
        "sem": error.sem,
        "cv_pct": error.cv_pct,
        "mdc95": error.mdc95,
    }


def _equivalence(pairs: Paired, margin: float, reasons: list[AgreementReason]) -> Row:
    if margin == 0.0:
        reasons.append(AgreementReason.ZERO_REFERENCE_MEAN)
        return {}
    difference = pairs.prediction - pairs.reference
    test = tost(difference, margin)
    level = abs(float(pairs.reference.mean()))
    row: Row = {
        "margin": margin,
        "normality_p": test.normality_p,
        "tost_method": test.method.value,
        "tost_p": test.p,
        **_interval("ci90", test.ci90),
        "smallest_margin": test.smallest_margin,
        "smallest_margin_pct": 100.0 * test.smallest_margin / level if level else None,
        "is_equivalent": test.p < ALPHA,
    }
    means = difference[:0] if pairs.participant is None else participant_means(difference, pairs.participant)
    if len(means) < MIN_PAIRS:
        return row
    test = tost(means, margin)
    return row | {
        "participant_tost_method": test.method.value,
        "participant_tost_p": test.p,
        **_interval("participant_ci90", test.ci90),
        "participant_smallest_margin": test.smallest_margin,
        "participant_is_equivalent": test.p < ALPHA,
    }


def _interval(name: str, found: tuple[float, float]) -> dict[str, Any]:
    return {f"{name}_low": found[0], f"{name}_high": found[1]}
