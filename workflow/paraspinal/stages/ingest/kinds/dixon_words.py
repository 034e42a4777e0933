"""Which image of a Dixon set this is, by the words of five makers: image type first, text last.

What they write, as far as public tools and files show it:

- Siemens: image type ...\\DIXON\\WATER | FAT | IN_PHASE | OPP_PHASE | FAT_FRACTION, series names ending in _W, _F, _in,
  _opp, _FF or _FP; one series per part, one file per volume where enhanced.
- GE (IDEAL, LAVA-Flex, FSE-Flex, IDEAL-IQ): series "WATER: ", "FAT: ", "InPhase: ", "OutPhase: ", "FatFrac: ", "R2*: ";
  image type ...\\DIXON\\WATER and so on since about release 15, before it only OTHER.
- Philips (mDIXON, mDIXON Quant): letters W, F, IP, OP, FF, T2_STAR, B0 in the image type of one series; words (WATER,
  OUT_OF_PHASE, ...) in enhanced files since release 12, the letters then in a private item of each frame.
- Canon and Toshiba (WFS, WFOP, Dixon) and United Imaging (wfi, FACT): series names, and words in the image type.

Header text is only compared with words we know; nothing of it is passed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from paraspinal.core.vocab import DixonPart
from paraspinal.stages.ingest.kinds.vendor import vendor_of
from paraspinal.stages.ingest.reading.record import Values


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


IMAGE_TYPE, FILE_NAME, FULL_WORD, SHORT_WORD, BARE_WORD, CONTRADICTED = 0.95, 0.8, 0.8, 0.7, 0.6, 0.6
"""Confidence in a part by what names it; a bare word stands in a text that names no Dixon method."""

_WORDS: dict[DixonPart, frozenset[str]] = {
    DixonPart.WATER: word_set("WATER WATER_IMAGE WATERONLY WATER_ONLY"),
    DixonPart.FAT: word_set("FAT FAT_IMAGE FATONLY FAT_ONLY"),
    DixonPart.IN_PHASE: word_set("IN_PHASE INPHASE IN-PHASE IP IN"),
    DixonPart.OPPOSED_PHASE: word_set(
        "OPP_PHASE OPPPHASE OPPOSED_PHASE OPPOSED OUT_PHASE OUTPHASE OUT_OF_PHASE OUT-PHASE OP OPP OUT"
    ),
    DixonPart.FAT_FRACTION: word_set("FAT_FRACTION FATFRACTION FAT_FRAC FATFRAC FF PDFF FP"),
}
_LETTERS = {"W": DixonPart.WATER, "F": DixonPart.FAT}
"""Philips writes single letters, and only where the image kind stands (third value on)."""

_METHOD_KINDS = frozenset({"DIXON", "WFI", "WFS", "WFOP"})
_METHOD_OPTIONS = frozenset({"IDEAL_GEMS", "FLEX_GEMS", "DIXON", "DIXF", "DIXW"})
"""Scan options of a Dixon acquisition. DIXF and DIXW (Siemens) stand on every image of a set: they name no part."""
_METHOD_TEXT = re.compile(
    r"m?dixon|(?<![a-z])ideal|(?:lava|vibrant|[ft]se)[ -]?flex|(?<![a-z])(?:wfs|wfi|wfop|fatsep|fact|dix)(?![a-z])"
    r"|chemical shift|water.?fat|fat.?water"
)
_FLEX = re.compile(r"(?<![a-z])flex(?![a-z])")

_MAP_KIND = re.compile(
    r"(?:R2|T2) ?[_*]?(?:STAR|\*)|R2(?:_?MAP)?$|WATER_?(?:FRAC|PERC)|GOF$|B0(?!\d)|FIELD ?_?MAP|FIELD$"
)
_MAP_TEXT = re.compile(
    r"(?<![a-z0-9])r2 ?(?:\*|star|s(?![a-z]))|^(?:t2\*|b0|field ?map|phase ?map) ?:"
    r"|(?:t2 ?(?:\*|star)|b0|field|phase) ?map|water[ -]?(?:frac|perc)\w*|goodness"
)
_T2_STAR = re.compile(r"(?<![a-z0-9])t2 ?(?:\*|star)")
"""A map where it stands beside the name of a Dixon method; elsewhere a weighted image."""
_MAP_ENDS = word_set("wf wp t2s r2s t2star r2star r2 t2* r2* b0 gof fieldmap report")

_PREFIX = re.compile(r"^(water|fat|in ?phase|(?:out|opp) ?phase|fat ?frac\w*)(?: w/o [a-z]+)? ?:")
_PREFIXES = {
    "water": DixonPart.WATER,
    "fat": DixonPart.FAT,
    "inphase": DixonPart.IN_PHASE,
    "outphase": DixonPart.OPPOSED_PHASE,
    "oppphase": DixonPart.OPPOSED_PHASE,
}
_BOTH_PHASES = re.compile(
    r"(?<![a-z])(?:in|ip)(?: ?phase)?(?: |/|\+|&|-|and|of)+(?:out|opp(?:osed)?|op|oop)(?![a-z])"
    r"|(?<![a-z])(?:out|opp|op)(?: ?phase)?(?: |/|\+|&|-|and)+(?:in|ip)(?![a-z])"
)
_PHRASES: tuple[tuple[DixonPart, re.Pattern[str]], ...] = (
    (
        DixonPart.FAT_FRACTION,
        re.compile(r"(?<![a-z])(?:(?:pd)?fat ?-?(?:frac(?:tion)?|percent\w*)|pdff)(?![a-z])"),
    ),
    (DixonPart.IN_PHASE, re.compile(r"(?<![a-z])in ?-?phase(?![a-z])")),
    (DixonPart.OPPOSED_PHASE, re.compile(r"(?<![a-z])(?:(?:opp(?:osed)?|out) ?-?(?:of)? ?-?phase|opp)(?![a-z])")),
)
_NEITHER = r"(?! ?-?(?:sat|sup|nul|exc|sel|only ?sat|frac|perc|map|mask|shift|stim))"
_WATER = re.compile(rf"(?<![a-z])(?<!no )(?<!-)water(?: ?only| ?image)?{_NEITHER}(?![a-z])")
_FAT = re.compile(
    rf"(?<![a-z])(?<!no )(?<!non )(?<!non-)(?<!w/o )(?<!without )(?<!minus )fat(?: ?only| ?image)?{_NEITHER}(?![a-z])"
)
_BARE = re.compile(r"(?:^|[ :])(?:water|fat)(?: ?only| ?image)?$|^(?:water|fat)(?: ?only| ?image)? ")
"""Without the name of a method only a word at an end of the text counts."""
_CONTRAST = re.compile(r"(?<![a-z])(?:t1|t2|pd)w?(?![a-z])")
"""Beside these "fat" alone is as likely a slip for fat-saturated."""
_ENDS = {
    "w": DixonPart.WATER, "water": DixonPart.WATER, "f": DixonPart.FAT, "fat": DixonPart.FAT,
    "in": DixonPart.IN_PHASE, "ip": DixonPart.IN_PHASE, "opp": DixonPart.OPPOSED_PHASE,
    "op": DixonPart.OPPOSED_PHASE, "out": DixonPart.OPPOSED_PHASE, "oop": DixonPart.OPPOSED_PHASE,
    "ff": DixonPart.FAT_FRACTION, "fp": DixonPart.FAT_FRACTION, "pdff": DixonPart.FAT_FRACTION,
}  # fmt: skip
_AFTER_THE_PART = word_set("comp sp ad nd norm dis2d dis3d moco fil sum")
"""What scanners append to a series name once the part is named: composed, filtered, corrected."""
_NAME_WORDS = {"water": DixonPart.WATER, "fat": DixonPart.FAT}
"""Words of a file name, wherever they stand in it, that name a part."""
_NO_PART_NAME = word_set("sat saturated sup supp suppressed no non without exc excitation frac fraction")

Found = tuple[DixonPart, float, str]
"""(part, confidence, evidence)"""


def dixon_part(values: Values) -> Found | None:
    """Tell which image of a Dixon set this is, or None."""
    coded = _by_code(values)
    told = _by_text(values) if coded is None or len(coded) == 1 else None
    if coded is None:
        return told
    if len(coded) > 1:
        return None
    (part,) = coded
    if told is not None and told[0] is not part:
        return part, CONTRADICTED, f"image type; {told[2]} says {told[0].value}"
    return part, IMAGE_TYPE, "image type"


def is_dixon_method(values: Values) -> bool:
    """Whether the header names a Dixon method, whichever image of it this is."""
    if _METHOD_KINDS & kinds_of(values) or _METHOD_OPTIONS & set(values.get("scan_options", [])):
        return True
    text = " ".join(_plain(values.get(name)) for name in ("series_description", "protocol", "sequence_name", "name"))
    return bool(_METHOD_TEXT.search(text)) or (vendor_of(values) == "GE" and bool(_FLEX.search(text)))


def is_map(values: Values) -> bool:
    """Whether this is a map of relaxation, field or water fraction, such as come with Dixon sets."""
    if any(_MAP_KIND.match(kind) for kind in kinds_of(values)):
        return True
    texts = [_plain(values.get(name)) for name in ("series_description", "name")]
    if any(_MAP_TEXT.search(text) for text in texts):
        return True
    if not is_dixon_method(values):
        return False
    return any(_last_word(text) in _MAP_ENDS or _T2_STAR.search(text) for text in texts)


def kinds_of(values: Values) -> set[str]:
    """The words of the image type from the third on, those of a classic header inside an enhanced frame too."""
    types = (values.get(name, []) for name in ("image_type", "classic_type"))
    return {str(word) for words in types for word in words[2:]}


def _by_code(values: Values) -> set[DixonPart] | None:
    kinds = kinds_of(values)
    named = {part for part, words in _WORDS.items() if words & kinds}
    if vendor_of(values) == "Philips" or _METHOD_KINDS & kinds:
        named |= {_LETTERS[word] for word in kinds if word in _LETTERS}
    return named or None


def _by_text(values: Values) -> Found | None:
    """Read series name, file name and protocol, in this order; the first that names parts decides, if it is one."""
    name = [word.lower() for word in re.split(r"[^A-Za-z]+", str(values.get("name", "")))]
    if not _NO_PART_NAME & set(name) and (part := _only(_NAME_WORDS[word] for word in name if word in _NAME_WORDS)):
        return part, FILE_NAME, "file name"
    is_method = is_dixon_method(values)
    for source in ("series_description", "name", "protocol"):
        text = _plain(values.get(source))
        if not text:
            continue
        found, confidence = _named(text, is_method, is_method or source == "name")
        if found:
            evidence = "file name" if source == "name" else "series text"
            return (found.pop(), confidence, evidence) if len(found) == 1 else None
    return None


def _named(text: str, is_method: bool, may_be_short: bool) -> tuple[set[DixonPart], float]:
    """Return the parts a text names, and how surely."""
    if prefix := _PREFIX.match(text):
        return {_PREFIXES.get(prefix[1].replace(" ", ""), DixonPart.FAT_FRACTION)}, FULL_WORD
    if _BOTH_PHASES.search(text):
        return {DixonPart.IN_PHASE, DixonPart.OPPOSED_PHASE}, FULL_WORD
    if found := {part for part, pattern in _PHRASES if pattern.search(text)}:
        return found, FULL_WORD
    whole = {part for part, word in ((DixonPart.WATER, _WATER), (DixonPart.FAT, _FAT)) if word.search(text)}
    if len(whole) < 2 and may_be_short and (part := _ENDS.get(_last_word(text))):
        return {part}, FULL_WORD if _last_word(text) in _NAME_WORDS else SHORT_WORD
    if not is_method and not _BARE.search(text):
        return set(), 0.0
    if not is_method and _CONTRAST.search(text):
        whole.discard(DixonPart.FAT)
    return whole, FULL_WORD if is_method else BARE_WORD


def _plain(text: object) -> str:
    """Lower case, one space between words; underscores and dots count as spaces."""
    return re.sub(r"[\s_.]+", " ", str(text or "").lower()).strip()


def _last_word(text: str) -> str:
    """The last word that is not a number or what scanners append."""
    words = [word for word in re.split(r"[ \-:]+", text) if word]
    while words and (words[-1].isdigit() or words[-1] in _AFTER_THE_PART):
        words.pop()
    return words[-1] if len(words) > 1 else ""


def _only(parts: Iterable[DixonPart]) -> DixonPart | None:
    distinct = set(parts)
    return distinct.pop() if len(distinct) == 1 else None
