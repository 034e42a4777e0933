"""Sequence classes from the numbers of the acquisition: repetition, echo and inversion time, flip angle, field.

Also in- and opposed-phase pairs: fat and water spins meet again once in every turn of their frequency difference.
"""

from __future__ import annotations

from paraspinal.core.vocab import DixonPart, Sequence
from paraspinal.stages.ingest.reading.record import Values

LONG_TR_MS = 1500.0
"""A spin echo repeated more slowly than this has lost its T1 contrast."""
SHORT_TR_MS = 1200.0
"""A spin echo repeated faster than this is T1 weighted if its echo is short."""
SHORT_TE_MS = 40.0
"""Spin echoes earlier than this carry no T2 contrast."""
LONG_TE_MS = 60.0
"""Spin echoes later than this are T2 weighted; between the two limits the contrast is mixed."""
VERY_LONG_TE_MS, MIDDLE_TR_MS = 80.0, 800.0
"""Echoes this late show T2 even at repetitions that would show T1: single-shot and 3-D trains with restored signal."""
STIR_TI_MS = (80.0, 300.0)
"""Fat crosses zero at 130 to 230 ms between 1 and 3 T, below 110 ms at low field."""
T1_TI_MS = (350.0, 1300.0)
"""Inversion times that enhance T1 contrast (T1 FLAIR, MPRAGE)."""
FLAIR_TI_MS = 1400.0
"""Inversion times from here on null free water."""
SPOILED_TR_MS = 50.0
"""Spoiled gradient echoes faster than this at usual flip angles are T1 weighted."""
LOW_FLIP_DEG, HIGH_FLIP_DEG = 5.0, 50.0
"""Below the one a fast gradient echo is proton density weighted; from the other on a slow one is T1 weighted."""
BALANCED_FLIP_DEG = 20.0
"""Balanced gradient echoes flip more than this; spoiled ones as fast flip less."""
T2STAR_TE_MS = 12.0
"""Gradient echoes later than this show T2*, which is none of our classes."""

NUMBERS, ASSUMED_NUMBERS = 0.8, 0.6
"""Confidence in a class by numbers; the lower where one of them (inversion, spoiling) is inferred, not stated."""

FAT_CYCLES_PER_MS_AND_T = 3.4e-6 * 42.577e3
"""Turns of fat against water spins: 3.4 ppm of 42.577 MHz/T; one turn takes 4.6 ms at 1.5 T, 2.3 ms at 3 T."""
PHASE_TOLERANCE = 0.15
"""An echo is in phase within this share of a turn of a whole number of turns, opposed within it of a half."""

Found = tuple[Sequence, str, float]
"""(class, evidence, confidence)"""


def sequence_by_numbers(values: Values, is_spectral: bool = False) -> Found | None:
    """Classify by timing; None when it is not stated or lies between classes.

    ``is_spectral`` says that the names speak of a spectral inversion of fat (SPAIR), whose delay some scanners write
    as inversion time.
    """
    tr, te, ti = (values.get(name) for name in ("tr_ms", "te_ms", "ti_ms"))
    if tr is None or te is None or te <= 0 or tr <= 0:
        return None
    kinds = set(values.get("scanning_sequence", []))
    pulse = str(values.get("echo_pulse_sequence", "")).upper()
    is_gradient = "GR" in kinds or pulse in ("GRADIENT", "BOTH")
    is_spin = ("SE" in kinds or pulse == "SPIN") and not is_gradient
    is_stated = _states_inversion(values)
    if not is_stated and is_spectral:
        ti = None
    timing = f"TR {tr:.0f} TE {te:.1f} ms"
    if is_gradient:
        return _gradient(values, tr, te, ti, timing)
    if ti is not None and ti > 0:
        return _inverted(te, ti, timing, NUMBERS if is_stated or not kinds else ASSUMED_NUMBERS)
    if is_stated:
        return None
    if is_spin or not (kinds - {"RM"} or pulse):
        return _spin(tr, te, is_spin, timing)
    return None


def is_inverted_without_time(values: Values) -> bool:
    """Whether the header states an inversion pulse but not its time."""
    return _states_inversion(values) and not (values.get("ti_ms") or 0) > 0


