"""Measure: size and fat of every muscle, side and level of a scan, in the native grid of the image."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from paraspinal.core.imaging.geometry import tilt_deg
from paraspinal.core.labels import muscles_among
from paraspinal.core.records.items import per_item
from paraspinal.core.records.receipts import Activity
from paraspinal.core.records.schemas import LEVELS_SHARD, MEASURE
from paraspinal.core.records.stage import Stage, by_role, versions
from paraspinal.core.records.tables import Row
from paraspinal.core.records.work import Work
from paraspinal.core.settings import Settings
from paraspinal.core.vocab import LevelNumbering, LevelScheme, LevelSource, Reason, Status
from paraspinal.stages.measure.fat import FatMethod, codes_of, fat_methods, read_fat
from paraspinal.stages.measure.fat.marrow import judged_by_marrow, marrow_of
from paraspinal.stages.measure.fat.profile import fat_rows, profiles_of
from paraspinal.stages.measure.outline_disagreement import level_disagreement, slice_disagreement
from paraspinal.stages.measure.regions import areas_of
from paraspinal.stages.measure.scan import Scan
from paraspinal.stages.measure.size.between import Block, size_between
from paraspinal.stages.measure.size.size import Slices, Weights, add_asymmetry, size_of, weights_of


def measure(row: Row, work: Work) -> Row:
    """Add the metric rows to a muscle scan; other scans pass through.

    Raises DataError if there is no label map or it shows no muscle at all.
    """
    if row["role"] != "muscles":
        return dict(row)
    scan = Scan.read(row, work)
    grid, regions, codes = scan.grid, scan.regions, muscles_among(scan.regions)
    row = judged_by_marrow(row, marrow_of(scan))
    readings, reason = read_fat(replace(scan, row=row))
    profiles = profiles_of(readings, regions, lambda region: None)
    disagreement = slice_disagreement(row, grid)
    slabs = row["slabs"] or []
    slices = Slices(
        spacing_mm=grid.spacing_mm[2],
        tilt_to_scanner_deg=tilt_deg(grid.normal),
        holds_disc_group=any(s["level_scheme"] == LevelScheme.DISC_STACK for s in slabs),
    )
    min_coverage_frac = work.settings.measure.min_coverage_frac
    metrics: list[Row] = []
    for slab in slabs:
        slab_weights = weights_of(slab)
        if slab["planes_mm"]:
            block = Block.of(slab["planes_mm"])
            sizes = {key: size_between(block, regions[c], slab, grid, min_coverage_frac) for key, c in codes.items()}
            here = profiles_of(readings, regions, partial(block.shares, grid=grid))
            weights: Weights | None = np.ones(grid.size[2])
        else:
            sizes = {key: size_of(regions[c], slab, slices, min_coverage_frac) for key, c in codes.items()}
            here, weights = profiles, slab_weights
        add_asymmetry(sizes)
        for (muscle, side), size in sizes.items():
            code = codes[muscle, side]
            outline_disagreement = level_disagreement(disagreement.get(code), slab_weights, regions[code].area_mm2)
            base = {**_origin(row, slab), **size, "muscle": muscle.value, "side": side.value}
            base["outline_disagreement"] = outline_disagreement
            metrics += [{**base, **fat} for fat in fat_rows(weights, size, here[code], reason)]
    return {**row, "metrics": metrics, "areas": areas_of(regions), **_state(row, scan)}


def _origin(row: Row, slab: Row) -> Row:
    return {
        "level": slab["level"],
        "level_scheme": slab["level_scheme"],
        "level_source": row["level_source"] or LevelSource.NONE.value,
        "level_numbering": row["level_numbering"] or LevelNumbering.UNRESOLVED.value,
        "level_confidence": slab["confidence"],
        "lstv_suspected": row["lstv_suspected"],
        "sequence": row["sequence"],
        "model_sha256": row["model_sha256"],
        "level_model_sha256": row["level_model_sha256"],
    }


def _state(row: Row, scan: Scan) -> Row:
    missing = [code for code, region in scan.regions.items() if region.is_empty]
    if not missing or row["status"] != Status.OK:
        return {}
    detail = f"{len(missing)} of {len(scan.regions)} muscles not found"
    return {"status": Status.WARN.value, "reason_code": Reason.SEG_PARTIAL.value, "detail": detail}


def _parameters(settings: Settings, methods: tuple[FatMethod, ...]) -> dict[str, Any]:
    """What decides the results beside the code of the stage; N4 is nothing to a scan no method of which uses it."""
    n4 = settings.measure.n4 and any(method.uses_n4 for method in methods)
    return {"min_coverage_frac": settings.measure.min_coverage_frac, "n4": n4, **codes_of(methods)}


def _narrow(recipe: Activity, rows: list[Row], settings: Settings) -> Activity:
    """A scan depends on the fat methods that apply to it."""
    measured = [row for row in rows if row["role"] == "muscles"]
    methods = tuple(method for method in fat_methods() if any(map(method.applies_to, measured)))
    return replace(by_role(recipe, rows, settings), parameters=_parameters(settings, methods))


STAGE = Stage(
    name="measure",
    module="paraspinal.stages.measure.stage",
    key=LEVELS_SHARD.key,
    uses=(
        *("role", "sequence", "is_fat_suppressed", "image_path", "image_sha256s", "water_path", "fat_path"),
        *("fat_fraction_path", "fat_fraction_scale", "fi_reason_code"),
        *("dseg_path", "dseg_sha256", "model_sha256", "model_labels", "label_disagreement", "slabs"),
        *("level_source", "level_numbering", "lstv_suspected", "level_model_sha256"),
    ),
    makes=MEASURE,
    process=per_item(measure),
    parameters=lambda settings: _parameters(settings, fat_methods()),
    tools=lambda: versions("SimpleITK", "scipy"),
    is_per_row=True,
    narrow=_narrow,
)
