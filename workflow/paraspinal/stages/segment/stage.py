"""Outline muscles on axial scans, and ask the network about the spine; the only stage that may use a GPU.

What the network says of a spine is saved as an image; which vertebrae it shows is decided in `levels`.

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
from paraspinal.core.records.items import per_item
from paraspinal.core.records.receipts import Activity
from paraspinal.core.records.schemas import HARMONIZE, SEGMENT
from paraspinal.core.records.stage import Stage, versions
from paraspinal.core.records.tables import Row
from paraspinal.core.records.work import Work
from paraspinal.core.settings import Settings
from paraspinal.core.vocab import Reason, Status
from paraspinal.models.input.volume import require_possible
from paraspinal.models.registry import resolve
from paraspinal.stages.segment.midline import around_midline

if TYPE_CHECKING:
    from paraspinal.models.engine import Identity, Segmenter
    from paraspinal.models.spine_inference import SpineNetwork


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
    drawn = segmenter.model.card.muscle_codes
    missing = set(drawn) - {int(code) for code in np.unique(sitk.GetArrayViewFromImage(result.label_map))}
    if len(missing) == len(drawn):
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
        detail = f"{len(missing)} of {len(drawn)} muscles not found"
        state = {"status": Status.WARN.value, "reason_code": Reason.SEG_PARTIAL.value, "detail": detail}
    own = _own_levels(row, result.label_map, work) if row["levels_from_same_image"] else {}
    saved = _saved(row, result.label_map, "dseg", "muscles", work)
    judged = {"model_labels": list(drawn), "label_disagreement": disagreement}
    return row | saved | _made_by(segmenter.model) | judged | own | state


def _own_levels(row: Row, muscles: sitk.Image, work: Work) -> Row:
    """Look for vertebrae in the muscle scan itself, for there is no sagittal scan to take them from."""
    network = work.once("spine", lambda: _load_spine(work.settings))
    try:
        answer = network.answer(around_midline(read_image(work.image_path(row["image_path"])), muscles))
    except DataError:  # the muscles were found: what is lacking are levels, and the next stage says so
        return {}
    return _looked_for_vertebrae(row, answer, network.model, work)


def _spine(row: Row, work: Work) -> Row:
    network = work.once("spine", lambda: _load_spine(work.settings))
    answer = network.answer(_image(row, work))
    return row | _looked_for_vertebrae(row, answer, network.model, work) | _made_by(network.model)


def _looked_for_vertebrae(row: Row, answer: sitk.Image, model: Identity, work: Work) -> Row:
    return _saved(row, answer, "probseg", "spine", work) | {"spine_model_sha256": model.sha256}


def _saved(row: Row, image: sitk.Image, suffix: str, what: str, work: Work) -> Row:
    path = BidsName.parse(row["scan_id"]).derive(suffix, what).path()
    return {f"{suffix}_path": path, f"{suffix}_sha256": work.save_image(image, path)}


def _made_by(model: Identity) -> Row:
    return {"model": model.identifier, "model_sha256": model.sha256}


def _load_muscles(settings: Settings) -> Segmenter:
    from paraspinal.models.engine import load_muscles

    segmenter: Segmenter = _load(load_muscles, settings.segment.muscles_model, settings)
    return segmenter


def _load_spine(settings: Settings) -> SpineNetwork:
    from paraspinal.models.inference import load_model
    from paraspinal.models.spine_inference import SpineNetwork

    return SpineNetwork(_load(load_model, settings.segment.spine_model, settings))


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
    key=HARMONIZE.key,
    uses=("role", "levels_from_same_image", "image_path", "image_sha256s"),
    makes=SEGMENT,
    process=per_item(_segment),
    parameters=lambda settings: {"device": settings.segment.device, "precision": settings.segment.precision},
    models=_model_digests,
    tools=lambda: versions("torch", "SimpleITK", "scipy"),
    device=lambda settings: settings.segment.device,
    narrow=_narrow,
    is_per_row=True,
    is_concurrent=True,
)
