"""When a stack was acquired and how its values are scaled: what is common to its slices."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from paraspinal.stages.ingest.reading.record import Values

_TIME = re.compile(r"(\d{2}):?(\d{2}):?(\d{2})(\.\d+)?")
_SCALING = ("slope", "intercept", "scale_slope")


def second_of(values: Values) -> float | None:
    """Second of the day an image was acquired; not to leave this process. None when the header does not say."""
    moment = str(values.get("acquisition_datetime", ""))[8:] or str(values.get("acquisition_time", ""))
    found = _TIME.match(moment)
    if not found:
        return None
    hours, minutes, seconds = (int(part) for part in found.groups()[:3])
    return 3600 * hours + 60 * minutes + seconds + float(found[4] or 0)


def common_values(planes: Iterable[Values]) -> Values:
    """Return what the slices of a stack share, to stand in place of what its first slice says.

    ``second`` is when the first slice was acquired; slope, intercept, scale slope and acquisition number are there when
    all slices state the same; ``rescale_varies`` says that some state another, or none.
    """
    listed = list(planes)
    seconds = [second for second in map(second_of, listed) if second is not None]
    shared: Values = {"second": min(seconds, default=None), "acquisition": _same(listed, "acquisition")}
    for name in _SCALING:
        shared[name] = _same(listed, name)
    shared["rescale_varies"] = any(shared[name] is None and any(name in plane for plane in listed) for name in _SCALING)
    return shared


def _same(planes: list[Values], name: str) -> Any:
    found = {plane.get(name) for plane in planes}
    return found.pop() if len(found) == 1 else None
