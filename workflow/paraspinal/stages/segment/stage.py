"""Outline muscles on axial and vertebrae on sagittal scans, in the native grid; the only stage that may use a GPU.

A model is loaded when the first scan needs it and kept for the shard, so start-up is paid once for many scans and not
at all when receipts cover them all. Scans are worked on side by side: while the network looks at one, another is read
or written.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk

from paraspinal.core.errors import DataError
from paraspinal.core.identity import BidsName
from paraspinal.core.imaging.images import read_image
from paraspinal.core.labels import muscle_labels
from paraspinal.core.records.items import per_item
from paraspinal.core.records.receipts import Activity
from paraspinal.core.records.schemas import HARMONIZE, SEGMENT
from paraspinal.core.records.shards import Stage
from paraspinal.core.records.tables import Row
from paraspinal.core.records.work import Work
from paraspinal.core.settings import Settings
from paraspinal.core.vocab import Reason, Status
from paraspinal.models.input.volume import require_possible
from paraspinal.models.registry import resolve
from paraspinal.stages.segment.spine import around_midline, disc_areas_mm2

if TYPE_CHECKING:
    from paraspinal.models.engine import Identity, Segmenter
    from paraspinal.models.spine_inference import SpineResult, SpineSegmenter
    from paraspinal.vertebrae.numbering import LevelGeometry


def _segment(row: Row, work: Work) -> Row:
    outline = {"muscles": _muscles, "spine": _spine}.get(row["role"])
    return outline(row, work) if outline else row


def _image(row: Row, work: Work) -> sitk.Image:
    image = read_image(work.image_path(row["image_path"]))
    require_possible(image)
    return image


def _muscles(row: Row, work: Work) -> Row:
    segmenter = work.once("muscles", lambda: _load_muscles(work.settings))
    result = segmenter.segment(_image(row, work))
    codes = {int(code) for code in np.unique(sitk.GetArrayViewFromImage(result.label_map))}
    missing = [code for code in muscle_labels().values() if code not in codes]
    if len(missing) == len(muscle_labels()):
        raise DataError(Reason.SEG_EMPTY, "no muscle was found")
    if result.objection:
        raise DataError(Reason.SEG_IMPLAUSIBLE, result.objection)
    disagreement = [
        {
            "label": code,
            "entropy": entropy,
            "flip_disagreement": result.flip_disagreement.get(code),
            "slice_disagreement": result.slice_disagreement.get(code),
        }
        for code, entropy in sorted(result.entropy.items())
    ]
    state: Row = {}
    if missing and row["status"] == Status.OK.value:
        detail = f"{len(missing)} of {len(muscle_labels())} muscles not found"
        state = {"status": Status.WARN.value, "reason_code": Reason.SEG_PARTIAL.value, "detail": detail}
    own = _own_levels(row, result.label_map, work) if row["levels_from_same_image"] else {}
    saved = _saved(row, result.label_map, "muscles", segmenter.model, work)
    return row | saved | {"label_disagreement": disagreement} | own | state


def _own_levels(row: Row, muscles: sitk.Image, work: Work) -> Row:
    """Vertebrae seen in the muscle scan itself, for there is no sagittal scan to take them from."""
    segmenter = work.once("spine", lambda: _load_spine(work.settings))
    try:
        result = segmenter.segment(around_midline(read_image(work.image_path(row["image_path"])), muscles))
    except DataError:  # the muscles were found: what is lacking are levels, and the next stage says so
        return {}
    return _found_levels(result)


def _spine(row: Row, work: Work) -> Row:
    segmenter = work.once("spine", lambda: _load_spine(work.settings))
    result = segmenter.segment(_image(row, work))
    if not result.levels and not sitk.GetArrayViewFromImage(result.label_map).any():
        raise DataError(Reason.SEG_EMPTY, "no vertebra was found")
    return (
        row
        | _saved(row, result.label_map, "spine", segmenter.model, work)
        | {"label_disagreement": [{"label": code, "entropy": value} for code, value in sorted(result.entropy.items())]}
        | _found_levels(result)
    )


def _found_levels(result: SpineResult) -> Row:
    areas = disc_areas_mm2(
        result.label_map, [(disc.label, disc.mid.point_mm, disc.mid.normal) for disc in result.discs]
    )
    below = {disc.level.split("_")[0]: areas[disc.label] for disc in result.discs if disc.level and disc.label}
    return {
        "vertebrae": [_vertebra(level, below.get(level.level or "")) for level in result.levels],
        "level_numbering": result.numbering.value,
        "lstv_suspected": result.lstv_suspected,
    }


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


def _saved(row: Row, label_map: sitk.Image, what: str, model: Identity, work: Work) -> Row:
    path = BidsName.parse(row["scan_id"]).derive("dseg", what).path()
    sha256 = work.save_image(label_map, path)
    return {"dseg_path": path, "dseg_sha256": sha256, "model": model.identifier, "model_sha256": model.sha256}


def _load_muscles(settings: Settings) -> Segmenter:
    from paraspinal.models.engine import load_muscles

    segmenter: Segmenter = _load(load_muscles, settings.segment.muscles_model, settings)
    return segmenter


def _load_spine(settings: Settings) -> SpineSegmenter:
    from paraspinal.models.inference import load_model
    from paraspinal.models.spine_inference import SpineSegmenter

    return SpineSegmenter(_load(load_model, settings.segment.spine_model, settings))


def _load(load_model: Any, identifier: str, settings: Settings) -> Any:
    # One thread a scan: more gain little, and other cores have other scans.
    chosen = settings.segment
    return load_model(identifier, chosen.device, 1, settings.models_path, chosen.precision)


def _narrow(recipe: Activity, rows: list[Row], _: Settings) -> Activity:
    """A muscle scan depends on the spine model too where its vertebrae are looked for in itself."""
    roles = {row["role"] for row in rows} | {"spine" for row in rows if row["levels_from_same_image"]}
    return replace(recipe, models={role: sha256 for role, sha256 in recipe.models.items() if role in roles})


def _model_digests(settings: Settings) -> dict[str, str]:
    models = {"muscles": settings.segment.muscles_model, "spine": settings.segment.spine_model}
    return {role: resolve(name, settings.models_path).sha256 for role, name in models.items()}


STAGE = Stage(
    name="segment",
    module="paraspinal.stages.segment.stage",
    reads=HARMONIZE,
    writes=SEGMENT,
    process=per_item(_segment),
    parameters=lambda settings: {"device": settings.segment.device, "precision": settings.segment.precision},
    models=_model_digests,
    narrow=_narrow,
    is_per_row=True,
    is_concurrent=True,
)
