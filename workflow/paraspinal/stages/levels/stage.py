"""Levels: the vertebrae a scan shows, and which slices of each muscle scan belong to which vertebra or disc.

Vertebrae are found and numbered in what the spine network said of a scan. A muscle scan takes its levels from what
people set by hand; else from a sagittal scan of the same session in the same frame of reference, else from the scan
itself where it shows vertebrae; without any the level stays null. The slab of a vertebra is cut across the slice normal
at the two points where the axis of its body meets its end-plate planes, and every slice counts by the share of its
interval that lies inside.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from paraspinal.core.files import sha256_json
from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.imaging.images import read_image
from paraspinal.core.levels_sheet import HandLevels, levels_by_hand, load_levels_sheet
from paraspinal.core.records.columns import GRID_NAMES
from paraspinal.core.records.items import guarded, per_item
from paraspinal.core.records.receipts import Activity
from paraspinal.core.records.schemas import LEVELS_SHARD, SEGMENT
from paraspinal.core.records.stage import Stage, by_role, versions
from paraspinal.core.records.tables import Row
from paraspinal.core.records.work import Work
from paraspinal.core.settings import Settings
from paraspinal.core.vocab import LevelNumbering, LevelSource, Reason, Status
from paraspinal.stages.levels.assign import Slab, resolved_slabs, unresolved_slabs
from paraspinal.stages.levels.by_hand import hand_slabs, renumbered
from paraspinal.stages.levels.motion import shift_mm
from paraspinal.stages.levels.numbered import with_vertebrae
from paraspinal.stages.levels.slabs import Stack
from paraspinal.stages.levels.spine import choose_spine_scan, vertebrae_of, why_none


def process(rows: list[Row], work: Work) -> list[Row]:
    """Number the vertebrae of every scan the network looked for them in, and give every muscle scan its levels.

    Both only if the scan is usable; spines are numbered as people say, where they say.
    """
    rows = per_item(with_vertebrae)(rows, work)
    sheet = work.once("levels sheet", lambda: load_levels_sheet(work.settings.levels.levels_sheet))
    said = {row["scan_id"]: levels_by_hand(sheet, row) for row in rows}
    rows = [_as_numbered(row, said[row["scan_id"]]) for row in rows]
    done = []
    for row in rows:
        if row["role"] == "muscles" and Status(row["status"]).is_usable:
            done += guarded(partial(_with_levels, row, rows, said[row["scan_id"]], work), [row])
        else:
            done.append(row)
    return done


def _as_numbered(row: Row, said: HandLevels | None) -> Row:
    return renumbered(row, said.lowest) if said and said.lowest else dict(row)


def _with_levels(row: Row, rows: list[Row], said: HandLevels | None, work: Work) -> list[Row]:
    stack = Stack.of(
        Grid(tuple(row["size"]), tuple(row["spacing_mm"]), tuple(row["origin_mm"]), tuple(row["direction"]))
    )
    if said and said.levels:
        slabs = hand_slabs(stack, said)
        return [_without_levels(row, stack, slabs) if isinstance(slabs, str) else _by_hand(row, slabs)]
    spine = choose_spine_scan(row, rows)
    if spine is None:
        return [_without_levels(row, stack, why_none(row, rows))]
    is_itself = spine["scan_id"] == row["scan_id"]
    shift = None if is_itself else _shift_mm(spine, row, work)
    return [
        {
            **row,
            "slabs": resolved_slabs(stack, vertebrae_of(spine), work.settings.levels.max_disc_angle_deg),
            "level_source": (LevelSource.SAME_IMAGE if is_itself else LevelSource.SAGITTAL_TRANSFER).value,
            "level_scan_id": spine["scan_id"],
            "level_model_sha256": spine["spine_model_sha256"],
            "level_numbering": spine["level_numbering"],
            "lstv_suspected": spine["lstv_suspected"],
            "level_shift_mm": shift,
        }
    ]


def _by_hand(row: Row, slabs: list[Slab]) -> Row:
    source, numbering = LevelSource.MANUAL.value, LevelNumbering.MANUAL.value
    return {**row, "slabs": slabs, "level_source": source, "level_numbering": numbering, "lstv_suspected": None}


def _without_levels(row: Row, stack: Stack, detail: str) -> Row:
    return {
        **row,
        "slabs": unresolved_slabs(stack),
        "level_source": LevelSource.NONE.value,
        "level_numbering": LevelNumbering.UNRESOLVED.value,
        "level_reason_code": Reason.LEVEL_UNRESOLVED.value,
        "level_detail": detail,
    }


def _shift_mm(spine: Row, row: Row, work: Work) -> list[float] | None:
    """How far the patient moved from the spine scan to this one; None where it cannot be told."""
    if spine["image_path"] is None or row["image_path"] is None:
        return None
    found = shift_mm(*(read_image(work.image_path(scan["image_path"])) for scan in (spine, row)))
    return None if found is None else np.asarray(found).tolist()


def _parameters(settings: Settings) -> dict[str, object]:
    found = load_levels_sheet(settings.levels.levels_sheet)
    return {
        "max_disc_angle_deg": settings.levels.max_disc_angle_deg,
        "levels_sheet": sha256_json({name: repr(said) for name, said in found.items()}),
    }


def _narrow(recipe: Activity, rows: list[Row], settings: Settings) -> Activity:
    """Of the sheet a session depends on what it says of its own scans only."""
    found = load_levels_sheet(settings.levels.levels_sheet)
    said = {row["scan_id"]: repr(levels_by_hand(found, row)) for row in rows}
    return replace(by_role(recipe, rows, settings), parameters={**recipe.parameters, "levels_sheet": sha256_json(said)})


STAGE = Stage(
    name="levels",
    module="paraspinal.stages.levels.stage",
    key=SEGMENT.key,
    uses=(
        *("role", "stack_ids", "series_id", "frame_of_reference_id", "image_path", "image_sha256s", *GRID_NAMES),
        *("probseg_path", "probseg_sha256", "spine_model_sha256"),
    ),
    makes=LEVELS_SHARD,
    process=process,
    parameters=_parameters,
    tools=lambda: versions("SimpleITK", "scipy"),
    narrow=_narrow,
)
