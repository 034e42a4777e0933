"""Numbers as people write them in tables: decimal commas, thousands, percent signs, words for missing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from paraspinal.core.errors import InputError

_WORDS = ("", "na", "n/a", "n.a.", "nan", "null", "none", "nil", "missing", "-", "--", "–", ".", "..", "?")
_SPREADSHEET = ("#n/a", "#na", "#null!", "#div/0!", "#value!", "#ref!", "#num!", "#name?")
MISSING = frozenset((*_WORDS, *_SPREADSHEET))
"""Cells that say that there is no value, in lower case."""

_PLAIN = re.compile(r"[+-]?(\d+|\d*[.]\d+|\d+[.])(e[+-]?\d+)?")
_SEPARATED = re.compile(r"[+-]?(?P<whole>\d*)(?P<mark>[.,])(?P<rest>\d+)(e[+-]?\d+)?")
_GROUPED = {
    ".": re.compile(r"[+-]?\d{1,3}(,\d{3})+([.]\d*)?"),
    ",": re.compile(r"[+-]?\d{1,3}([. ']\d{3})+(,\d*)?"),
}
_GROUPS = {".": ",", ",": ". '"}


@dataclass(frozen=True)
class Numbers:
    """Numbers of one column, (n,), NaN where missing.

    ``n_unreadable`` cells held something that is no number; ``is_percent``: every number bears a percent sign.
    """

    values: NDArray[np.float64]
    n_unreadable: int
    is_percent: bool

    @property
    def is_numeric(self) -> bool:
        """Whether the column holds numbers, or nothing: neither words alone, nor more words than numbers."""
        return int(np.isfinite(self.values).sum()) >= self.n_unreadable


def find_decimal(cells: Iterable[str]) -> str:
    """Tell the decimal mark of a table, ``.`` or ``,``, by numbers that can be read in one way only.

    A table without any comma has points. Raises InputError where both marks are proven, or only ``1,234`` is there,
    which may be a thousand or a little more than one.
    """
    proven: set[str] = set()
    is_doubtful = False
    for cell in cells:
        text = _bare(cell)
        if text.count(",") and text.count(".") and (_GROUPED["."].fullmatch(text) or _GROUPED[","].fullmatch(text)):
            proven.add(max(".,", key=text.rfind))
            continue
        found = _SEPARATED.fullmatch(text)
        if not found:
            continue
        if len(found["rest"]) == 3 and 1 <= len(found["whole"]) <= 3 and not found["whole"].startswith("0"):
            is_doubtful |= found["mark"] == ","
        else:
            proven.add(found["mark"])
    if len(proven) == 2 or (is_doubtful and not proven):
        what = "both decimal points and decimal commas" if proven else "commas that may be decimals or thousands"
        raise InputError(f"the table has {what}", hint="say which with --decimal . or --decimal ,")
    return proven.pop() if proven else "."


def read_numbers(cells: Iterable[str], decimal: str) -> Numbers:
    """Read the cells of a column; what is neither a number nor missing counts as unreadable."""
    values: list[float] = []
    n_unreadable = n_percent = 0
    for cell in cells:
        text = _bare(cell)
        if text in MISSING:
            values.append(math.nan)
            continue
        if _GROUPED[decimal].fullmatch(text):
            text = text.translate(str.maketrans("", "", _GROUPS[decimal]))
        if decimal == ",":
            text = text.replace(".", "?").replace(",", ".")
        number = float(text) if _PLAIN.fullmatch(text) else math.nan
        values.append(number if math.isfinite(number) else math.nan)
        n_unreadable += not math.isfinite(number)
        n_percent += cell.rstrip().endswith("%")
    found = np.array(values, dtype=np.float64)
    return Numbers(found, n_unreadable, is_percent=0 < n_percent == int(np.isfinite(found).sum()))


def _bare(cell: str) -> str:
    text = cell.strip().lower().replace("\N{MINUS SIGN}", "-").replace("\N{NO-BREAK SPACE}", " ")
    return text.removesuffix("%").rstrip() if text != "%" else text
