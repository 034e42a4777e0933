"""Which of two masks holds a muscle."""

from __future__ import annotations

from enum import StrEnum


class PairState(StrEnum):
    """Which of two masks holds a muscle."""

    BOTH_PRESENT = "both_present"
    REFERENCE_ONLY = "reference_only"
    PREDICTION_ONLY = "prediction_only"
    BOTH_ABSENT = "both_absent"

    @classmethod
    def of(cls, reference: bool, prediction: bool) -> PairState:
        """Name the state."""
        if reference:
            return cls.BOTH_PRESENT if prediction else cls.REFERENCE_ONLY
        return cls.PREDICTION_ONLY if prediction else cls.BOTH_ABSENT
