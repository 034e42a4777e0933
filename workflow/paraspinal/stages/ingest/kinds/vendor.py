"""What vendors write, brought into closed words: maker and model.

Header text is free text and may hold a name, so nothing of it is passed on: it is only compared with words we know.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from paraspinal.stages.ingest.reading.record import Values

VENDORS = (
    ("SIEMENS", "Siemens"),
    ("GE MEDICAL", "GE"),
    ("GE HEALTHCARE", "GE"),
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


def vendor_of(values: Values) -> str | None:
    """Name the maker in one of our words; "other" for one we do not know, None when not stated."""
    text = str(values.get("manufacturer", "")).upper()
    if not text:
        return None
    if text in ("GE", "GEMS"):
        return "GE"
    return next((name for words, name in VENDORS if words in text), "other")


def model_of(values: Values, pseudonym: Callable[[str], str]) -> str | None:
    """Name the scanner model if it is a known one; else a keyed pseudonym, still fit for stratification."""
    text = str(values.get("scanner_model", ""))
    if not text:
        return None
    found = MODELS.search(text.replace("_", " "))
    return found.group(1).lower() if found else f"other-{pseudonym(text)}"
