"""The spine as the levels stage sees it: vertebrae with their end plates, and the discs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from paraspinal.core.levels import LevelKind, disc_between, level_by_name
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import LevelNumbering, Status
from paraspinal.stages.levels.slabs import Plane, Vector

_NUMBERING_RANK = {LevelNumbering.MANUAL: 0, LevelNumbering.COUNTED_FROM_SACRUM: 1, LevelNumbering.ASSUMED: 2}
"""Best first; vertebrae numbered otherwise resolve no level."""


@dataclass(frozen=True)
class Vertebra:
    """A vertebra: centre of its body (LPS mm) and its end plates, None where one was not found; the disc is below."""

    level: str
    centre_mm: Vector
    superior: Plane | None
    inferior: Plane | None
    body_area_mm2: float | None
    disc_area_mm2: float | None
    confidence: float | None

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Vertebra:
        """Read one struct of the column ``vertebrae``."""
        return cls(
            level=found["level"],
            centre_mm=np.asarray(found["centre_mm"], dtype=np.float64),
            superior=Plane.of(found["superior_point_mm"], found["superior_normal"]),
            inferior=Plane.of(found["inferior_point_mm"], found["inferior_normal"]),
            body_area_mm2=found["body_area_mm2"],
            disc_area_mm2=found["disc_area_mm2"],
            confidence=found["confidence"],
        )

    @property
    def plates(self) -> list[Plane]:
        """The end plates that were found."""
        return [p for p in (self.superior, self.inferior) if p is not None]


@dataclass(frozen=True)
class Disc:
    """A disc by its mid-plane: half way between the end plates that bound it, normal pointing to the head."""

    level: str
    mid: Plane
    area_mm2: float | None
    confidence: float | None


def vertebrae_of(row: Row) -> list[Vertebra]:
    """List the vertebrae of a spine scan that the level vocabulary knows, from head to foot."""
    known = [v for v in row.get("vertebrae") or [] if v["level"] is not None and v["centre_mm"] is not None]
    return sorted((Vertebra.of(v) for v in known), key=lambda v: level_by_name(v.level).order)


def discs_of(vertebrae: Sequence[Vertebra]) -> list[Disc]:
    """List the discs between neighbouring vertebrae whose facing end plates were both found."""
    discs = []
    for upper, lower in pairwise(vertebrae):
        level = disc_between(upper.level, lower.level)
        if level is None or upper.inferior is None or lower.superior is None:
            continue
        normal = mean_axis([upper.inferior, lower.superior])
        point = (upper.inferior.point_mm + lower.superior.point_mm) / 2
        if normal is not None:
            plane, confidence = Plane(point, normal), least_confidence([upper, lower])
            discs.append(Disc(level.name, plane, upper.disc_area_mm2, confidence))
    return discs


def mean_axis(plates: Sequence[Plane]) -> Vector | None:
    """Mean unit normal of end plates, (3,), pointing to the head; None for no plates or opposing ones."""
    if not plates:
        return None
    total = np.sum([p.normal if p.normal[2] >= 0 else -p.normal for p in plates], axis=0)
    length = float(np.linalg.norm(total))
    return total / length if length > 0 else None


def least_confidence(parts: Sequence[Vertebra]) -> float | None:
    """Least confidence among vertebrae; None if any of them has none."""
    values = [p.confidence for p in parts]
    return None if not values or any(v is None for v in values) else min(v for v in values if v is not None)


def has_levels(row: Row) -> bool:
    """Whether a scan is usable and shows numbered vertebrae."""
    return (
        Status(row["status"]).is_usable
        and row.get("level_numbering") in _NUMBERING_RANK
        and any(level_by_name(v.level).kind is LevelKind.VERTEBRA for v in vertebrae_of(row))
    )


def choose_spine_scan(scan: Row, rows: Sequence[Row]) -> Row | None:
    """Choose the scan that gives a scan its levels, which may be itself; None if there is none.

    It must be usable, have numbered vertebrae and share the scan's frame of reference: only then are its millimetres
    the scan's. Of several, the better numbering wins, then a scan made for the spine, then more vertebrae, then higher
    mean confidence, then the lower ``scan_id``.
    """
    frame = scan.get("frame_of_reference_id")
    fit = [row for row in rows if row["role"] == "spine" and frame and row.get("frame_of_reference_id") == frame]
    return min([row for row in [*fit, scan] if has_levels(row)], key=_preference, default=None)


def why_none(scan: Row, rows: Sequence[Row]) -> str:
    """Say in a few words why no scan gives this one its levels."""
    spines = [row for row in rows if row["role"] == "spine" and Status(row["status"]).is_usable]
    frame = scan.get("frame_of_reference_id")
    if scan.get("vertebrae"):
        return "no sagittal scan to go by, and the vertebrae in the scan itself could not be numbered"
    if not spines:
        return "no usable sagittal scan in the session"
    if frame is None:
        return "the scan has no frame of reference, so that no sagittal scan can be laid on it"
    if all(row.get("frame_of_reference_id") != frame for row in spines):
        return "no sagittal scan in the same frame of reference"
    return "the vertebrae of the sagittal scan could not be numbered"


def _preference(row: Row) -> tuple[int, bool, int, float, str]:
    vertebrae = vertebrae_of(row)
    confidence = float(np.mean([v.confidence or 0.0 for v in vertebrae]))
    rank = _NUMBERING_RANK[LevelNumbering(row["level_numbering"])]
    return rank, row["role"] != "spine", -len(vertebrae), -confidence, row["scan_id"]
