"""Overlap and distance over scans, by muscle, side, level and stratum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from paraspinal.core.records.tables import Row
from paraspinal.statistics.agreement import MIN_SUFFICIENT
from paraspinal.statistics.strata import parts
from paraspinal.validate.columns import OVERLAP_MEASURES
from paraspinal.validate.pair_state import PairState

BY = ("muscle", "side", "level")
DISTANCES = ("hd95_mm", "assd_mm")
"""Measures of which more is worse."""


def summarise(overlap: pd.DataFrame, strata: Sequence[str]) -> Iterator[Row]:
    """Yield rows of the summary from rows of the table of overlap."""
    for key, group in overlap.groupby(list(BY), sort=False):
        for by, stratum, part in parts(group, strata):
            counts = part["pair_state"].value_counts()
            counted = part[part["pair_state"] != PairState.BOTH_ABSENT.value]
            same = dict(zip(BY, key, strict=True)) | {"stratum_by": by, "stratum": stratum} | _counts(counts, counted)
            for measure in OVERLAP_MEASURES:
                yield {"measure": measure} | same | _spread(measure, counted[measure].to_numpy(np.float64))


def _counts(states: pd.Series, counted: pd.DataFrame) -> Row:
    n, failed = len(counted), int(states.get(PairState.REFERENCE_ONLY.value, 0))
    extra = int(states.get(PairState.PREDICTION_ONLY.value, 0))
    people = counted["participant"].dropna()
    participants = people.nunique() if len(people) else None
    return {
        "n": n,
        "n_participants": participants,
        "n_reference_only": failed,
        "n_prediction_only": extra,
        "n_both_absent": int(states.get(PairState.BOTH_ABSENT.value, 0)),
        "failure_frac": failed / (n - extra) if n > extra else None,
        "is_sufficient": (n if participants is None else participants) >= MIN_SUFFICIENT,
    }


def _spread(measure: str, values: np.ndarray) -> Row:
    if not len(values):
        return {}
    q25, median, q75 = (float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    worst = values.max() if measure in DISTANCES else values.min()
    sd = float(values.std(ddof=1)) if len(values) > 1 else None
    return {"mean": float(values.mean()), "sd": sd, "median": median, "q25": q25, "q75": q75, "worst": float(worst)}
