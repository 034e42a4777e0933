"""Sequence classes by numbers, Dixon parts by vendors' habits, and unknown rather than guessed."""

from __future__ import annotations

from typing import Any

import pytest

from paraspinal.core.vocab import DixonPart, Sequence
from paraspinal.stages.ingest.kinds.image_kind import is_localizer, is_reformat
from paraspinal.stages.ingest.kinds.sequence import contrast_of
from paraspinal.stages.ingest.kinds.vendor import model_of, vendor_of


def se(tr: float, te: float, **more: Any) -> dict[str, Any]:
    """Header values of a spin echo."""
    return {"scanning_sequence": ["SE"], "tr_ms": tr, "te_ms": te, **more}


def gre(tr: float, te: float, **more: Any) -> dict[str, Any]:
    """Header values of a spoiled gradient echo."""
    return {"scanning_sequence": ["GR"], "sequence_variant": ["SP"], "tr_ms": tr, "te_ms": te, **more}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (se(600, 12), Sequence.T1W),
        (se(4000, 100), Sequence.T2W),
        (se(3000, 20), Sequence.PDW),
        (se(1500, 120, acquisition_type="3D"), Sequence.T2W),
        (se(4500, 60, ti_ms=160, scanning_sequence=["SE", "IR"]), Sequence.STIR),
        (se(4500, 30, ti_ms=220, scanning_sequence=["IR"]), Sequence.STIR),
        (se(9000, 120, ti_ms=2400, scanning_sequence=["SE", "IR"]), Sequence.FLAIR),
        (se(2200, 20, ti_ms=860, scanning_sequence=["SE", "IR"]), Sequence.T1W),
        (gre(7, 3, flip_deg=15), Sequence.T1W),
        (gre(180, 4, flip_deg=80), Sequence.T1W),
        (gre(10, 3, flip_deg=3), Sequence.PDW),
        (gre(600, 20, flip_deg=25), Sequence.OTHER),
        (gre(2000, 3, flip_deg=9, ti_ms=900, scanning_sequence=["GR", "IR"]), Sequence.T1W),
        ({"scanning_sequence": ["EP"], "tr_ms": 3000, "te_ms": 80}, Sequence.OTHER),
        (se(3000, 50), Sequence.UNKNOWN),
        (se(1400, 12), Sequence.UNKNOWN),
        ({}, Sequence.UNKNOWN),
        ({"series_description": "sag t2 and t1"}, Sequence.UNKNOWN),
        ({"series_description": "Ax T2 FSE"}, Sequence.T2W),
        ({"series_description": "t1_tse_sag"}, Sequence.T1W),
        ({"echo_pulse_sequence": "SPIN", "tr_ms": 600, "te_ms": 12}, Sequence.T1W),
        ({"image_type": ["ORIGINAL", "PRIMARY", "T2", "NONE"]}, Sequence.T2W),
    ],
)
def test_class(values: dict[str, Any], expected: Sequence) -> None:
    assert contrast_of(values).sequence is expected


def test_numbers_go_before_text_and_agreement_gives_trust() -> None:
    agreed = contrast_of(se(600, 12, series_description="t1_tse"))
    alone = contrast_of(se(600, 12))
    against = contrast_of(se(600, 12, series_description="t2_tse"))
    text = contrast_of({"series_description": "t2_tse"})
    assert [c.sequence for c in (agreed, alone, against)] == [Sequence.T1W] * 3
    assert agreed.confidence > alone.confidence > against.confidence >= text.confidence > 0


def test_evidence_holds_no_header_text() -> None:
    values = se(600, 12, series_description="t1 Jane Doe", protocol="Jane Doe", sequence_name="Jane")
    assert "Jane" not in contrast_of(values).evidence


@pytest.mark.parametrize(
    "values",
    [
        {"scan_options": ["FS"]},
        {"scan_options": ["SAT1", "FAT_SAT"]},
        {"series_description": "t2_tse_fs_tra"},
        {"series_description": "Ax T2 FatSat"},
        {"protocol": "T2W_SPAIR"},
        {"fat_suppression": "FAT"},
        {"series_description": "STIR sag"},
    ],
)
def test_fat_suppression(values: dict[str, Any]) -> None:
    assert contrast_of({**se(4000, 90), **values}).is_fat_suppressed


@pytest.mark.parametrize("text", ["t2_tse_tra", "T2 no FS", "without fat sat", "fsems", "offset"])
def test_no_fat_suppression(text: str) -> None:
    assert not contrast_of(se(4000, 90, series_description=text)).is_fat_suppressed


W, F, IN, OPP, FF = (
    DixonPart.WATER, DixonPart.FAT, DixonPart.IN_PHASE, DixonPart.OPPOSED_PHASE, DixonPart.FAT_FRACTION,
)  # fmt: skip


