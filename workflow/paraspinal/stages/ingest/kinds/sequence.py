"""Which sequence an image is: by the acquisition's numbers first, by text last, unknown rather than guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from paraspinal.core.vocab import DixonPart, Sequence
from paraspinal.stages.ingest.kinds.dixon_words import dixon_part
from paraspinal.stages.ingest.kinds.image_kind import not_anatomy
from paraspinal.stages.ingest.kinds.timing import is_inverted_without_time, sequence_by_numbers
from paraspinal.stages.ingest.reading.record import Values

CODE, TEXT_ONLY = 0.7, 0.5
"""Confidence in a class without numbers, by what it rests on."""
AGREEMENT_GAIN, CONTRADICTION_COST = 0.15, 0.3
"""What a name that agrees adds to the confidence in a class by numbers, and one that contradicts takes away."""

_TEXTS: tuple[tuple[str, Sequence], ...] = (
    (r"stir|tirm", Sequence.STIR),
    (
        r"t1[ -]?(?:w|tse|fse|se|dual|vibe|spc|space|ffe|flair|mprage|fs|spir|spair|vista|cube)?(?![0-9a-z*])"
        r"|t1(?=spir|dual|w)|vibe|lava|e?thrive|(?:t1)?mprage|bravo|f?spgr|flash|fl[23]d|quick ?3d",
        Sequence.T1W,
    ),
    (r"(?:t2[ -]?(?:w[ -]?)?)?flair|dark ?fluid", Sequence.FLAIR),
    (
        r"t2[ -]?(?:w|tse|fse|se|spc|space|spir|spair|haste|dual|fs|vista|cube|blade|frfse)?(?![0-9a-z*])"
        r"|haste|ss[ht]?[ -]?[ft]se|frfse",
        Sequence.T2W,
    ),
    (r"(?:pd|proton)[ -]?(?:w|tse|fse|fs|spair|spir|density)?(?![a-z])", Sequence.PDW),
    (r"t2 ?(?:\*|star)(?!w)|medic|merge|m-?ffe|swi|swan|trufi\w*|fiesta\w*|b-?ffe|ciss|mr ?myelo\w*", Sequence.OTHER),
)
_PATTERNS = tuple((re.compile(rf"(?<![a-z0-9])(?:{words})"), sequence) for words, sequence in _TEXTS)
_T1_FLAIR = re.compile(r"(?<![a-z0-9])t1[ -]?(?:w[ -]?)?(?:tirm[ -]?)?(?:flair|dark ?fluid)")
_STIR = re.compile(r"(?<![a-z0-9])stir")
_FLAVOURS = {
    "T1": Sequence.T1W,
    "T2": Sequence.T2W,
    "PROTON_DENSITY": Sequence.PDW,
    "STIR": Sequence.STIR,
    "FLUID_ATTENUATED": Sequence.FLAIR,
    "T2_STAR": Sequence.OTHER,
}
"""What enhanced files call their contrast, in the image type or in a field of its own."""
_OPTIONS = {"T1FLAIR_GEMS": Sequence.T1W, "T2FLAIR_GEMS": Sequence.FLAIR}
"""Scan options by which GE names its inversion recoveries."""
_FATSUP_TEXT = re.compile(
    r"(?<![a-z])(?:fs|fatsat|fat[ -]?sat\w*|fat[ -]?sup\w*|fat[ -]?null\w*|spir|spair|aspir|chem[ -]?sat|proset|wats"
    r"|water[ -]?exc?\w*)(?![a-z])|(?:t[12]|pd)w?[ -]?(?:spa?ir|fs)(?![a-z])"
)
_NO_FATSUP_TEXT = re.compile(r"(?<![a-z])(?:no|non|without|w/o|nofs)[ -]?(?:fs|fat|spa?ir|supp)|(?<![a-z])nofs")
_SPECTRAL_TEXT = re.compile(r"(?<![a-z])(?:spa?ir|aspir|special)(?![a-z])|t[12]w?[ -]?spa?ir")
_FATSUP_OPTIONS = frozenset({"FS", "FAT_SAT", "FATSAT", "SFS", "SPIR", "SPAIR", "FAT-SAT", "WE", "PROSET", "ASPIR"})


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
    if other := not_anatomy(values):
        return Contrast(Sequence.OTHER, None, False, *other, is_anatomical=False)
    if found := dixon_part(values):
        part, confidence, evidence = found
        return Contrast(Sequence.DIXON, part, False, f"Dixon part by {evidence}", confidence)
    text = _text(values)
    fatsup = _is_fat_suppressed(values, text)
    by_numbers = sequence_by_numbers(values, is_spectral=bool(_SPECTRAL_TEXT.search(text)))
    by_code, by_text = _by_code(values), _by_text(text)
    told = by_code or by_text
    if by_numbers is None:
        if told is None:
            return Contrast(Sequence.UNKNOWN, None, fatsup, "neither numbers nor text tell", 0.0)
        evidence = "coded contrast" if by_code else "text only"
        if is_inverted_without_time(values):
            evidence = f"inversion at an unstated time; {evidence}"
        return Contrast(told, None, fatsup or told is Sequence.STIR, evidence, CODE if by_code else TEXT_ONLY)
    sequence, evidence, confidence = by_numbers
    fatsup = fatsup or sequence is Sequence.STIR
    if told is None:
        return Contrast(sequence, None, fatsup, evidence, confidence)
    source = "code" if by_code else "text"
    if told is sequence or _is_one_thing(sequence, told, text):
        return Contrast(sequence, None, fatsup, f"{evidence}; {source} agrees", round(confidence + AGREEMENT_GAIN, 2))
    confidence = max(TEXT_ONLY, round(confidence - CONTRADICTION_COST, 2))
    return Contrast(sequence, None, fatsup, f"{evidence}; {source} says {told.value}", confidence)


def _is_one_thing(sequence: Sequence, told: Sequence, text: str) -> bool:
    """Whether two classes are two names of one: T1 FLAIR is T1 weighted; TIRM is an inversion at whatever time."""
    if {told, sequence} == {Sequence.T1W, Sequence.FLAIR}:
        return sequence is Sequence.T1W
    is_only_tirm = told is Sequence.STIR and not _STIR.search(text)
    return is_only_tirm and sequence in (Sequence.FLAIR, Sequence.T1W)


def _by_code(values: Values) -> Sequence | None:
    """Classify by coded fields; None when they say nothing or several things."""
    words = {str(values.get("acquisition_contrast", "")).upper(), *values.get("image_type", [])[2:3]}
    named = {_FLAVOURS[word] for word in words if word in _FLAVOURS}
    named |= {_OPTIONS[word] for word in values.get("scan_options", []) if word in _OPTIONS}
    return named.pop() if len(named) == 1 else None


def _by_text(text: str) -> Sequence | None:
    """Classify by text; None when it says nothing or several things."""
    if _T1_FLAIR.search(text):
        return Sequence.T1W
    found = {sequence for pattern, sequence in _PATTERNS if pattern.search(text)}
    for strongest in (Sequence.STIR, Sequence.FLAIR, Sequence.OTHER):
        if strongest in found:
            return strongest
    return found.pop() if len(found) == 1 else None


def _text(values: Values) -> str:
    names = ("series_description", "protocol", "sequence_name", "name")
    return re.sub(r"[\s_]+", " ", " ".join(str(values.get(name, "")) for name in names).lower())


def _is_fat_suppressed(values: Values, text: str) -> bool:
    if set(values.get("scan_options", [])) & _FATSUP_OPTIONS:
        return True
    if str(values.get("fat_suppression", "")).upper() in ("FAT", "FAT_AND_WATER"):
        return True
    if _NO_FATSUP_TEXT.search(text):
        return False
    return bool(_FATSUP_TEXT.search(text)) or bool(_STIR.search(text))
