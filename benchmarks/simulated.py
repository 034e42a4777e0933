"""Simulate what the stages leave of a large cohort: registry, inventory and shard tables, at full width.

Every session has what a lumbar study has: a localizer, two sagittal series, an axial T2w stack with all its levels, a
Dixon set of four images, and a report. One shard is made row by row; the others repeat it under other names and with
other numbers, so that ten thousand sessions take a minute and not an hour.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from paraspinal.core.levels import LUMBAR_BLOCK, STACK
from paraspinal.core.registry import INVENTORY_PATH, Registry, shard_path
from paraspinal.core.schemas import (
    CONVERT,
    INVENTORY,
    LEVELS_SHARD,
    MEASURE,
    QUALITY_SHARD,
    SESSION_STACKS,
)
from paraspinal.core.tables import Row, Table, write_arrow
from paraspinal.core.vocab import FiMethod, LevelScheme, Muscle, Side

SHARD_SIZE = 32
SECOND_VISIT_FRAC = 0.2
VERTEBRAE = ("L1", "L2", "L3", "L4", "L5")
DISCS = ("L1_L2", "L2_L3", "L3_L4", "L4_L5", "L5_S1")
LEVELS = (
    *((v, LevelScheme.VERTEBRA_SLAB) for v in VERTEBRAE),
    *((v, LevelScheme.VERTEBRA_MID) for v in VERTEBRAE),
    *((d, LevelScheme.DISC_MID) for d in DISCS),
    (LUMBAR_BLOCK, LevelScheme.SLICE_BLOCK),
    (STACK, LevelScheme.SLICE_BLOCK),
)
SERIES: dict[str, Row] = {
    "localizer": {"plane": "coronal", "sequence": "other", "status": "excluded", "reason_code": "LOCALIZER"},
    "report": {"plane": "unknown", "sequence": "unknown", "status": "excluded", "reason_code": "NOT_AN_IMAGE"},
    "sagT1w": {"plane": "sagittal", "sequence": "T1w"},
    "sagT2w": {"plane": "sagittal", "sequence": "T2w"},
    "axT2w": {"plane": "axial", "sequence": "T2w"},
    **{
        f"dixon{part}": {"plane": "axial", "sequence": "dixon", "dixon_part": part}
        for part in ("water", "fat", "inphase", "oppphase")
    },
}
SCANS: dict[str, tuple[str, ...]] = {
    "sagT1w": ("sagT1w",),
    "sagT2w": ("sagT2w",),
    "axT2w": ("axT2w",),
    "dixon": tuple(name for name in SERIES if name.startswith("dixon")),
}
FI_METHODS = {
    "axT2w": (FiMethod.T1T2_SAT_ANCHORED, FiMethod.T1T2_GMM3_MUSCLEMAP),
    "dixon": (FiMethod.DIXON_FF_RATIO_OF_SUMS, FiMethod.DIXON_FF_VOXEL_MEAN),
}
NUMBERS = ("volume_mm3", "acsa_mm2", "csa_mid_mm2", "csa_perp_mm2", "fcsa_mm2", "rcsa_vb", "asym_signed_pct", "fi")
"""Measures that differ from person to person."""


def simulate(results: Path, n_sessions: int, seed: int = 5) -> None:
    """Write the registry, the inventory and the shard tables of a cohort of ``n_sessions`` sessions."""
    random = np.random.default_rng(seed)
    sessions = _sessions(n_sessions, random)
    registry = Registry({}).deal([(subject, session) for subject, session, _ in sessions], SHARD_SIZE)
    registry.write(results)
    days = {session: day for _, session, day in sessions}
    by_shard: dict[int, list[tuple[str, str]]] = {}
    for key, shard in registry.shards.items():
        by_shard.setdefault(shard, []).append(key)
    template = {table.name: _template(table) for table in (CONVERT, LEVELS_SHARD, MEASURE, QUALITY_SHARD)}
    inventory = []
    for shard, keys in by_shard.items():
        for stage, table in (
            ("convert", CONVERT), ("levels", LEVELS_SHARD), ("measure", MEASURE), ("quality", QUALITY_SHARD),
        ):  # fmt: skip
            found = _renamed(template[table.name], keys, random)
            write_arrow(shard_path(results, stage, shard), found)
            if stage == "convert":
                inventory.append(_inventory(found, shard, days))
    whole = pa.concat_tables(inventory).sort_by("stack_id")
    write_arrow(results / INVENTORY_PATH, whole.cast(INVENTORY.schema))


def _sessions(n: int, random: np.random.Generator) -> list[tuple[str, str, int]]:
    """Pseudonyms of person and visit, and days since the first visit; every fifth person comes twice."""
    found: list[tuple[str, str, int]] = []
    while len(found) < n:
        subject = _name(random, 12)
        found.append((subject, _name(random, 10), 0))
        if random.random() < SECOND_VISIT_FRAC and len(found) < n:
            found.append((subject, _name(random, 10), int(random.integers(300, 2000))))
    return found


def _name(random: np.random.Generator, length: int) -> str:
    return base64.b32encode(random.bytes(8)).decode().lower()[:length]


def _series(place: int) -> Row:
    return {
        "site": f"site{place % 5}", "manufacturer": ("Siemens", "GE", "Philips")[place % 3], "scanner_model": "m",
        "field_strength_t": (1.5, 3.0)[place % 2], "sex": "FM"[place % 2], "age_years": 30.0 + place,
        "series_id": "aaaaaaaaaa", "protocol_id": "bbbbbbbbbb", "frame_of_reference_id": "cccccccccc",
        "series_number": 3, "plane_tilt_deg": 4.2, "body_region": "lumbar", "body_region_evidence": "coded",
        "body_region_confidence": 0.9, "is_fat_suppressed": False, "sequence_evidence": "TE 90 ms, TR 3500 ms",
        "sequence_confidence": 0.9, "repetition_time_ms": 3500.0, "echo_time_ms": 90.0, "flip_angle_deg": 150.0,
        "slice_thickness_mm": 4.0, "size": [320, 320, 40], "spacing_mm": [0.75, 0.75, 4.4],
        "origin_mm": [-120.0, -120.0, 31.5], "direction": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    }  # fmt: skip


def _template(table: Table) -> pa.Table:
    """A shard of sessions named by their number in it, with typical values."""
    rows: list[Row] = []
    for place in range(SHARD_SIZE):
        keys = {"subject": f"{place:02}", "session": f"{place:02}", "activity_id": "0123456789abcdef01234567"}
        if table is CONVERT:
            rows += [{**_series(place), **keys, **_stack(name, place), **SERIES[name]} for name in SERIES]
        else:
            rows += [{**_series(place), **keys, **_scan(name, table)} for name in SCANS]
    return table.arrow([{k: v for k, v in row.items() if k in table.names} for row in rows])


def _stack(name: str, place: int) -> Row:
    return {
        "stack_id": name, "source": "dicom", "n_files": 40, "n_slices": 40, "rescale_slope": 1.0,
        "rescale_varies": False, "content_digest": f"{place:032}", "image_path": f"images/{name}.nii.gz",
        "image_sha256": "3" * 64, "status": "ok",
    }  # fmt: skip


def _scan(name: str, table: Table) -> Row:
    is_muscles = name in FI_METHODS
    series = SERIES[SCANS[name][0]]
    slabs = [_slab(level, scheme) for level, scheme in LEVELS] if is_muscles else None
    row: Row = {
        "scan_id": name, "stack_ids": list(SCANS[name]), "plane": series["plane"], "sequence": series["sequence"],
        "role": "muscles" if is_muscles else "spine", "image_path": f"images/{name}.nii.gz",
        "image_sha256s": ["3" * 64] * len(SCANS[name]), "dseg_path": "images/dseg.nii.gz", "dseg_sha256": "4" * 64,
        "model": "muscles@0.1.0" if is_muscles else "spine@0.1.0", "model_sha256": "5" * 64, "status": "ok",
        "uncertainty": [{"label": 5101 + k, "entropy": 0.1, "flip_disagreement": 0.05} for k in range(8)],
        "slabs": slabs, "level_source": "sagittal_transfer", "level_scan_id": "sagT2w",
        "level_numbering": "counted_from_sacrum", "lstv_suspected": False, "light": "green", "flags": [],
        "overlay_path": "images/overlay.png",
    }  # fmt: skip
    if table is MEASURE and is_muscles:
        row["metrics"] = [m for level in LEVELS for m in _metrics(name, *level)]
    if table is QUALITY_SHARD and is_muscles:
        flag = {"muscle": "multifidus", "side": "left", "level": "L5", "light": "amber", "reason_code": "OUTLIER"}
        row |= {"light": "amber", "flags": [flag, {**flag, "level": "L4_L5", "reason_code": "SEG_IMPLAUSIBLE"}]}
    return row


def _slab(level: str, scheme: LevelScheme) -> Row:
    weights = [0.0] * 10 + [0.4, *[1.0] * 6, 0.7] + [0.0] * 22
    return {
        "level": level, "level_scheme": scheme.value, "slice_weights": weights, "coverage_frac": 1.0,
        "confidence": 0.9, "slice_tilt_deg": 6.0, "body_area_mm2": 1500.0, "centre_mm": [0.0, 0.0, 0.0],
    }  # fmt: skip


def _metrics(scan: str, level: str, scheme: LevelScheme) -> list[Row]:
    base = {
        "level": level, "level_scheme": scheme.value, "n_slices": 7.1, "coverage_frac": 1.0, "slice_tilt_deg": 6.0,
        "truncated_fov": False, "level_source": "sagittal_transfer", "level_numbering": "counted_from_sacrum",
        "level_confidence": 0.9, "lstv_suspected": False, "sequence": SERIES[SCANS[scan][0]]["sequence"],
        "model_sha256": "5" * 64, "asym_abs_pct": 3.0, "fi_eroded": 0.1, "fi_dilated": 0.2,
        **dict.fromkeys(NUMBERS, 100.0), "fi": 0.15,
    }  # fmt: skip
    return [
        {**base, "muscle": muscle.value, "side": side.value, "fi_method": method.value}
        for muscle in Muscle
        for side in Side
        for method in FI_METHODS[scan]
    ]


def _renamed(template: pa.Table, keys: list[tuple[str, str]], random: np.random.Generator) -> pa.Table:
    """The template's rows of as many sessions as there are ``keys``, under their names, with numbers of their own."""
    places = np.array([int(place) for place in template["session"].to_pylist()])
    table = template.filter(pa.array(places < len(keys)))
    owners = [keys[place] for place in places[places < len(keys)]]
    new: dict[str, Any] = {"subject": [subject for subject, _ in owners], "session": [session for _, session in owners]}
    for column in ("stack_id", "scan_id"):
        if column in table.column_names:
            prefix = [f"sub-{a}_ses-{b}_acq-" if column == "scan_id" else b for a, b in owners]
            new[column] = [a + b for a, b in zip(prefix, table[column].to_pylist(), strict=True)]
    if "stack_ids" in table.column_names:
        stacks = table["stack_ids"].to_pylist()
        new["stack_ids"] = [[b + stack for stack in row] for (_, b), row in zip(owners, stacks, strict=True)]
    for name, values in new.items():
        field = table.schema.field(name)
        table = table.set_column(table.column_names.index(name), field, pa.array(values, field.type))
    if "metrics" in table.column_names:
        field = table.schema.field("metrics")
        table = table.set_column(table.column_names.index("metrics"), field, _noisy(table["metrics"], random))
    return table


