"""Simulate what the stages leave of a large cohort: a results folder that the workflow takes for one of its own.

Every session has what a lumbar study has: a localizer, two sagittal series, an axial T2w stack with all its levels, a
Dixon set of four images, and a report. One shard is made row by row; the others repeat it under other names and with
other numbers, so that ten thousand sessions take minutes and not days. What lies beside the tables - images, receipts -
is left out: neither planning nor aggregation opens it.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from paraspinal.cohort.running.plan import SHARD_STAGES, sources, stage
from paraspinal.cohort.running.runs import RUN_CONFIG
from paraspinal.core.files import sha256_file, write_text
from paraspinal.core.levels import LUMBAR_BLOCK, STACK
from paraspinal.core.records.notes import Note
from paraspinal.core.records.people_schemas import COVARIATES
from paraspinal.core.records.receipts import UNITS, Receipt, recipe_digest, unit_row, units_path
from paraspinal.core.records.registry import INVENTORY_PATH, SHEET_FACTS_PATH, Registry, Session, shard_path
from paraspinal.core.records.schemas import CONVERT, INVENTORY, MEASURE, QUALITY_SHARD, SESSION_STACKS
from paraspinal.core.records.seals import COHORT, write_seal
from paraspinal.core.records.shards import tables_digest
from paraspinal.core.records.tables import Row, Table, write_arrow
from paraspinal.core.records.views import read_rows
from paraspinal.core.settings import Settings, load_settings, read_config
from paraspinal.core.vocab import LevelScheme, Muscle, Side
from paraspinal.stages.measure.fat import fat_methods

SHARD_SIZE = 32
N_SLICES = 60
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
    "axT2w": ("t1t2_sat_anchored", "t1t2_gmm3_musclemap"),
    "dixon": ("dixon_ff_ratio_of_sums", "dixon_ff_voxel_mean"),
}
NUMBERS = ("volume_mm3", "acsa_mm2", "csa_mid_mm2", "csa_perp_mm2", "fcsa_mm2", "rcsa_vb", "asym_signed_pct", "fi")
"""Measures that differ from person to person."""
AREAS_MM2 = [900.0 * np.sin(np.pi * (k + 0.5) / N_SLICES) if 4 <= k < N_SLICES - 3 else None for k in range(N_SLICES)]
"""Cross-sections of a muscle slice by slice; it ends before the stack does."""


INGEST = "ingest"
INGEST_STAMP = "shards/ingest.done"
MARKS = (
    "subject", "session", "stack_id", "scan_id", "role", "sequence", "levels_from_same_image", "series_id", "stack_ids",
    *sorted({column for method in fat_methods() for column in method.needs}),
)  # fmt: skip
"""Columns by which a stage tells which of its parameters and models a unit depends on."""


def settings_for(results: Path, **over: Any) -> Settings:
    """Settings of a run that has these results, with a private folder beside them."""
    base = {"out": str(results), "private_dir": str(results.parent / "private"), "shard_size": SHARD_SIZE}
    return load_settings(read_config(None, {**base, **over}))


def simulate(results: Path, n_sessions: int, seed: int = 5) -> None:
    """Write what every shard stage leaves of a cohort of ``n_sessions`` sessions, and what ingest does."""
    cohort = _Cohort(results, seed)
    cohort.add(n_sessions)
    template = {name: _template(stage(name).makes) for name in SHARD_STAGES}
    for shard, keys in cohort.members.items():
        for name in SHARD_STAGES:
            write_arrow(shard_path(results, name, shard), _renamed(template[name], keys, cohort.random))
            _write_units(cohort, name, shard)
    write_notes(results)


def write_notes(results: Path) -> None:
    """Write the notes that finished shards leave beside their tables."""
    for shard in Registry.read(results).shard_numbers:
        for name in SHARD_STAGES:
            columns = ["subject", "session", "status", "reason_code"]
            rows = pq.read_table(shard_path(results, name, shard), columns=columns).to_pylist()
            units = pq.read_table(units_path(results, name, shard), columns=["unit"])["unit"].to_pylist()
            Note(results, name, shard, [(unit, [_session(unit)]) for unit in units]).finished(rows)


def _session(unit: str) -> Row:
    """Keys of the session that a unit of work belongs to."""
    subject, session = unit.split("_")[:2]
    return {"subject": subject.removeprefix("sub-"), "session": session.removeprefix("ses-")}


def add_sessions(results: Path, n_sessions: int, seed: int = 6) -> None:
    """Write what ingest leaves when so many new sessions have come to a simulated cohort."""
    cohort = _Cohort(results, seed)
    known = pq.read_table(results / INVENTORY_PATH, columns=["session", "days_from_first_visit"]).to_pylist()
    cohort.days = {row["session"]: row["days_from_first_visit"] for row in known}
    cohort.add(n_sessions)


class _Cohort:
    """A results folder and who is in which shard, those who came first standing first."""

    def __init__(self, results: Path, seed: int) -> None:
        self.results, self.random = results, np.random.default_rng(seed)
        self.registry = Registry.read(results)
        self.settings = settings_for(results)
        self.recipes = {name: stage(name).recipe(self.settings) for name in SHARD_STAGES}
        self.stacks = _template(SESSION_STACKS)
        self.days: dict[str, int] = {}
        self.members: dict[int, list[Session]] = {}
        for key, shard in self.registry.shards.items():
            self.members.setdefault(shard, []).append(key)

    def add(self, n_sessions: int) -> None:
        """Deal new sessions to shards and write all that ingest writes, as ingest does: what changed and no more."""
        sessions = _sessions(n_sessions, self.random)
        self.days |= {session: day for _, session, day in sessions}
        known = self.registry.shards
        self.registry = self.registry.deal([(subject, session) for subject, session, _ in sessions], SHARD_SIZE)
        self.registry.write(self.results)
        for key in (key for key in self.registry.shards if key not in known):
            self.members.setdefault(self.registry.shards[key], []).append(key)
        grown = {shard for key, shard in self.registry.shards.items() if key not in known}
        parts = []
        for shard, keys in self.members.items():
            found = _renamed(self.stacks, keys, self.random)
            parts.append(_inventory(found, shard, self.days))
            if shard in grown:
                path = shard_path(self.results, INGEST, shard)
                write_arrow(path, found)
                write_seal(self.results, INGEST, shard, [path])
        write_arrow(self.results / INVENTORY_PATH, pa.concat_tables(parts).sort_by("stack_id").cast(INVENTORY.schema))
        COVARIATES.write(self.results / SHEET_FACTS_PATH, [])
        write_seal(self.results, INGEST, COHORT, [self.results / INVENTORY_PATH, self.results / SHEET_FACTS_PATH])
        write_text(self.results / RUN_CONFIG, yaml.safe_dump(self.settings.public(), sort_keys=False))
        (self.results / INGEST_STAMP).touch()


def _write_units(cohort: _Cohort, name: str, shard: int) -> None:
    """Sum up receipts as the stage would have left them, each with a second of work.

    Of convert the digest of what it read is the true one, for its input is what grows; of the others the table they
    read is known to be the same.
    """
    found, read, results = stage(name), sources(name), cohort.results
    columns = found.reads if name in ("convert", "harmonize") else [c for c in MARKS if c in found.reads]
    rows = [{**dict.fromkeys(found.reads), **row} for row in read_rows(results, read, shard, columns)]
    recipe, summary = cohort.recipes[name], []
    table, units = shard_path(results, name, shard), units_path(results, name, shard)
    same = (tables_digest(results, read, shard), recipe_digest(recipe), sha256_file(table))
    for unit, members in found.units(rows):
        activity = found.applied(recipe, members, cohort.settings)
        summary.append(unit_row(unit, Receipt(activity, [], [], [], "", 1.0, 0.0), *same))
    UNITS.write(units, summary)
    write_seal(results, name, shard, (table, units))


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
        "slice_thickness_mm": 4.0, "size": [400, 400, N_SLICES], "spacing_mm": [0.75, 0.75, 4.4],
        "origin_mm": [-120.0, -120.0, 31.5], "direction": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    }  # fmt: skip


def _template(table: Table) -> pa.Table:
    """A shard of sessions named by their number in it, with typical values."""
    rows: list[Row] = []
    for place in range(SHARD_SIZE):
        keys = {"subject": f"{place:02}", "session": f"{place:02}", "activity_id": "0123456789abcdef01234567"}
        if table in (SESSION_STACKS, CONVERT):
            rows += [{**_series(place), **keys, **_stack(name, place), **SERIES[name]} for name in SERIES]
        else:
            rows += [{**_series(place), **keys, **_scan(name, table)} for name in SCANS]
    return table.arrow([{k: v for k, v in row.items() if k in table.names} for row in rows])


def _stack(name: str, place: int) -> Row:
    return {
        "stack_id": name, "source": "dicom", "n_files": N_SLICES, "n_slices": N_SLICES, "rescale_slope": 1.0,
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
        "model": "muscles@0.2.0" if is_muscles else "spine@0.1.0", "model_sha256": "5" * 64, "status": "ok",
        "label_disagreement": [{"label": 5101 + k, "entropy": 0.1, "flip_disagreement": 0.05} for k in range(8)],
        "slabs": slabs, "level_source": "sagittal_transfer", "level_scan_id": "sagT2w",
        "level_numbering": "counted_from_sacrum", "lstv_suspected": False, "light": "green", "flags": [],
        "overlay_path": "images/overlay.png", "levels_from_same_image": False if is_muscles else None,
    }  # fmt: skip
    if table is MEASURE and is_muscles:
        row["areas"] = [{"muscle": m.value, "side": s.value, "csa_mm2": AREAS_MM2} for m in Muscle for s in Side]
        row["metrics"] = [m for level in LEVELS for m in _metrics(name, *level)]
    if table is QUALITY_SHARD and is_muscles:
        flag = {"muscle": "multifidus", "side": "left", "level": "L5", "light": "amber", "reason_code": "OUTLIER"}
        row |= {"light": "amber", "flags": [flag, {**flag, "level": "L4_L5", "reason_code": "SEG_IMPLAUSIBLE"}]}
    return row


def _slab(level: str, scheme: LevelScheme) -> Row:
    weights = [0.0] * 10 + [0.4, *[1.0] * 6, 0.7] + [0.0] * (N_SLICES - 18)
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
        {**base, "muscle": muscle.value, "side": side.value, "fi_method": method}
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
            names = zip(owners, table[column].to_pylist(), strict=True)
            is_scan = column == "scan_id"
            new[column] = [f"sub-{a}_ses-{b}_acq-{name}_MR" if is_scan else b + name for (a, b), name in names]
    if "stack_ids" in table.column_names:
        stacks = table["stack_ids"].to_pylist()
        new["stack_ids"] = [[b + stack for stack in row] for (_, b), row in zip(owners, stacks, strict=True)]
    for name, values in new.items():
        field = table.schema.field(name)
        table = table.set_column(table.column_names.index(name), field, pa.array(values, field.type))
    for column, make in (("metrics", _noisy_metrics), ("areas", _noisy_areas)):
        if column in table.column_names:
            place, field = table.column_names.index(column), table.schema.field(column)
            table = table.set_column(place, field, make(table[column].combine_chunks(), random))
    return table


def _noisy_metrics(lists: pa.ListArray, random: np.random.Generator) -> pa.Array:
    """The same metric rows with every measure a few per cent larger or smaller."""
    rows = lists.flatten()
    children = [
        _noisy(column, random) if field.name in NUMBERS else column
        for field, column in zip(rows.type, rows.flatten(), strict=True)
    ]
    return _as_lists(pa.StructArray.from_arrays(children, fields=list(rows.type)), lists)


def _noisy_areas(lists: pa.ListArray, random: np.random.Generator) -> pa.Array:
    """The same cross-sections, every one a few per cent larger or smaller."""
    muscles = lists.flatten()
    muscle, side, areas = muscles.flatten()
    children = [muscle, side, _as_lists(_noisy(areas.flatten(), random), areas)]
    return _as_lists(pa.StructArray.from_arrays(children, fields=list(muscles.type)), lists)


def _noisy(values: pa.Array, random: np.random.Generator) -> pa.Array:
    return pc.multiply(values, pa.array(random.normal(1, 0.1, len(values))))


def _as_lists(values: pa.Array, like: pa.ListArray) -> pa.Array:
    """Values in lists as long as those of another array, null where those are."""
    lengths = pc.fill_null(pc.list_value_length(like), 0).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, values, type=like.type, mask=like.is_null())


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
