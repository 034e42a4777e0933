"""Which part of the body an image shows: by the coded body part first, by text last, unstated rather than guessed.

Header text is only compared with words we know; nothing of it is passed on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from paraspinal.stages.ingest.reading.record import Values


class BodyRegion(StrEnum):
    """Which part of the body an image shows, by its headers; a region that holds another is named by the larger."""

    LUMBAR = "lumbar"  # thoracolumbar and lumbosacral too
    THORACIC = "thoracic"
    CERVICAL = "cervical"
    WHOLE_SPINE = "whole_spine"  # whole body too
    ABDOMEN = "abdomen"
    PELVIS = "pelvis"
    ELSEWHERE = "elsewhere"  # head, limbs, breast, heart
    UNSTATED = "unstated"  # nothing, or nothing more than "spine"

    @property
    def is_lower_trunk(self) -> bool:
        """Whether the paraspinal muscles between L1 and S1 may be in the image, as far as the headers say."""
        return self not in (BodyRegion.THORACIC, BodyRegion.CERVICAL, BodyRegion.ELSEWHERE)


CODED, CODED_AND_TEXT, SERIES_TEXT, STUDY_TEXT, CONTRADICTED = 0.9, 0.95, 0.7, 0.6, 0.4
"""Confidence in a region by what it rests on; contradicted: code and text, or two words of the text, disagree."""
MIN_TO_EXCLUDE = 0.5
"""Below this confidence a region sets no image aside: technologists leave the last examination's body part standing."""

_CODES = {
    # SNOMED CT and the older SNOMED RT codes of the anatomic regions in DICOM PS3.16, annex L.
    BodyRegion.LUMBAR: "122496007 T-11503 52612000 T-D2300 1217253001 1217256009",
    BodyRegion.THORACIC: "122495006 T-11502",
    BodyRegion.CERVICAL: "122494005 T-11501 1217257000",
    BodyRegion.WHOLE_SPINE: "38266002 T-D0010 110517009 T-11011",
    BodyRegion.ABDOMEN: "818981001 113345001 T-D4000 818982008 R-FAB57 416775004 R-FAB56 416550000 R-FAB55 "
    "10200004 T-62000 64033007 T-71000 15776009 T-65000 82849001 T-D4900",
    BodyRegion.PELVIS: "816092008 12921003 T-D6000 54735007 T-11AD0 64688005 T-11BF0 39723000 T-15680 1217254007 "
    "41216001 T-92000 35039007 T-83000 1231522001",
    BodyRegion.ELSEWHERE: "69536005 T-D1100 12738006 T-A0100 774007 T-D1000 45048000 T-D1600 816094009 51185008 "
    "T-D3000 80891009 T-32000 76752008 T-04000 16982005 T-D2220 72696002 T-D9200 29836001 T-D2500 24136001 T-15710 "
    "85562004 T-D8700 56459004 T-D9700 70258002 T-15750 30021000 T-D9400 68367000 T-D9100 8205005 T-D8600",
}
_REGION_OF_CODE = {code: region for region, codes in _CODES.items() for code in codes.split()}

_PARTS = {
    # The defined terms of BodyPartExamined in the same annex, and what scanners write instead, letters only.
    BodyRegion.LUMBAR: "LSPINE LSSPINE TLSPINE LUMBAR LUMBARSPINE LUMBOSACRAL SPINELUMBAR LWS LWIRBELSAEULE",
    BodyRegion.THORACIC: "TSPINE THSPINE DSPINE BWS",
    BodyRegion.CERVICAL: "CSPINE CTSPINE HWS",
    BodyRegion.WHOLE_SPINE: "WHOLESPINE TOTALSPINE CTLSPINE WHOLEBODY WHOLE",
    BodyRegion.ABDOMEN: "ABDOMEN ABDOMENPELVIS CHESTABDOMEN CHESTABDPELVIS ABD ABDPEL LIVER KIDNEY PANCREAS SPLEEN "
    "GALLBLADDER BILEDUCT ADRENAL STOMACH RETROPERIT",
    BodyRegion.PELVIS: "PELVIS PELVISLOWEXTREMT SSPINE SACRUM COCCYX SIJOINT PROSTATE UTERUS OVARY BLADDER RECTUM",
}
_REGION_OF_PART = {part: region for region, parts in _PARTS.items() for part in parts.split()}

