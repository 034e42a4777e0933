"""A flag says what is doubtful about a scan, how badly, and gives the measured value and its limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Light, Muscle, Reason, Side

_SEVERITY = (Light.GREEN, Light.AMBER, Light.RED)


@dataclass(frozen=True)
class Flag:
    """One doubt; muscle, side and level are None where it is about more than one of them."""

    light: Light
    reason: Reason | None
    detail: str | None = None
    muscle: Muscle | None = None
    side: Side | None = None
    level: str | None = None


def worst(lights: Iterable[Light]) -> Light:
    """The worst light; green if there is none."""
    return max(lights, key=_SEVERITY.index, default=Light.GREEN)


def flag_rows(flags: Iterable[Flag]) -> list[Row]:
    """Structs of the column ``flags``: one for each muscle, side, level and reason, details joined."""
    merged: dict[tuple[Muscle | None, Side | None, str | None, Reason | None], list[Flag]] = {}
    for flag in flags:
        merged.setdefault((flag.muscle, flag.side, flag.level, flag.reason), []).append(flag)
    return [
        {
            "muscle": muscle and muscle.value,
            "side": side and side.value,
            "level": level,
            "light": worst(f.light for f in group).value,
            "reason_code": reason and reason.value,
            "detail": "; ".join(dict.fromkeys(f.detail for f in group if f.detail)) or None,
        }
        for (muscle, side, level, reason), group in merged.items()
    ]
