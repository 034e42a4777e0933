"""An interval, as every statistic here gives it."""

from __future__ import annotations

from typing import NamedTuple


class Interval(NamedTuple):
    """Lower and upper end, in the unit of what it is about."""

    low: float
    high: float

    @property
    def farthest(self) -> float:
        """Distance from zero to the end that is farther from it."""
        return max(abs(self.low), abs(self.high))
