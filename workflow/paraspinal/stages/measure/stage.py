"""Measure: size and fat of every muscle, side and level of a scan, in the native grid of the image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import SimpleITK as sitk

from paraspinal.core.errors import DataError
from paraspinal.core.imaging.geometry import tilt_deg
from paraspinal.core.labels import muscle_labels
from paraspinal.core.records.items import per_item
from paraspinal.core.records.receipts import Activity
from paraspinal.core.records.schemas import LEVELS_SHARD, MEASURE
from paraspinal.core.records.shards import Stage, by_role
from paraspinal.core.records.tables import Row
from paraspinal.core.records.work import Work
from paraspinal.core.settings import Settings
from paraspinal.core.vocab import LevelNumbering, LevelScheme, LevelSource, Muscle, Reason, Side, Status
from paraspinal.stages.measure.fat.marrow import SOUND_FRAC
from paraspinal.stages.measure.fat.profile import FatMethod, FatProfile, Shares, no_fat, profile_of
from paraspinal.stages.measure.outline_disagreement import level_disagreement, slice_disagreement
from paraspinal.stages.measure.regions import Region, regions_of
from paraspinal.stages.measure.scan import BRIGHTNESS_SEQUENCES, LabelMap, fat_methods, marrow_of
from paraspinal.stages.measure.size.between import Block, size_between
from paraspinal.stages.measure.size.size import Slices, Weights, asymmetry_pct, size_of, weights_of


def measure(row: Row, work: Work) -> Row:
    """Add the metric rows to a muscle scan; other scans pass through.

    Raises DataError if there is no label map or it shows no muscle at all.
    """
    if row["role"] != "muscles":
        return dict(row)
    label_map = LabelMap.read(row, work)
    grid = label_map.grid
    codes = muscle_labels()
    pixel_area_mm2 = grid.voxel_volume_mm3 / grid.spacing_mm[2]
    regions = regions_of(label_map.labels, list(codes.values()), pixel_area_mm2)
    missing = [code for code, region in regions.items() if region.is_empty]
    if len(missing) == len(codes):
        raise DataError(Reason.SEG_EMPTY, "no muscle in the label map")
    row = _judged_by_marrow(row, marrow_of(row, work, grid))
    methods, reason = fat_methods(row, work, label_map, regions)
    profiles = _profiles(methods, regions, lambda region: None)
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
            here = _profiles(methods, regions, partial(block.shares, grid=grid))
            weights: Weights | None = np.ones(grid.size[2])
        else:
            sizes = {key: size_of(regions[c], slab, slices, min_coverage_frac) for key, c in codes.items()}
            here, weights = profiles, slab_weights
        _add_asymmetry(sizes)
        for (muscle, side), size in sizes.items():
            code = codes[muscle, side]
            outline_disagreement = level_disagreement(disagreement.get(code), slab_weights, regions[code].area_mm2)
            base = {**_origin(row, slab), **size, "muscle": muscle.value, "side": side.value}
            base["outline_disagreement"] = outline_disagreement
            metrics += [{**base, **fat} for fat in _fat(weights, size, here[code], reason)]
    return {**row, "metrics": metrics, "areas": _areas(regions), **_state(row, missing)}


def _profiles(
    methods: list[FatMethod], regions: Mapping[int, Region], shares_of: Callable[[Region], Shares | None]
) -> dict[int, list[FatProfile]]:
    """Fat of every muscle by every method, voxels counted by their shares where there are any."""
    profiles = {}
    for code, region in regions.items():
        shares = shares_of(region)
        profiles[code] = [profile_of(method, code, region, shares) for method in methods]
    return profiles


def _areas(regions: Mapping[int, Region]) -> list[Row]:
    """Cross-sections of every muscle slice by slice; null, never 0, where the label map shows none."""
    return [
        {
            "muscle": muscle.value,
            "side": side.value,
            "csa_mm2": [mm2 or None for mm2 in regions[code].area_mm2.tolist()],
        }
        for (muscle, side), code in muscle_labels().items()
    ]


def _judged_by_marrow(row: Row, marrow: float | None) -> Row:
    """Note the fat fraction of the marrow; where no marrow can have it, the fat of muscle is withheld."""
    row = {**row, "marrow_ff_frac": marrow}
    if marrow is None or SOUND_FRAC[0] <= marrow <= SOUND_FRAC[1] or row["fi_reason_code"] is not None:
        return row
    row["fi_reason_code"] = Reason.DIXON_SCALE_MISMATCH.value
    if row["status"] == Status.OK:
        detail = f"fat fraction {marrow:.2f} in the marrow of the vertebrae"
        row |= {"status": Status.WARN.value, "reason_code": Reason.DIXON_SCALE_MISMATCH.value, "detail": detail}
    return row


def _add_asymmetry(sizes: dict[tuple[Muscle, Side], Row]) -> None:
    for muscle in Muscle:
        pair = [sizes[muscle, side] for side in (Side.LEFT, Side.RIGHT)]
        signed, absolute = asymmetry_pct(*(size.get("acsa_mm2") for size in pair))
        for size in pair:
            size["asym_signed_pct"], size["asym_abs_pct"] = signed, absolute


def _fat(weights: Weights | None, size: Row, profiles: list[FatProfile], reason: Reason | None) -> list[Row]:
    """The columns on fat: one row per method, or one row that says why there is none."""
    if reason is not None:
        return [{"fi_method": None, "fcsa_mm2": None, "bias_correction": None, **no_fat(reason)}]
    acsa = size.get("acsa_mm2")
    rows: list[Row] = []
    for profile in profiles:
        if acsa is None or weights is None:
            fat: Row = {**no_fat(None), "fi_reason_code": size["reason_code"]}
        else:
            fat = dict(profile.at(weights))
        fcsa = None if acsa is None or fat["fi"] is None else acsa * (1.0 - fat["fi"])
        bias = profile.by.bias_correction.value
        rows.append({"fi_method": profile.by.method.value, "fcsa_mm2": fcsa, "bias_correction": bias, **fat})
    return rows


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
    }


def _state(row: Row, missing: list[int]) -> Row:
    if not missing or row["status"] != Status.OK:
        return {}
    detail = f"{len(missing)} of {len(muscle_labels())} muscles not found"
    return {"status": Status.WARN.value, "reason_code": Reason.SEG_PARTIAL.value, "detail": detail}


def _narrow(recipe: Activity, rows: list[Row], settings: Settings) -> Activity:
    """N4 is nothing to a scan whose fat is not read off its brightness."""
    is_bright = any(row["sequence"] in BRIGHTNESS_SEQUENCES for row in rows)
    parameters = {**recipe.parameters, "n4": settings.measure.n4 and is_bright}
    return replace(by_role(recipe, rows, settings), parameters=parameters)


STAGE = Stage(
    name="measure",
    module="paraspinal.stages.measure.stage",
    reads=LEVELS_SHARD,
    writes=MEASURE,
    process=per_item(measure),
    parameters=lambda settings: {"min_coverage_frac": settings.measure.min_coverage_frac, "n4": settings.measure.n4},
    tools=lambda: {"SimpleITK": sitk.Version_VersionString()},
    is_per_row=True,
    narrow=_narrow,
)