@pytest.mark.parametrize(
    ("manufacturer", "image_type", "description", "part"),
    [
        ("SIEMENS", ["DERIVED", "PRIMARY", "DIXON", "WATER"], "t1_vibe_dixon_tra_W", W),
        ("SIEMENS", ["ORIGINAL", "PRIMARY", "DIXON", "IN_PHASE"], "t1_vibe_dixon_tra_in", IN),
        ("SIEMENS", ["ORIGINAL", "PRIMARY", "DIXON", "OPP_PHASE"], "t1_vibe_dixon_tra_opp", OPP),
        ("SIEMENS", ["ORIGINAL", "PRIMARY", "M", "ND"], "t2_tse_dixon_tra_F", F),
        ("SIEMENS", ["DERIVED", "PRIMARY", "DIXON", "FAT_FRACTION"], "q-dixon_FF", FF),
        ("GE MEDICAL SYSTEMS", ["ORIGINAL", "PRIMARY", "OTHER"], "WATER: Ax LAVA-Flex", W),
        ("GE MEDICAL SYSTEMS", ["ORIGINAL", "PRIMARY", "OTHER"], "FAT: Ax LAVA-Flex", F),
        ("GE MEDICAL SYSTEMS", ["ORIGINAL", "PRIMARY", "OTHER"], "InPhase: Ax IDEAL", IN),
        ("GE MEDICAL SYSTEMS", ["ORIGINAL", "PRIMARY", "OTHER"], "OutPhase: Ax IDEAL", OPP),
        ("GE MEDICAL SYSTEMS", ["DERIVED", "PRIMARY", "OTHER"], "FatFrac: Ax IDEAL IQ", FF),
        ("Philips Medical Systems", ["DERIVED", "PRIMARY", "W", "W", "DERIVED"], "mDIXON", W),
        ("Philips", ["DERIVED", "PRIMARY", "F", "F", "DERIVED"], "mDIXON", F),
        ("Philips", ["DERIVED", "PRIMARY", "IP", "IP", "DERIVED"], "mDIXON", IN),
        ("Philips", ["DERIVED", "PRIMARY", "OP", "OP", "DERIVED"], "mDIXON", OPP),
        ("Philips", ["DERIVED", "PRIMARY", "FF", "FF", "DERIVED"], "mDIXON-Quant", FF),
        ("TOSHIBA_MEC", ["DERIVED", "PRIMARY", "WATER"], "WFS", W),
        ("CANON_MEC", ["ORIGINAL", "PRIMARY"], "WFS Fat", F),
        ("UIH", ["ORIGINAL", "PRIMARY", "M", "WFI", "WATER"], "t1_gre_wfi_W", W),
        ("UIH", ["ORIGINAL", "PRIMARY", "M", "WFI", "F"], "t1_gre_wfi_F", F),
        ("UIH", ["ORIGINAL", "PRIMARY", "M", "WFI", "IN_PHASE"], "t1_gre_wfi", IN),
    ],
)
def test_dixon_part(manufacturer: str, image_type: list[str], description: str, part: DixonPart) -> None:
    values = gre(7, 2.4, manufacturer=manufacturer, image_type=image_type, series_description=description)
    contrast = contrast_of(values)
    assert (contrast.sequence, contrast.part) == (Sequence.DIXON, part)


@pytest.mark.parametrize(
    ("manufacturer", "image_type", "description"),
    [
        ("SIEMENS", ["ORIGINAL", "PRIMARY", "M", "ND"], "t2_tse_tra fat sat"),
        ("SIEMENS", ["ORIGINAL", "PRIMARY", "M", "ND"], "fat suppressed t2"),
        ("SIEMENS", ["ORIGINAL", "PRIMARY", "M", "ND"], "t1_tse_in"),
        ("Philips", ["ORIGINAL", "PRIMARY", "M_SE", "M", "SE"], "T2W_TSE"),
        ("SIEMENS", ["DERIVED", "PRIMARY", "DIXON", "WATER", "FAT"], "both words"),
    ],
)
def test_no_dixon_part(manufacturer: str, image_type: list[str], description: str) -> None:
    values = se(4000, 90, manufacturer=manufacturer, image_type=image_type, series_description=description)
    assert contrast_of(values).part is None


@pytest.mark.parametrize("kind", ["P", "PHASE MAP", "ADC", "FMRI", "T2_STAR"])
def test_maps_and_phases_are_no_anatomy(kind: str) -> None:
    contrast = contrast_of(se(600, 12, image_type=["DERIVED", "PRIMARY", kind]))
    assert (contrast.sequence, contrast.is_anatomical) == (Sequence.OTHER, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localizer", True),
        ("Loc", True),
        ("3-Plane Localizer", True),
        ("Survey", True),
        ("local shim t2", False),
        ("block", False),
    ],
)
def test_localizer_text(text: str, expected: bool) -> None:
    assert is_localizer({"series_description": text}) is expected


def test_reformat_is_not_any_derived_image() -> None:
    assert is_reformat({"image_type": ["DERIVED", "SECONDARY", "MPR"]})
    assert not is_reformat({"image_type": ["DERIVED", "PRIMARY", "DIXON", "WATER"]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SIEMENS", "Siemens"), ("Siemens Healthineers", "Siemens"), ("GE MEDICAL SYSTEMS", "GE"),
        ("Philips Medical Systems", "Philips"), ("TOSHIBA_MEC", "Canon"), ("CANON_MEC", "Canon"),
        ("UIH", "United Imaging"), ("Jane Doe", "other"), ("", None),
    ],
)  # fmt: skip
def test_vendor(text: str, expected: str | None) -> None:
    assert vendor_of({"manufacturer": text}) == expected


def test_model_is_a_known_word_or_a_pseudonym() -> None:
    assert model_of({"scanner_model": "MAGNETOM Skyra Jane Doe"}, lambda text: "h") in ("magnetom", "skyra")
    assert model_of({"scanner_model": "Ingenia"}, lambda text: "h") == "ingenia"
    assert model_of({"scanner_model": "Jane Doe"}, lambda text: "h4sh") == "other-h4sh"
    assert model_of({}, lambda text: "h") is None