def _noisy(metrics: pa.ChunkedArray, random: np.random.Generator) -> pa.Array:
    """The same metric rows with every measure a few per cent larger or smaller."""
    lists = metrics.combine_chunks()
    rows = lists.flatten()
    children = [
        pa.array(column.to_numpy(zero_copy_only=False) * random.normal(1, 0.1, len(column)))
        if field.name in NUMBERS
        else column
        for field, column in zip(rows.type, rows.flatten(), strict=True)
    ]
    structs = pa.StructArray.from_arrays(children, fields=list(rows.type))
    offsets = pa.array(np.concatenate([[0], np.cumsum([len(x) if x else 0 for x in lists.to_pylist()])]), pa.int32())
    return pa.ListArray.from_arrays(offsets, structs, type=lists.type, mask=lists.is_null())


def _inventory(convert: pa.Table, shard: int, days: dict[str, int]) -> pa.Table:
    stacks = convert.select(list(SESSION_STACKS.names))
    more = {
        "shard": pa.array([shard] * len(stacks), pa.int64()),
        "days_from_first_visit": pa.array([days[x] for x in stacks["session"].to_pylist()], pa.int64()),
        "decided_by": pa.array(["ingest"] * len(stacks)),
    }
    return pa.table({name: more[name] if name in more else stacks[name] for name in INVENTORY.names})


def n_rows(results: Path) -> dict[str, int]:
    """Rows of every cohort table."""
    return {path.stem: pq.read_metadata(path).num_rows for path in sorted((results / "tables").glob("*.parquet"))}
