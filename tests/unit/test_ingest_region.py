"""Body region by code first and text last; contradictions keep the code at less confidence; nothing raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraspinal.stages.ingest.kinds.region import (
    CODED,
    CODED_AND_TEXT,
    CONTRADICTED,
    MIN_TO_EXCLUDE,
    SERIES_TEXT,
    STUDY_TEXT,
    BodyRegion,
    Region,
    region_of,
)

LUMBAR, THORACIC, CERVICAL, WHOLE, ABDOMEN, PELVIS, ELSEWHERE, UNSTATED = BodyRegion


@pytest.mark.parametrize(
    ("part", "text", "expected"),
    [
        ("LSPINE", "", False),
        ("SPINE", "", False),
        ("ABDOMEN", "", False),
        ("PELVIS", "", False),
        ("", "", False),
        ("", "t2_tse_sag LWS", False),
        ("CSPINE", "", True),
        ("HEAD", "", True),
        ("KNEE", "", True),
        ("TSPINE", "", True),
        ("", "Knee routine", True),
        ("", "c-spine sag", True),
        ("SPINE", "C-SPINE sag", True),
        ("HEAD", "L-Spine routine", False),
        ("ABDOMEN", "head first", False),
        ("LSPINE", "knee", False),
        ("", "hand lumbar", False),
        ("", "t1_armature", False),
        ("", "t2_3d_spine", False),
        ("", "t1 +c sp", False),
    ],
)
def test_only_a_sure_other_region_sets_an_image_aside(part: str, text: str, expected: bool) -> None:
    assert region_of({"body_part": part, "protocol": text}).is_elsewhere is expected


@pytest.mark.parametrize(
    ("part", "region"),
    [
        ("LSPINE", LUMBAR), ("LUMBAR SPINE", LUMBAR), ("L-SPINE", LUMBAR), ("LSSPINE", LUMBAR), ("TLSPINE", LUMBAR),
        ("LWS", LUMBAR), ("SPINE LUMBAR", LUMBAR), ("Lendenwirbelsaeule", UNSTATED), ("TSPINE", THORACIC),
        ("THORACIC SPINE", THORACIC), ("BWS", THORACIC), ("CSPINE", CERVICAL), ("CTSPINE", CERVICAL), ("HWS", CERVICAL),
        ("CERVICAL SPINE", CERVICAL), ("WHOLESPINE", WHOLE), ("WHOLEBODY", WHOLE), ("WHOLE BODY", WHOLE),
        ("CTLSPINE", WHOLE), ("ABDOMEN", ABDOMEN), ("ABDOMENPELVIS", ABDOMEN), ("CHESTABDPELVIS", ABDOMEN),
        ("LIVER", ABDOMEN), ("KIDNEY", ABDOMEN), ("PELVIS", PELVIS), ("PROSTATE", PELVIS), ("UTERUS", PELVIS),
        ("SACRUM", PELVIS), ("SSPINE", PELVIS), ("HEAD", ELSEWHERE), ("BRAIN", ELSEWHERE), ("KNEE", ELSEWHERE),
        ("EXTREMITY", ELSEWHERE), ("HIP", ELSEWHERE), ("BREAST", ELSEWHERE), ("CHEST", ELSEWHERE), ("HEART", ELSEWHERE),
        ("SHOULDER", ELSEWHERE), ("SPINE", UNSTATED), ("Jane Doe", UNSTATED), ("", UNSTATED), ("OTHER", UNSTATED),
    ],
)  # fmt: skip
def test_coded_part(part: str, region: BodyRegion) -> None:
    found = region_of({"body_part": part})
    assert found == (Region(region) if region is UNSTATED else Region(region, "coded", CODED))


@pytest.mark.parametrize(
    ("code", "region"),
    [
        ("122496007", LUMBAR), ("T-11503", LUMBAR), ("1217253001", LUMBAR), ("122495006", THORACIC),
        ("T-11501", CERVICAL), ("38266002", WHOLE), ("818981001", ABDOMEN), ("T-D4000", ABDOMEN),
        ("816092008", PELVIS), ("72696002", ELSEWHERE), ("T-A0100", ELSEWHERE), ("421060004", UNSTATED),
        ("Jane", UNSTATED),
    ],
)  # fmt: skip
def test_anatomic_code(code: str, region: BodyRegion) -> None:
    assert region_of({"anatomic_code": code}).region is region
    if region is not UNSTATED:
        assert region_of({"anatomic_code": code, "body_part": "SPINE"}).evidence == "coded"


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("t2_tse_sag_LWS", LUMBAR), ("L-Spine routine", LUMBAR), ("Ax T2 L3-S1", LUMBAR),
        ("MRI LUMBAR SPINE W/O", LUMBAR), ("thoracolumbar junction", LUMBAR), ("rachis lombaire", LUMBAR),
        ("TL-spine", LUMBAR), ("psoas", LUMBAR), ("t/l spine thoracic lumbar", LUMBAR), ("C-spine", CERVICAL),
        ("HWS sag", CERVICAL), ("cervico-thoracic", CERVICAL), ("t-spine", THORACIC), ("BWS", THORACIC),
        ("whole spine", WHOLE), ("total spine sag", WHOLE), ("Whole-Body", WHOLE),
        ("cervical thoracic lumbar", WHOLE), ("abdomen LAVA", ABDOMEN), ("abd/pelvis", ABDOMEN),
        ("liver dixon", ABDOMEN), ("pelvis", PELVIS), ("prostate", PELVIS), ("sacroiliac", PELVIS),
        ("Knie rechts", ELSEWHERE), ("neuro brain", ELSEWHERE), ("t2_tse_sag", UNSTATED), ("cervix", PELVIS),
        ("3D SPINE", UNSTATED), ("Doe Jane", UNSTATED), ("MRI SPINE", UNSTATED),
    ],
)  # fmt: skip
def test_text(text: str, region: BodyRegion) -> None:
    series, study = region_of({"series_description": text}), region_of({"study_description": text})
    assert (series.region, study.region) == (region, region)
    if region is not UNSTATED:
        assert (series.evidence, study.evidence) == ("text", "text")
        assert series.confidence == SERIES_TEXT > STUDY_TEXT == study.confidence >= MIN_TO_EXCLUDE


def test_agreement_gives_trust_and_contradiction_takes_it() -> None:
    agreed = region_of({"body_part": "LSPINE", "protocol": "lumbar"})
    beside = region_of({"body_part": "ABDOMEN", "protocol": "lumbar"})
    against = region_of({"body_part": "LSPINE", "protocol": "knee"})
    assert (agreed.region, agreed.confidence) == (LUMBAR, CODED_AND_TEXT)
    assert (beside.region, beside.confidence) == (ABDOMEN, CODED_AND_TEXT)
    assert (against.region, against.evidence, against.confidence) == (LUMBAR, "coded", CONTRADICTED)
    assert CODED_AND_TEXT > CODED > SERIES_TEXT > STUDY_TEXT > CONTRADICTED > 0


def test_the_series_goes_before_the_study() -> None:
    series = {"series_description": "t2 sag HWS", "study_description": "MRI lumbar spine"}
    assert region_of(series) == Region(CERVICAL, "text", SERIES_TEXT)
    stray = {"series_description": "loc head", "study_description": "MRI lumbar spine"}
    assert region_of(stray) == Region(LUMBAR, "text", CONTRADICTED)
    limb = {"series_description": "knee sag", "study_description": "MRI brain"}
    assert region_of(limb) == Region(ELSEWHERE, "text", SERIES_TEXT)


@given(
    st.dictionaries(
        st.sampled_from(["body_part", "anatomic_code", "protocol", "series_description", "name"]), st.text()
    )
)
def test_garbage_never_raises_and_passes_nothing_on(values: dict[str, str]) -> None:
    found = region_of(values)
    assert found.evidence in (None, "coded", "text")
    assert (found.evidence is None) == (found.region is UNSTATED) == (found.confidence is None)
