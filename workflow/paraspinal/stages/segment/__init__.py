"""Outline muscles on axial and vertebrae on sagittal scans, in the native grid; the only stage that may use a GPU.

A model is loaded when the first scan needs it and kept for the shard, so start-up is paid once for many scans and not
at all when receipts cover them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk

from paraspinal.core.errors import DataError
from paraspinal.core.identity import BidsName
from paraspinal.core.images import read_image
from paraspinal.core.labels import muscle_labels
from paraspinal.core.schemas import HARMONIZE, SEGMENT
from paraspinal.core.settings import Settings
from paraspinal.core.shards import Stage, Work, per_item
from paraspinal.core.tables import Row
from paraspinal.core.vocab import Reason, Status
from paraspinal.models.registry import resolve

if TYPE_CHECKING:
    from paraspinal.models.inference import LoadedModel, MuscleSegmenter
    from paraspinal.models.spine_inference import SpineSegmenter
    from paraspinal.models.spine_levels import LevelGeometry


def _segment(row: Row, work: Work) -> Row:
    outline = {"muscles": _muscles, "spine": _spine}.get(row["role"])
    return outline(row, work) if outline else row


def _muscles(row: Row, work: Work) -> Row:
    segmenter = work.once("muscles", lambda: _load_muscles(work.settings))
    result = segmenter.segment(read_image(work.image_path(row["image_path"])))
    codes = {int(code) for code in np.unique(sitk.GetArrayViewFromImage(result.label_map))}
    missing = [code for code in muscle_labels().values() if code not in codes]
    if len(missing) == len(muscle_labels()):
        raise DataError(Reason.SEG_EMPTY, "no muscle was found")
    if result.objection:
        raise DataError(Reason.SEG_IMPLAUSIBLE, result.objection)
    uncertainty = [
        {
            "label": code,
            "entropy": entropy,
            "flip_disagreement": result.flip_disagreement.get(code),
            "slice_disagreement": result.slice_disagreement.get(code),
        }
        for code, entropy in sorted(result.uncertainty.items())
    ]
    state: Row = {}
    if missing and row["status"] == Status.OK.value:
        detail = f"{len(missing)} of {len(muscle_labels())} muscles not found"
        state = {"status": Status.WARN.value, "reason_code": Reason.SEG_PARTIAL.value, "detail": detail}
    return row | _saved(row, result.label_map, "muscles", segmenter.model, work) | {"uncertainty": uncertainty} | state


def _spine(row: Row, work: Work) -> Row:
    segmenter = work.once("spine", lambda: _load_spine(work.settings))
    result = segmenter.segment(read_image(work.image_path(row["image_path"])))
    if not result.levels and not sitk.GetArrayViewFromImage(result.label_map).any():
        raise DataError(Reason.SEG_EMPTY, "no vertebra was found")
    return (
        row
        | _saved(row, result.label_map, "spine", segmenter.model, work)
        | {
            "vertebrae": [_vertebra(level) for level in result.levels],
            "level_numbering": result.numbering.value,
            "uncertainty": [{"label": code, "entropy": value} for code, value in sorted(result.uncertainty.items())],
            "lstv_suspected": result.lstv_suspected,
        }
    )


def _vertebra(level: LevelGeometry) -> dict[str, Any]:
    found: dict[str, Any] = {
        "level": level.level,
        "centre_mm": level.centre_mm.tolist(),
        "body_area_mm2": level.body_area_mm2,
        "confidence": level.confidence,
    }
    for end, plane in (("superior", level.superior), ("inferior", level.inferior)):
        found[f"{end}_point_mm"] = plane.point_mm.tolist() if plane else None
        found[f"{end}_normal"] = plane.normal.tolist() if plane else None
    return found


def _saved(row: Row, label_map: sitk.Image, what: str, model: LoadedModel, work: Work) -> Row:
    path = BidsName.parse(row["scan_id"]).derive("dseg", what).path()
    sha256 = work.save_image(label_map, path)
    return {"dseg_path": path, "dseg_sha256": sha256, "model": model.identifier, "model_sha256": model.sha256}


def _load_muscles(settings: Settings) -> MuscleSegmenter:
    from paraspinal.models.inference import MuscleSegmenter, load_model

    return MuscleSegmenter(_load(load_model, settings.segment.muscles_model, settings))


def _load_spine(settings: Settings) -> SpineSegmenter:
    from paraspinal.models.inference import load_model
    from paraspinal.models.spine_inference import SpineSegmenter

    return SpineSegmenter(_load(load_model, settings.segment.spine_model, settings))


def _load(load_model: Any, identifier: str, settings: Settings) -> Any:
    return load_model(identifier, settings.segment.device, settings.segment.threads, settings.models_path)


def _model_digests(settings: Settings) -> dict[str, str]:
    models = {"muscles": settings.segment.muscles_model, "spine": settings.segment.spine_model}
    return {role: resolve(name, settings.models_path).sha256 for role, name in models.items()}


STAGE = Stage(
    name="segment",
    module="paraspinal.stages.segment",
    reads=HARMONIZE,
    writes=SEGMENT,
    process=per_item(_segment),
    parameters=lambda settings: {"device": settings.segment.device},
    models=_model_digests,
    is_per_row=True,
)
