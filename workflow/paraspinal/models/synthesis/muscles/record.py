"""Everything that is decided about one synthetic sample, before it is made; as JSON it can be kept and replayed.

Fields of noise and the surroundings of the muscles are recorded by their seeds, everything else by its value.
"""

from __future__ import annotations

import dataclasses
import types
from dataclasses import dataclass
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from paraspinal.models.input.muscle_input import Convention
from paraspinal.models.synthesis.artefacts import Artefacts
from paraspinal.models.synthesis.augmentation import Degradation, GeometryDraw
from paraspinal.models.synthesis.contrast import Contrast
from paraspinal.models.synthesis.muscles.atlas_person import AtlasDraw
from paraspinal.models.synthesis.muscles.procedural import ProceduralDraw

_ARRAY_KEY = "dtype"


@dataclass(frozen=True)
class SampleDraw:
    """One sample: who, how they lie in the image, how it was acquired, and what the network is told.

    ``drift`` is how far (x, y) the body moves in the image per mm upwards; ``has_neighbours`` whether there is a slice
    below and one above; ``field_of_view`` the rows and columns covered.
    """

    anatomy: AtlasDraw | ProceduralDraw
    geometry: GeometryDraw
    drift: tuple[float, float]
    is_thick: bool
    contrast: Contrast
    artefacts: Artefacts
    degradation: Degradation
    field_of_view: tuple[int, int, int, int]
    has_neighbours: tuple[bool, bool]
    convention: Convention


def to_json(draw: Any) -> Any:
    """Turn a draw into plain JSON types; numbers keep all their digits."""
    if dataclasses.is_dataclass(draw) and not isinstance(draw, type):
        return {f.name: to_json(getattr(draw, f.name)) for f in dataclasses.fields(draw)}
    if isinstance(draw, np.ndarray):
        return {_ARRAY_KEY: draw.dtype.name, "shape": list(draw.shape), "values": draw.ravel().tolist()}
    if isinstance(draw, tuple):
        return [to_json(x) for x in draw]
    return draw.value if isinstance(draw, Enum) else draw


def from_json(data: Any, kind: Any = SampleDraw) -> Any:
    """Read what :func:`to_json` wrote; data of another shape raise TypeError or KeyError."""
    if get_origin(kind) in (Union, types.UnionType):
        return _one_of(data, get_args(kind))
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        if set(data) != {f.name for f in dataclasses.fields(kind)}:
            raise TypeError(f"no {kind.__name__}")
        return kind(**{name: from_json(value, hints[name]) for name, value in data.items()})
    if isinstance(data, dict) and _ARRAY_KEY in data:
        return np.array(data["values"], dtype=data[_ARRAY_KEY]).reshape(data["shape"])
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        kinds = kinds[:1] * len(data) if kinds[-1] is Ellipsis else kinds
        return tuple(from_json(x, k) for x, k in zip(data, kinds, strict=True))
    return kind(data) if isinstance(kind, type) and issubclass(kind, Enum) else data


def _one_of(data: Any, kinds: tuple[Any, ...]) -> Any:
    """Read the one of several kinds whose fields the data have; None where there is nothing."""
    if data is None:
        return None
    for kind in kinds:
        is_record = dataclasses.is_dataclass(kind) and isinstance(data, dict)
        if is_record and set(data) == {f.name for f in dataclasses.fields(kind)}:
            return from_json(data, kind)
    return from_json(data, next(k for k in kinds if k is not type(None)))
