"""Quality: flags, a traffic light and a picture for every scan; flags never change a number.

Green: nothing doubtful was found. Amber: look before use, or the scan was excluded from measuring. Red: it failed.
"""

from __future__ import annotations

from functools import partial

from paraspinal.core.files import atomic_path, sha256_file
from paraspinal.core.identity import BidsName
from paraspinal.core.imaging.geometry import Grid, same_grid
from paraspinal.core.imaging.images import array_of, read_image
from paraspinal.core.records.columns import STATE_NAMES
from paraspinal.core.records.items import guarded
from paraspinal.core.records.schemas import MEASURE, QUALITY_SHARD
from paraspinal.core.records.stage import Stage, versions
from paraspinal.core.records.tables import Row
from paraspinal.core.records.work import Work
from paraspinal.core.vocab import Light, Status
from paraspinal.stages.quality.assess import (
    PLAUSIBILITY,
    flags_of_curve,
    flags_of_disagreement,
    flags_of_levels,
    flags_of_measures,
    flags_of_state,
)
from paraspinal.stages.quality.flags import Flag, flag_rows, worst
from paraspinal.stages.quality.overlay import draw, panels_of
from paraspinal.stages.quality.shape import flags_of_shape


def process(rows: list[Row], work: Work) -> list[Row]:
    """Judge every scan of a session, those that were not measured too."""
    done = []
    scans = {row["scan_id"]: row for row in rows}
    for row in rows:
        kept = {name: row[name] for name in (*MEASURE.key, *STATE_NAMES)}
        spine = row if row["role"] == "spine" else scans.get(row["level_scan_id"])
        judged = guarded(partial(_judged, row, spine, kept, work), [kept])[0]
        if "light" not in judged:  # judging itself failed, and says why
            judged |= _summary(list(flags_of_state(judged)))
        done.append(judged)
    return done


def _judged(row: Row, spine: Row | None, kept: Row, work: Work) -> list[Row]:
    """Judge one scan; ``spine`` is the scan its levels come from."""
    settings = work.settings.quality
    flags = list(flags_of_state(row))
    overlay_path = None
    if Status(row["status"]).is_usable:
        flags += [
            *flags_of_levels(row, work.settings.levels.max_shift_mm),
            *flags_of_measures(row, settings),
            *flags_of_disagreement(row),
        ]
        if spine is not None:
            flags += flags_of_curve(spine)
        if row["dseg_path"] is not None:
            shape_flags, overlay_path = _look(row, work)
            flags += shape_flags
    return [{**kept, **_summary(flags), "overlay_path": overlay_path}]


def _look(row: Row, work: Work) -> tuple[list[Flag], str | None]:
    """Judge the shapes in the label map and draw it."""
    label_image = read_image(work.image_path(row["dseg_path"]))
    labels, grid = array_of(label_image), Grid.of(label_image)
    is_muscles = row["role"] == "muscles"
    flags = list(flags_of_shape(labels, grid, row["model_labels"], work.settings.quality)) if is_muscles else []
    if not labels.any() or row["image_path"] is None:
        return flags, None
    image = read_image(work.image_path(row["image_path"]))
    if not same_grid(Grid.of(image), grid, tolerance_mm=min(grid.spacing_mm)):
        return flags, None
    path = BidsName.parse(row["scan_id"]).derive("dseg", "overlay").path(".png")
    sheet = draw(array_of(image), labels, grid, panels_of(labels, row["slabs"]))
    with atomic_path(work.results / path) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)
    work.record(path)
    return flags, path


def _summary(flags: list[Flag]) -> Row:
    rows = flag_rows(flags)
    return {"light": worst(Light(flag["light"]) for flag in rows).value, "flags": rows}


STAGE = Stage(
    name="quality",
    module="paraspinal.stages.quality.stage",
    key=MEASURE.key,
    uses=(
        *("role", "image_path", "image_sha256s", "dseg_path", "dseg_sha256", "model_labels", "label_disagreement"),
        *("vertebrae", "slabs", "level_scan_id", "level_reason_code", "level_detail", "level_shift_mm"),
        *("lstv_suspected", "fi_reason_code", "metrics"),
    ),
    makes=QUALITY_SHARD,
    process=process,
    parameters=lambda settings: {
        "max_side_ratio": settings.quality.max_side_ratio,
        "max_csa_jump_frac": settings.quality.max_csa_jump_frac,
        "max_component_frac": settings.quality.max_component_frac,
        "max_shift_mm": settings.levels.max_shift_mm,
        "plausibility_sha256": sha256_file(PLAUSIBILITY),
    },
    tools=lambda: versions("pillow", "scipy"),
)