def _states_inversion(values: Values) -> bool:
    return "IR" in values.get("scanning_sequence", []) or str(values.get("is_inversion", "")).upper() == "YES"


def _inverted(te: float, ti: float, timing: str, confidence: float) -> Found | None:
    if STIR_TI_MS[0] <= ti <= STIR_TI_MS[1]:
        return Sequence.STIR, f"inversion at {ti:.0f} ms, {timing}", confidence
    if ti >= FLAIR_TI_MS and te >= LONG_TE_MS:
        return Sequence.FLAIR, f"inversion at {ti:.0f} ms, {timing}", confidence
    if T1_TI_MS[0] <= ti <= T1_TI_MS[1] and te <= SHORT_TE_MS:
        return Sequence.T1W, f"T1 inversion at {ti:.0f} ms, {timing}", confidence
    return None


def _spin(tr: float, te: float, is_stated: bool, timing: str) -> Found | None:
    evidence = f"spin echo, {timing}"
    if te >= LONG_TE_MS and tr >= LONG_TR_MS:
        return Sequence.T2W, evidence, NUMBERS
    if not is_stated:
        return None
    if te >= VERY_LONG_TE_MS and tr >= MIDDLE_TR_MS:
        return Sequence.T2W, evidence, NUMBERS
    if te <= SHORT_TE_MS and tr <= SHORT_TR_MS:
        return Sequence.T1W, evidence, NUMBERS
    if te <= SHORT_TE_MS and tr >= LONG_TR_MS:
        return Sequence.PDW, evidence, NUMBERS
    return None


def _gradient(values: Values, tr: float, te: float, ti: float | None, timing: str) -> Found | None:
    variant = set(values.get("sequence_variant", []))
    spoiling = str(values.get("spoiling", "")).upper()
    is_spoiled = "SP" in variant or spoiling in ("RF", "RF_AND_GRADIENT")
    is_balanced = not is_spoiled and abs(te - tr / 2) < 0.2 * tr and tr <= SPOILED_TR_MS
    flip = values.get("flip_deg")
    if ti and T1_TI_MS[0] <= ti <= T1_TI_MS[1] and te < T2STAR_TE_MS:
        return Sequence.T1W, f"T1 inversion at {ti:.0f} ms, gradient echo, {timing}", NUMBERS
    if te >= T2STAR_TE_MS:
        return Sequence.OTHER, f"T2* gradient echo, {timing}", NUMBERS
    if flip is None:
        if is_spoiled and tr <= SPOILED_TR_MS:
            return Sequence.T1W, f"spoiled gradient echo, {timing}", ASSUMED_NUMBERS
        return None
    if is_balanced and flip >= BALANCED_FLIP_DEG:
        evidence = f"balanced gradient echo, {timing}, flip {flip:.0f}"
        return (Sequence.OTHER, evidence, NUMBERS) if "SS" in variant else None
    kind, confidence = ("spoiled ", NUMBERS) if is_spoiled else ("", ASSUMED_NUMBERS)
    if flip < LOW_FLIP_DEG and is_spoiled:
        return Sequence.PDW, f"gradient echo at low flip angle, {timing}, flip {flip:.0f}", NUMBERS
    if (tr <= SPOILED_TR_MS and flip >= LOW_FLIP_DEG) or (tr > SPOILED_TR_MS and flip >= HIGH_FLIP_DEG and is_spoiled):
        return Sequence.T1W, f"{kind}gradient echo, {timing}, flip {flip:.0f}", confidence
    return None


def phase_by_echo(te_ms: float, field_t: float) -> DixonPart | None:
    """Tell whether fat and water are in or opposed phase at an echo time; None in between."""
    turns = te_ms * field_t * FAT_CYCLES_PER_MS_AND_T
    if turns < 0.5 - PHASE_TOLERANCE:
        return None
    part = turns % 1.0
    if min(part, 1.0 - part) <= PHASE_TOLERANCE:
        return DixonPart.IN_PHASE
    return DixonPart.OPPOSED_PHASE if abs(part - 0.5) <= PHASE_TOLERANCE else None
