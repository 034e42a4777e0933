"""Vertebrae of one scan: what the spine network said of it, numbered; a spine scan gets its label map from that."""

from __future__ import annotations

from typing import Any

import SimpleITK as sitk

from paraspinal.core.errors import DataError
from paraspinal.core.identity import BidsName
from paraspinal.core.imaging.images import read_image, read_volumes
from paraspinal.core.records.tables import Row
from paraspinal.core.records.work import Work
from paraspinal.core.vocab import Reason
from paraspinal.vertebrae.numbering import LevelGeometry
from paraspinal.vertebrae.spine import NumberedSpine, number_spine


def with_vertebrae(row: Row, work: Work) -> Row:
    """Add the vertebrae of a scan; of a spine scan also the label map, which is written.

    A scan in which the network was not asked for vertebrae stays as it is. Raises DataError for a spine scan that
    shows none.
    """
    if row["probseg_path"] is None:
        return row
    answer = read_volumes(work.image_path(row["probseg_path"]))
    found = number_spine(answer, read_image(work.image_path(row["image_path"])))
    numbered = row | {
        "vertebrae": _vertebrae(found),
        "level_numbering": found.numbering.value,
        "lstv_suspected": found.lstv_suspected,
    }
    if row["role"] != "spine":
        return numbered
    if not found.levels and not sitk.GetArrayViewFromImage(found.label_map).any():
        raise DataError(Reason.SEG_EMPTY, "no vertebra was found")
    path = BidsName.parse(row["scan_id"]).derive("dseg", "spine").path()
    return numbered | {
        "dseg_path": path,
        "dseg_sha256": work.save_image(found.label_map, path),
        "label_disagreement": [{"label": code, "entropy": value} for code, value in sorted(found.entropy.items())],
    }


def _vertebrae(found: NumberedSpine) -> list[dict[str, Any]]:
    """Structs of the column ``vertebrae``, each with the area of the disc below it."""
    named = [(disc.level, disc.label) for disc in found.discs if disc.level and disc.label]
    below = {level.split("_")[0]: found.disc_areas_mm2[label] for level, label in named}
    return [_vertebra(level, below.get(level.level or "")) for level in found.levels]


def _vertebra(level: LevelGeometry, disc_area_mm2: float | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "level": level.level,
        "centre_mm": level.centre_mm.tolist(),
        "body_area_mm2": level.body_area_mm2,
        "disc_area_mm2": disc_area_mm2,
        "confidence": level.confidence,
    }
    for end, plane in (("superior", level.superior), ("inferior", level.inferior)):
        found[f"{end}_point_mm"] = plane.point_mm.tolist() if plane else None
        found[f"{end}_normal"] = plane.normal.tolist() if plane else None
    return found
