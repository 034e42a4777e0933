"""What kind of picture an image is, apart from its contrast: anatomy, phase or map, localizer, reformat."""

from __future__ import annotations

import re

from paraspinal.stages.ingest.kinds.dixon_words import is_map, kinds_of, word_set
from paraspinal.stages.ingest.kinds.vendor import vendor_of
from paraspinal.stages.ingest.reading.record import Values

CODED, BY_TEXT = 0.9, 0.7
"""Confidence in what an image is not: by its type or its numbers, by its name."""

_PHASES = word_set("P PHASE PHASE_MAP REAL IMAGINARY R I R_FFE I_FFE R_SE I_SE R_IR I_IR SW_P_FFE") | {"PHASE MAP"}
_MAPS = word_set(
    "ADC EADC FA TRACEW TRACE T1_MAP T2_MAP T1MAP T2MAP PDMAP QMAP STATISTICS GSP MTT TTP RCBF RCBV CBF CBV TMAX "
    "ECHO_MAP SPECTROSCOPY B1_MAP M_B1 QSM SUSCEPTIBILITY STDDEV ERROR_MAP T1RHO"
) | {"T2 MAP", "T1 MAP", "B1 MAP", "VELOCITY MAP"}
_DYNAMICS = word_set(
    "DIFFUSION FMRI PERFUSION PERFUSION_ASL ASL TOF SUBTRACTION SUBTRACT SUB VELOCITY FLOW FLOW_ENCODED TAGGING "
    "TIME_OF_FLIGHT M_PCA"
)
_COMPONENTS = frozenset({"PHASE", "REAL", "IMAGINARY"})
_GE_COMPONENTS = (1, 2, 3)
"""GE's private image type (0043,102F): 0 magnitude, 1 phase, 2 real, 3 imaginary."""

_DIFFUSION_TEXT = re.compile(
    r"(?<![a-z0-9])(?:dwi\w*|dti|adc|eadc|ep2d\w*|epi|tracew|ivim|b ?= ?\d+|b\d{3,4})(?![a-z])"
)
_CALIBRATION_TEXT = re.compile(r"(?<![a-z])(?:(?:asset|arc|sense|coil)[ -]?(?:cal\w*|ref\w*)|calibration)(?![a-z])")
_LOCALIZER_TEXT = re.compile(
    r"(?<![a-z])(?:loc|locs|locali[sz]ers?|localizador|lokali\w*|scout\w*|aa\w*scout|survey|smartsurvey|pilot|planscan"
    r"|plane[ -]?loc\w*|3[ -]?pl(?:ane)?|tri[ -]?plan\w*|haste ?loc)(?![a-z])"
)
_REFORMATS = word_set(
    "MPR REFORMATTED REFORMAT MIP MAX_IP MIN_IP MEAN_IP CURVED_MPR CURVED CSAPARALLEL CSAMANIPULATED RESAMPLED CPR PJN "
    "VOLUME_RENDERING SURFACE_RENDERING MNIP MINIP CSAMPR CSAMPRTHICK CSAMIP CSARESAMPLED MULTIPLANAR"
) | {"CSA MPR", "CSA MPR THICK", "CSA MIP", "CSA RESAMPLED", "PROJECTION IMAGE", "MIN IP", "MAX IP"}
_REFORMAT_STARTS = ("MIP_", "STDDEV_", "MPR_", "MINIP_")
_REFORMAT_TEXT = re.compile(r"(?<![a-z])(?:mpr|mip|minip|reformat\w*|reformation|curved|cpr)(?![a-z])")


def not_anatomy(values: Values) -> tuple[str, float] | None:
    """Say in our words what an image is that shows no plain anatomy, with the confidence in it; None where it does."""
    kinds = kinds_of(values)
    component = str(values.get("component", "")).upper()
    if kinds & _PHASES or component in _COMPONENTS:
        return "image type: a phase, real or imaginary image", CODED
    if values.get("ge_image_type") in _GE_COMPONENTS and vendor_of(values) in ("GE", None):
        return "image type: a phase, real or imaginary image", CODED
    if kinds & _MAPS:
        return "image type: a map", CODED
    if kinds & _DYNAMICS or str(values.get("acquisition_contrast", "")).upper() in _DYNAMICS:
        return "image type: diffusion, flow or a dynamic", CODED
    if "EP" in values.get("scanning_sequence", []) or values.get("b_value") or _is_yes(values, "is_echo_planar"):
        return "echo planar or diffusion", CODED
    if _is_yes(values, "is_phase_contrast") or _is_yes(values, "is_time_of_flight"):
        return "an angiography or flow image", CODED
    if is_map(values):
        return "a map of relaxation, field or water fraction", CODED
    text = _text(values)
    if _DIFFUSION_TEXT.search(text):
        return "text: diffusion or echo planar", BY_TEXT
    if _CALIBRATION_TEXT.search(text):
        return "text: a calibration scan", BY_TEXT
    return None


def is_localizer(values: Values) -> bool:
    """Whether the headers call the image a localizer."""
    return "LOCALIZER" in values.get("image_type", []) or bool(_LOCALIZER_TEXT.search(_text(values)))


def is_reformat(values: Values) -> bool:
    """Whether the image was resampled from another one instead of acquired."""
    words = {str(word) for word in values.get("image_type", [])}
    if words & _REFORMATS or any(word.startswith(_REFORMAT_STARTS) for word in words):
        return True
    if str(values.get("volume_technique", "")).upper() not in ("", "NONE"):
        return True
    # In the name of an original image MPR may be part of MPRAGE; in that of a derived one it is what was done.
    return "DERIVED" in words and bool(_REFORMAT_TEXT.search(_text(values)))


def _text(values: Values) -> str:
    names = (str(values.get(name, "")) for name in ("series_description", "protocol"))
    return " | ".join(re.sub(r"[\s_]+", " ", name.lower()).strip() for name in names)


def _is_yes(values: Values, name: str) -> bool:
    return str(values.get(name, "")).upper() == "YES"
