"""Equivalence margins: a share of the reference mean, or a number in the unit of the measure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from paraspinal.core.errors import ConfigError
from paraspinal.core.settings import AgreementSettings


@dataclass(frozen=True)
class Margin:
    """The margin of every measure whose name fits ``pattern`` (``*`` and ``?`` as in file names)."""

    value: float
    is_relative: bool
    pattern: str = "*"

    @classmethod
    def parse(cls, text: str, named: Mapping[str, Margin]) -> Margin:
        """Read ``5%`` (of the reference mean), ``0.01`` (in the unit of the measure), or one of ``named``.

        Any of these may stand behind a pattern: ``fat_*=0.01``. Raises ConfigError if it is none, or not above zero.
        """
        pattern, separator, number = text.rpartition("=")
        if number.strip() in named and (pattern or not separator):
            return replace(named[number.strip()], pattern=pattern or "*")
        try:
            value = float(number.strip().removesuffix("%"))
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > 0.0 and (pattern or not separator)):
            raise ConfigError(
                f"--margin {text}: not a margin", hint=f"for example 5%, 0.01, 'fat_*=0.01', {', '.join(named)}"
            )
        return cls(value, number.strip().endswith("%"), pattern or "*")

    def of(self, reference_mean: float) -> float:
        """Size in the unit of the measure; 0 where it is relative to a mean of zero."""
        return self.value / 100.0 * abs(reference_mean) if self.is_relative else self.value

    def __str__(self) -> str:
        return f"{self.value:g} % of the reference mean" if self.is_relative else f"{self.value:g}"


def named_margins(settings: AgreementSettings) -> dict[str, Margin]:
    """Margins of the configuration: for sizes, and for fat as a fraction (0 to 1) or in percent."""
    dixon, t1t2 = settings.margin_dixon_fi_pp, settings.margin_t1t2_fi_pp
    return {
        "size": Margin(settings.margin_size_pct, is_relative=True),
        "dixon_fi": Margin(dixon / 100.0, is_relative=False),
        "dixon_fi_pct": Margin(dixon, is_relative=False),
        "t1t2_fi": Margin(t1t2 / 100.0, is_relative=False),
        "t1t2_fi_pct": Margin(t1t2, is_relative=False),
    }


def margin_for(measure: str, margins: Iterable[Margin]) -> Margin:
    """Find the margin of a measure: the last that fits; raises ConfigError where none does."""
    found = next((m for m in reversed(list(margins)) if fnmatchcase(measure, m.pattern)), None)
    if found is None:
        raise ConfigError(f"no margin for {measure}", hint="name one with --margin")
    return found
