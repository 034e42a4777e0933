"""Which sequence an image is: by the acquisition's numbers first, by text last, unknown rather than guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from paraspinal.core.vocab import DixonPart, Sequence
from paraspinal.stages.ingest.record import Values
from paraspinal.stages.ingest.vendor import dixon_part

LONG_TR_MS = 1500.0
"""A spin echo repeated more slowly than this has lost its T1 contrast."""
SHORT_TR_MS = 1200.0
"""A spin echo repeated faster than this is T1 weighted if its echo is short."""
SHORT_TE_MS = 40.0
"""Spin echoes earlier than this carry no T2 contrast."""
LONG_TE_MS = 60.0
"""Spin echoes later than this are T2 weighted; between the two limits the contrast is mixed."""
STIR_TI_MS = (80.0, 300.0)
"""Fat crosses zero at 130 to 230 ms between 1 and 3 T."""
T1_TI_MS = (350.0, 1300.0)
"""Inversion times that enhance T1 contrast (T1 FLAIR, MPRAGE)."""
FLAIR_TI_MS = 1400.0
"""Inversion times from here on null free water."""
SPOILED_TR_MS = 50.0
"""Spoiled gradient echoes faster than this at usual flip angles are T1 weighted."""
LOW_FLIP_DEG = 5.0
"""Below this flip angle a fast gradient echo is proton density weighted."""
T2STAR_TE_MS = 12.0
"""Gradient echoes later than this show T2*, which is none of our classes."""

NUMBERS_ONLY, NUMBERS_AND_TEXT, CONTRADICTED, TEXT_ONLY = 0.8, 0.95, 0.5, 0.5
"""Trust in a class by what it rests on."""

_NOT_ANATOMY = frozenset(
    {
        "P",
        "PHASE",
        "PHASE MAP",
        "PHASE_MAP",
        "REAL",
        "IMAGINARY",
        "R",
        "I",
        "ADC",
        "DIFFUSION",
        "FMRI",
        "PERFUSION",
        "TRACEW",
    }
    | {
        "TRACE",
        "FA",
        "EADC",
        "T2 MAP",
        "T1 MAP",
        "T2_MAP",
        "T1_MAP",
        "T2_STAR_MAP",
        "T2_STAR",
        "R2_STAR",
        "R2STAR",
        "T2STAR",
    }
    | {
        "TOF",
        "SUBTRACTION",
        "VELOCITY",
        "FLOW",
        "B0",
        "FIELD_MAP",
        "B1_MAP",
        "STATISTICS",
        "GSP",
        "MTT",
        "TTP",
        "RCBF",
        "RCBV",
    }
    | {"ECHO_MAP", "SPECTROSCOPY", "CBF"}
)
_TEXTS: tuple[tuple[str, Sequence], ...] = (
    (r"(?<![a-z0-9])(?:stir|tirm)(?![a-z])", Sequence.STIR),
    (
        r"(?<![a-z0-9])t1[ _-]?(?:w|tse|fse|se|dual|vibe|spc|space|ffe|flair|mprage)?(?![0-9a-z*])|t1(?=spir|dual|w)",
        Sequence.T1W,
    ),
    (r"(?<![a-z0-9])(?:t2[ _-]?)?flair(?![a-z])", Sequence.FLAIR),
    (r"(?<![a-z0-9])t2[ _-]?(?:w|tse|fse|se|spc|space|spir|spair|haste|dual)?(?![0-9a-z*])", Sequence.T2W),
    (r"(?<![a-z0-9])(?:pd|pdw|proton)(?![a-z])", Sequence.PDW),
)
_FLAVOURS = {"T1": Sequence.T1W, "T2": Sequence.T2W, "PROTON_DENSITY": Sequence.PDW, "STIR": Sequence.STIR}
"""What enhanced files call their contrast, in the image type or in a field of its own."""
_FATSUP_TEXT = re.compile(
    r"(?i)(?<![a-z])(?:fs|fatsat|fat[ _-]?sat|fat[ _-]?sup\w*|spir|spair|chem[ _-]?sat)(?![a-z])|t[12]w?[_ -]?spa?ir"
)
_NO_FATSUP_TEXT = re.compile(r"(?i)(?:no|non|without|w/o)[ _-]?(?:fs|fat)")
_FATSUP_OPTIONS = frozenset({"FS", "FAT_SAT", "FATSAT", "SFS", "SPIR", "SPAIR", "FAT-SAT"})
_LOCALIZER_TEXT = re.compile(
    r"(?i)(?<![a-z])(?:loc|locali[sz]er|localizador|scout|survey|pilot|plane[ _-]?loc\w*|3[ _-]?pl(?:ane)?"
    r"|haste_?loc|aahscout)(?![a-z])"
)
_REFORMAT = frozenset(
    {
        "MPR",
        "CSA MPR",
        "REFORMATTED",
        "REFORMAT",
        "PROJECTION IMAGE",
        "MIP",
        "MAX_IP",
        "MIN_IP",
        "MEAN_IP",
        "CURVED_MPR",
    }
    | {"CURVED", "CSAPARALLEL", "RESAMPLED", "VOLUME_RENDERING", "SURFACE_RENDERING"}
)


@dataclass(frozen=True)
class Contrast:
    """Sequence class with what it rests on; ``evidence`` is in our words and holds no header text."""

    sequence: Sequence
    part: DixonPart | None
    is_fat_suppressed: bool
    evidence: str
    confidence: float
    is_anatomical: bool = True


def contrast_of(values: Values) -> Contrast:
    """Classify an image plane by its header values."""
    kinds = {str(word) for word in values.get("image_type", [])[2:]}
    fatsup = _is_fat_suppressed(values)
    if kinds & _NOT_ANATOMY or values.get("ge_image_type") in (1, 2, 3):
        return Contrast(Sequence.OTHER, None, False, "image type: a map, phase or dynamic", 0.9, is_anatomical=False)
    if "EP" in values.get("scanning_sequence", []) or values.get("b_value"):
        return Contrast(Sequence.OTHER, None, False, "echo planar or diffusion", 0.9, is_anatomical=False)
    if found := dixon_part(values):
        part, confidence, evidence = found
        return Contrast(Sequence.DIXON, part, False, f"Dixon part by {evidence}", confidence)
    by_numbers = _by_numbers(values)
    by_text = _by_text(values)
    if by_numbers is None:
        if by_text is None:
            return Contrast(Sequence.UNKNOWN, None, fatsup, "neither numbers nor text tell", 0.0)
        return Contrast(by_text, None, fatsup or by_text is Sequence.STIR, "text only", TEXT_ONLY)
    sequence, evidence = by_numbers
    fatsup = fatsup or sequence is Sequence.STIR
    if by_text is None:
        return Contrast(sequence, None, fatsup, evidence, NUMBERS_ONLY)
    if by_text is sequence or {by_text, sequence} == {Sequence.T1W, Sequence.FLAIR}:
        return Contrast(sequence, None, fatsup, f"{evidence}; text agrees", NUMBERS_AND_TEXT)
    return Contrast(sequence, None, fatsup, f"{evidence}; text says {by_text.value}", CONTRADICTED)


def _by_numbers(values: Values) -> tuple[Sequence, str] | None:
    """Classify by timing; None when it is not stated or lies between classes."""
    kinds = set(values.get("scanning_sequence", []))
    pulse = str(values.get("echo_pulse_sequence", "")).upper()
    tr, te, ti = (values.get(name) for name in ("tr_ms", "te_ms", "ti_ms"))
    if tr is None or te is None or te <= 0 or tr <= 0:
        return None
    is_gradient = "GR" in kinds or pulse in ("GRADIENT", "BOTH")
    is_spin = ("SE" in kinds or pulse == "SPIN") and not is_gradient
    is_inverted = "IR" in kinds or str(values.get("is_inversion", "")).upper() == "YES" or (ti or 0) > 0
    timing = f"TR {tr:.0f} TE {te:.1f} ms"
    if is_inverted and ti and not is_gradient:
        if STIR_TI_MS[0] <= ti <= STIR_TI_MS[1]:
            return Sequence.STIR, f"inversion at {ti:.0f} ms, {timing}"
        if ti >= FLAIR_TI_MS and te >= LONG_TE_MS:
            return Sequence.FLAIR, f"inversion at {ti:.0f} ms, {timing}"
        if T1_TI_MS[0] <= ti <= T1_TI_MS[1] and te <= SHORT_TE_MS:
            return Sequence.T1W, f"T1 inversion at {ti:.0f} ms, {timing}"
        return None
    if is_gradient:
        return _gradient(values, tr, te, ti, timing)
    if is_spin or not (kinds - {"IR", "RM"} or pulse):
        if te >= LONG_TE_MS and tr >= LONG_TR_MS:
            return Sequence.T2W, f"spin echo, {timing}"
        if te <= SHORT_TE_MS and tr <= SHORT_TR_MS and is_spin:
            return Sequence.T1W, f"spin echo, {timing}"
        if te <= SHORT_TE_MS and tr >= LONG_TR_MS and is_spin:
            return Sequence.PDW, f"spin echo, {timing}"
    return None


def _gradient(values: Values, tr: float, te: float, ti: float | None, timing: str) -> tuple[Sequence, str] | None:
    variant = set(values.get("sequence_variant", []))
    is_spoiled = "SP" in variant or str(values.get("spoiling", "")).upper() in ("RF", "RF_AND_GRADIENT")
    flip = values.get("flip_deg")
    if ti and T1_TI_MS[0] <= ti <= T1_TI_MS[1] and te < T2STAR_TE_MS:
        return Sequence.T1W, f"T1 inversion at {ti:.0f} ms, gradient echo, {timing}"
    if te >= T2STAR_TE_MS:
        return Sequence.OTHER, f"T2* gradient echo, {timing}"
    if is_spoiled and flip is not None:
        if (tr <= SPOILED_TR_MS and flip >= LOW_FLIP_DEG) or (tr > SPOILED_TR_MS and flip >= 50.0):
            return Sequence.T1W, f"spoiled gradient echo, {timing}, flip {flip:.0f}"
        if flip < LOW_FLIP_DEG:
            return Sequence.PDW, f"gradient echo at low flip angle, {timing}, flip {flip:.0f}"
    if is_spoiled and flip is None and tr <= SPOILED_TR_MS:
        return Sequence.T1W, f"spoiled gradient echo, {timing}"
    if "SS" in variant and not is_spoiled and tr <= SPOILED_TR_MS and abs(te - tr / 2) < 0.2 * tr:
        return Sequence.OTHER, f"balanced gradient echo, {timing}"
    return None


def _text(values: Values) -> str:
    names = ("series_description", "protocol", "sequence_name", "name")
    return " ".join(str(values.get(name, "")) for name in names).lower()


def _by_text(values: Values) -> Sequence | None:
    """Classify by text; None when it says nothing or several things."""
    named = {str(values.get("acquisition_contrast", "")).upper(), *values.get("image_type", [])[2:3]}
    if flavour := named & set(_FLAVOURS):
        return _FLAVOURS[flavour.pop()] if len(flavour) == 1 else None
    text = _text(values)
    if re.search(_TEXTS[0][0], text):
        return Sequence.STIR
    if re.search(r"(?<![a-z0-9])t1[ _-]?(?:w[ _-]?)?flair", text):
        return Sequence.T1W
    found = {sequence for pattern, sequence in _TEXTS if re.search(pattern, text)}
    if Sequence.FLAIR in found:
        return Sequence.FLAIR
    return found.pop() if len(found) == 1 else None


def _is_fat_suppressed(values: Values) -> bool:
    if set(values.get("scan_options", [])) & _FATSUP_OPTIONS:
        return True
    if str(values.get("fat_suppression", "")).upper() in ("FAT", "FAT_AND_WATER"):
        return True
    text = _text(values)
    if _NO_FATSUP_TEXT.search(text):
        return False
    return bool(_FATSUP_TEXT.search(text)) or bool(re.search(_TEXTS[0][0], text))


def is_localizer(values: Values) -> bool:
    """Whether the headers call the image a localizer."""
    texts = " ".join(str(values.get(name, "")) for name in ("series_description", "protocol"))
    return "LOCALIZER" in values.get("image_type", []) or bool(_LOCALIZER_TEXT.search(texts.replace("_", " ")))


def is_reformat(values: Values) -> bool:
    """Whether the image was resampled from another one instead of acquired."""
    return bool(_REFORMAT & set(values.get("image_type", [])))
