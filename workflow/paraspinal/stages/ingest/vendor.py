"""What vendors write, brought into closed words: maker, model, Dixon part.

Header text is free text and may hold a name, so nothing of it is passed on: it is only compared with words we know.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from paraspinal.core.vocab import DixonPart
from paraspinal.stages.ingest.record import Values

VENDORS = (
    ("SIEMENS", "Siemens"),
    ("GE ", "GE"),
    ("GENERAL ELECTRIC", "GE"),
    ("PHILIPS", "Philips"),
    ("TOSHIBA", "Canon"),
    ("CANON", "Canon"),
    ("UIH", "United Imaging"),
    ("UNITED IMAGING", "United Imaging"),
    ("HITACHI", "Hitachi"),
    ("FUJIFILM", "Hitachi"),
    ("BRUKER", "Bruker"),
    ("ESAOTE", "Esaote"),
    ("PARAMED", "Paramed"),
)
MODELS = re.compile(
    r"(?i)\b(prisma(?:_?fit)?|skyra|vida|lumina|sola|altea|free\.?(?:max|star)|cima\.?x|verio|trio(?:tim)?|aera|"
    r"avanto(?:_?fit)?|espree|essenza|symphony(?:tim)?|sonata|allegra|biograph_?mmr|terra|magnetom|"
    r"amira|sempra|spectra|harmony|concerto|"
    r"ingenia(?: (?:ambition|elition)(?: ?x| ?s)?)?|achieva(?: dstream)?|intera|elition|ambition|multiva|"
    r"prodiva|panorama|gyroscan|"
    r"signa(?: (?:hdxt?|excite|architect|artist|premier|pioneer|voyager|explorer|creator|hero|victor|pet/mr))?|"
    r"discovery mr ?\d{3}w?|optima mr ?\d{3}w?|brivo|vantage(?: (?:titan|galan|orian|elan|fortian))?|titan|galan|orian|"
    r"excelart|"
    r"umr ?\d{3}|omega|jupiter|echelon(?: (?:oval|smart|synergy))?|oasis|airis|aperto)\b"
)

_WORDS: dict[DixonPart, frozenset[str]] = {
    DixonPart.WATER: frozenset({"WATER", "WATER_IMAGE", "WATERONLY"}),
    DixonPart.FAT: frozenset({"FAT", "FAT_IMAGE", "FATONLY"}),
    DixonPart.IN_PHASE: frozenset({"IN_PHASE", "INPHASE", "IN-PHASE", "IP", "IN"}),
    DixonPart.OPPOSED_PHASE: frozenset(
        {
            "OPP_PHASE",
            "OPPPHASE",
            "OPPOSED_PHASE",
            "OUT_PHASE",
            "OUTPHASE",
            "OUT_OF_PHASE",
            "OUT-PHASE",
            "OP",
            "OPP",
            "OUT",
        }
    ),
    DixonPart.FAT_FRACTION: frozenset({"FAT_FRACTION", "FATFRACTION", "FAT_FRAC", "FATFRAC", "FF", "PDFF", "FP"}),
}
_LETTERS = {"W": DixonPart.WATER, "F": DixonPart.FAT}
"""Philips writes single letters, and only where the image kind stands (third value on)."""

_DIXON_TEXT = re.compile(
    r"(?i)m?dixon|ideal|iq\b|lava[ -]?flex|\bflex\b|\bwfs\b|\bwfi\b|vibe.*dix|q-?dixon|fact\b|chemical shift|water.?fat"
)
_FULL_WORD: tuple[tuple[re.Pattern[str], DixonPart], ...] = (
    (
        re.compile(r"(?i)(?:^|[^a-z])(?:pd)?fat[ _-]?frac(?:tion)?(?![a-z])|(?:^|[^a-z])pdff(?![a-z])"),
        DixonPart.FAT_FRACTION,
    ),
    (re.compile(r"(?i)(?:^|[^a-z])in[ _-]?phase(?![a-z])"), DixonPart.IN_PHASE),
    (re.compile(r"(?i)(?:^|[^a-z])(?:opp(?:osed)?|out)[ _-]?(?:of)?[ _-]?phase(?![a-z])"), DixonPart.OPPOSED_PHASE),
    (re.compile(r"(?i)^water ?:|[_\-\s:]water(?:[_\-\s]?only)?$|^water[_\-\s]|^water$"), DixonPart.WATER),
    (re.compile(r"(?i)^fat ?:|[_\-\s:]fat(?:[_\-\s]?only)?$|^fat[_\-\s](?!sat|sup)|^fat$"), DixonPart.FAT),
)
_NAME_WORDS = {"water": DixonPart.WATER, "fat": DixonPart.FAT}
"""Words of a file name, wherever they stand in it, that name a part."""
_SHORT_END: tuple[tuple[re.Pattern[str], DixonPart], ...] = (
    (re.compile(r"(?i)[_\-\s](?:w|water)$"), DixonPart.WATER),
    (re.compile(r"(?i)[_\-\s](?:f|fat)$"), DixonPart.FAT),
    (re.compile(r"(?i)[_\-\s](?:in|ip)$"), DixonPart.IN_PHASE),
    (re.compile(r"(?i)[_\-\s](?:opp|out|op)$"), DixonPart.OPPOSED_PHASE),
    (re.compile(r"(?i)[_\-\s](?:ff|fp)$"), DixonPart.FAT_FRACTION),
)


def vendor_of(values: Values) -> str | None:
    """Name the maker in one of our words; "other" for one we do not know, None when not stated."""
    text = str(values.get("manufacturer", "")).upper()
    if not text:
        return None
    return next((name for start, name in VENDORS if text.startswith(start.strip()) or start in text), "other")


def model_of(values: Values, pseudonym: Callable[[str], str]) -> str | None:
    """Name the scanner model if it is a known one; else a keyed pseudonym, still fit for stratification."""
    text = str(values.get("scanner_model", ""))
    if not text:
        return None
    found = MODELS.search(text.replace("_", " "))
    return found.group(1).lower() if found else f"other-{pseudonym(text)}"


def dixon_part(values: Values) -> tuple[DixonPart, float, str] | None:
    """Tell which image of a Dixon set this is: (part, confidence, evidence), or None."""
    kinds = [str(word) for word in values.get("image_type", [])][2:]
    is_philips = vendor_of(values) == "Philips"
    named = {part for part, words in _WORDS.items() if words & set(kinds)}
    if is_philips or "DIXON" in kinds or "WFI" in kinds:
        named |= {_LETTERS[word] for word in kinds if word in _LETTERS}
    if len(named) == 1:
        return named.pop(), 0.95, "image type"
    if named:
        return None
    words = [word.lower() for word in re.split(r"[^A-Za-z]+", str(values.get("name", "")))]
    if len(parts := {_NAME_WORDS[word] for word in words if word in _NAME_WORDS}) == 1 and "sat" not in words:
        return parts.pop(), 0.8, "file name"
    for source in ("series_description", "name", "protocol"):
        text = str(values.get(source, "")).strip()
        for pattern, part in _FULL_WORD:
            if pattern.search(text):
                return part, 0.8, "series text"
        if _DIXON_TEXT.search(text) or source == "name":
            for pattern, part in _SHORT_END:
                if pattern.search(text):
                    return part, 0.7, "series text"
    return None
