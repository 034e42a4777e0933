from __future__ import annotations

from paraspinal.core.reasons import NO_REASON, REASONS, reason_text, what_to_do
from paraspinal.core.vocab import Reason
from paraspinal.statistics.reasons import AGREEMENT_REASONS, AgreementReason


def test_every_code_says_what_it_means_and_what_to_do() -> None:
    assert set(REASONS) == set(Reason)
    assert all(text and to_do for text, to_do in REASONS.values())
    assert len({text for text, _ in REASONS.values()}) == len(Reason), "two codes that read alike"
    assert set(AGREEMENT_REASONS) == set(AgreementReason)


def test_codes_are_explained() -> None:
    assert reason_text("LEVEL_UNRESOLVED") == "spinal level not found"
    assert what_to_do("LEVEL_UNRESOLVED") == "set the levels in the levels sheet"
    assert (reason_text(None), what_to_do(None)) == (NO_REASON, "")