_WORDS: tuple[tuple[BodyRegion, str], ...] = (
    (
        BodyRegion.WHOLE_SPINE,
        r"(?:whole|total|full|entire|gesamte?|complete)[ -]?(?:body|spine|wirbel\w*)|ctl[ -]?spine|neuraxis",
    ),
    (
        BodyRegion.LUMBAR,
        r"lumb\w*|thorac\w*lumb\w*|lombar|lombaire|t?l[ -]?spine|lsp|lws|ls[ -]?spine|l[1-5][ /-]*(?:l[1-5]|s1)|psoas"
        r"|paraspinal",
    ),
    (BodyRegion.CERVICAL, r"c[ -]?spine|csp|cerv(?!ix)\w*|hws"),
    (BodyRegion.THORACIC, r"th?[ -]?spine|tsp|d[ -]?spine|thorac\w*|bws|dorsal spine"),
    (BodyRegion.ABDOMEN, r"abd\w*|liver|hepat\w*|leber|kidney\w*|renal|pancrea\w*|mrcp|adrenal|retroperit\w*"),
    (
        BodyRegion.PELVIS,
        r"pelvi\w*|becken|sacr\w*|coccyx|isg|si[ -]?joints?|prostat\w*|uterus|cervix|rectum|rectal|bladder",
    ),
    (
        BodyRegion.ELSEWHERE,
        r"head|brain|cranial|skull|neck|chest|thorax|heart|cardiac|breast\w*|mamma|shoulder|schulter|elbow|wrist|hand"
        r"|finger|knee|knie|ankle|foot|feet|toe|leg|thigh|calf|upperleg|lowerleg|arm|forearm|upperarm|extremity"
        r"|orbit\w*|pituitary|ear|iac|tmj|jaw|carotid|hips?",
    ),
)
_PATTERNS = tuple((region, re.compile(rf"(?<![a-z0-9])(?:{words})(?![a-z])")) for region, words in _WORDS)
_POSTURE = re.compile(r"(?:head|feet|foot)[ -]?first")
_HELD = {
    # The region that holds both, where a text names two that lie beside or within each other.
    frozenset({BodyRegion.LUMBAR, BodyRegion.THORACIC}): BodyRegion.LUMBAR,
    frozenset({BodyRegion.LUMBAR, BodyRegion.PELVIS}): BodyRegion.LUMBAR,
    frozenset({BodyRegion.CERVICAL, BodyRegion.THORACIC}): BodyRegion.CERVICAL,
    frozenset({BodyRegion.CERVICAL, BodyRegion.THORACIC, BodyRegion.LUMBAR}): BodyRegion.WHOLE_SPINE,
    frozenset({BodyRegion.ABDOMEN, BodyRegion.PELVIS}): BodyRegion.ABDOMEN,
    frozenset({BodyRegion.CERVICAL, BodyRegion.ELSEWHERE}): BodyRegion.CERVICAL,
    frozenset({BodyRegion.THORACIC, BodyRegion.ELSEWHERE}): BodyRegion.THORACIC,
}


@dataclass(frozen=True)
class Region:
    """Body region, what it rests on ("coded", "text", or "override sheet") and the confidence in it, 0 to 1."""

    region: BodyRegion
    evidence: str | None = None
    confidence: float | None = None

    @property
    def is_elsewhere(self) -> bool:
        """Whether the image surely shows a part of the body without the lumbar muscles."""
        return not self.region.is_lower_trunk and (self.confidence or 0.0) >= MIN_TO_EXCLUDE


def region_of(values: Values) -> Region:
    """Tell the body region of an image plane by its header values."""
    coded = _coded(values)
    told, confidence = _told(values)
    if coded is None:
        return Region(BodyRegion.UNSTATED) if told is None else Region(told, "text", confidence)
    if told is None:
        return Region(coded, "coded", CODED)
    return Region(coded, "coded", CODED_AND_TEXT if _agree(coded, told) else CONTRADICTED)


def _coded(values: Values) -> BodyRegion | None:
    part = str(values.get("body_part", ""))
    found = _REGION_OF_PART.get(re.sub(r"[^A-Z]", "", part.upper()))
    if found is None:
        found, _ = _named(part)
    return found or _REGION_OF_CODE.get(str(values.get("anatomic_code", "")))


def _told(values: Values) -> tuple[BodyRegion | None, float]:
    """What series and study text say: the series before the study, a region of the trunk before any other."""
    series = " ".join(str(values.get(name, "")) for name in ("series_description", "protocol", "name"))
    (near, is_plain), (far, _) = _named(series), _named(str(values.get("study_description", "")))
    if near is None or (near is BodyRegion.ELSEWHERE and far is not None and far.is_lower_trunk):
        return far, STUDY_TEXT if near is None else CONTRADICTED
    if not is_plain or (far is not None and near is BodyRegion.ELSEWHERE and not _agree(near, far)):
        return near, CONTRADICTED
    return near, SERIES_TEXT


def _named(text: str) -> tuple[BodyRegion | None, bool]:
    """Return the region a text names and whether it names only this one."""
    plain = _POSTURE.sub(" ", re.sub(r"[_.]+", " ", text.lower()))
    named = [region for region, pattern in _PATTERNS if pattern.search(plain)]
    if len(named) < 2:
        return (named[0] if named else None), True
    if BodyRegion.WHOLE_SPINE in named:
        return BodyRegion.WHOLE_SPINE, True
    held = _HELD.get(frozenset(named))
    return (held, True) if held else (named[0], False)


def _agree(a: BodyRegion, b: BodyRegion) -> bool:
    """Whether two regions may both be true of one image: the same, or both of the lower trunk, or one of the spine."""
    spine = {BodyRegion.WHOLE_SPINE, BodyRegion.LUMBAR, BodyRegion.THORACIC, BodyRegion.CERVICAL}
    return a is b or (a.is_lower_trunk and b.is_lower_trunk) or (BodyRegion.WHOLE_SPINE in (a, b) and {a, b} <= spine)
