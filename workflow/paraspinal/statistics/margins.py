"""Equivalence margins: a share of the reference mean, or a number in the unit of the measure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from paraspinal.core.errors import ConfigError


@dataclass(frozen=True)
class Margin:
    """The margin of every measure whose name fits ``pattern`` (``*`` and ``?`` as in file names)."""

    value: float
    is_relative: bool
    pattern: str = "*"

    @classmethod
    def parse(cls, text: str) -> Margin:
        """Read ``5%`` (of the reference mean), ``0.01`` (in the unit of the measure) or ``fat_*=0.01``.

        Raises ConfigError if it is none of these, or not above zero.
        """
        pattern, separator, number = text.rpartition("=")
        try:
            value = float(number.strip().removesuffix("%"))
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > 0.0 and (pattern or not separator)):
            raise ConfigError(f"--margin {text}: not a margin", hint="for example 5%, 0.01, or 'fat_*=0.01'")
        return cls(value, number.strip().endswith("%"), pattern or "*")

    def of(self, reference_mean: float) -> float:
        """Size in the unit of the measure; 0 where it is relative to a mean of zero."""
        return self.value / 100.0 * abs(reference_mean) if self.is_relative else self.value

    def __str__(self) -> str:
        return f"{self.value:g} % of the reference mean" if self.is_relative else f"{self.value:g}"


DEFAULT_MARGIN = Margin(5.0, is_relative=True)
"""The seed paper's margin."""


def margin_for(measure: str, margins: Iterable[Margin]) -> Margin:
    """Find the margin of a measure: the last that fits, else the default."""
    return next((m for m in reversed(list(margins)) if fnmatchcase(measure, m.pattern)), DEFAULT_MARGIN)
