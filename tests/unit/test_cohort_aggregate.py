"""Aggregation: counts in = counts out, nulls stay null, and too many failures stop the cohort."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stage_runs import put_table

from paraspinal.cohort.running.plan import SHARD_STAGES
from paraspinal.cohort.tables.aggregate import aggregate
from paraspinal.cohort.tables.dictionary import dictionary
from paraspinal.cohort.tables.outliers import Limits
from paraspinal.cohort.tables.shard_to_cohort import _covered, explode
from paraspinal.core.errors import CircuitBreakerError, ResultsError
from paraspinal.core.records.people_schemas import COVARIATES
from paraspinal.core.records.receipts import UNITS, units_path
from paraspinal.core.records.registry import INVENTORY_PATH, SHEET_FACTS_PATH, Registry, shard_path
from paraspinal.core.records.schemas import (
    COHORT_TABLES,
    CONVERT,
    HARMONIZE,
    INVENTORY,
    LEVELS_SHARD,
    MEASURE,
    QUALITY_SHARD,
    SEGMENT,
)
from paraspinal.core.records.seals import COHORT, write_seal
from paraspinal.core.records.tables import Row, Table
from paraspinal.core.settings import FailureLimitSettings
from paraspinal.core.vocab import LevelScheme, Light, Reason, Status

FAILURE_LIMIT = FailureLimitSettings(max_failed_frac=0.1, min_items=20)


def stack(number: int, status: str = "ok", **more: Any) -> Row:
    return {
        "stack_id": f"k{number}",
        "subject": f"p{number // 2}",
        "session": f"s{number // 2}",
        "shard": 1,
        "days_from_first_visit": 0,
        "source": "dicom",
        "n_files": 20,
        "plane": "axial",
        "sequence": "T2w",
        "is_fat_suppressed": False,
        "decided_by": "ingest",
        "status": status,
        "reason_code": None if status == "ok" else "SLICE_MISSING",
        **more,
    }


def scan(number: int, status: str = "ok", **more: Any) -> Row:
    return {
        **{k: stack(number)[k] for k in ("subject", "session", "plane", "sequence", "is_fat_suppressed")},
        "scan_id": f"scan{number}",
        "stack_ids": [f"k{number}"],
        "image_sha256s": ["0"],
        "role": "muscles",
        "status": status,
        "reason_code": None if status == "ok" else "SEG_EMPTY",
        "activity_id": "a",
        **more,
    }


SLAB = {"level": "L3", "level_scheme": "vertebra_slab", "slice_weights": [0.0, 0.5, 1.0, 0.25], "coverage_frac": 1.0}
METRIC = {
    "muscle": "multifidus",
    "side": "left",
    "level": "L3",
    "level_scheme": "vertebra_slab",
    "volume_mm3": None,
    "acsa_mm2": 0.1 + 0.2,
    "level_source": "sagittal_transfer",
    "level_numbering": "counted_from_sacrum",
    "sequence": "T2w",
    "model_sha256": "0",
}
FLAG = {"muscle": "multifidus", "side": "left", "light": "amber", "reason_code": "OUTLIER"}


def put(results: Path, stacks: list[Row], scans: list[Row], flags: dict[str, list[Row]] | None = None) -> None:
    """Write what the stages would leave for one shard."""

    def table(kind: Table, rows: list[Row]) -> list[Row]:
        return [{k: v for k, v in row.items() if k in kind.names} for row in rows]

    Registry({}).deal({(r["subject"], r["session"]) for r in stacks if r["session"]}, 1000).write(results)
    COVARIATES.write(results / SHEET_FACTS_PATH, [])
    put_inventory(results, stacks)
    converted = [{**r, "activity_id": "a"} for r in stacks if r["session"]]
    put_table(results, "convert", CONVERT, table(CONVERT, converted))
    put_table(results, "harmonize", HARMONIZE, table(HARMONIZE, scans))
    put_table(results, "segment", SEGMENT, table(SEGMENT, scans))
    put_table(results, "levels", LEVELS_SHARD, table(LEVELS_SHARD, [{**r, "slabs": [SLAB]} for r in scans]))
    put_table(results, "measure", MEASURE, table(MEASURE, [{**r, "metrics": [METRIC]} for r in scans]))
    flags = flags or {}
    lit = [
        {**r, "flags": flags.get(r["scan_id"], []), "light": "amber" if r["scan_id"] in flags else "green"}
        for r in scans
    ]
    put_table(results, "quality", QUALITY_SHARD, table(QUALITY_SHARD, lit))
    for name in SHARD_STAGES:
        UNITS.write(units_path(results, name, 1), [])


def put_inventory(results: Path, stacks: list[Row]) -> None:
    INVENTORY.write(results / INVENTORY_PATH, stacks)
    write_seal(results, "ingest", COHORT, [results / INVENTORY_PATH, results / SHEET_FACTS_PATH])


def read(results: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(results / "tables" / f"{name}.parquet")


def test_every_row_comes_through_and_nothing_is_rounded(tmp_path: Path) -> None:
    put(
        tmp_path, [stack(n) for n in range(4)], [scan(n) for n in range(4)], {"scan1": [FLAG, FLAG | {"side": "right"}]}
    )
    counts = aggregate(tmp_path, FAILURE_LIMIT)
    assert counts == {
        "inventory": 4, "scans": 4, "levels": 4, "metrics": 4, "slices": 0, "quality": 5,
        "participants": 2, "covariates": 0, "activities": 0,
    }  # fmt: skip
    metrics = read(tmp_path, "metrics")
    assert (metrics.acsa_mm2 == 0.1 + 0.2).all()
    assert metrics.volume_mm3.isna().all()
    levels = read(tmp_path, "levels")
    assert (levels.first_slice == 1).all()
    assert (levels.last_slice == 3).all()
    assert (levels.n_slices == 1.75).all()
    quality = read(tmp_path, "quality")
    assert sorted(quality.light) == ["amber", "amber", "green", "green", "green"]


def test_files_have_the_declared_schema(tmp_path: Path) -> None:
    put(tmp_path, [stack(0)], [scan(0)])
    aggregate(tmp_path, FAILURE_LIMIT)
    for table in COHORT_TABLES:
        assert pq.read_schema(tmp_path / "tables" / f"{table.name}.parquet").equals(table.schema), table.name


def test_the_same_shards_give_the_same_bytes(tmp_path: Path) -> None:
    put(tmp_path, [stack(n) for n in range(4)], [scan(n) for n in range(4)])
    aggregate(tmp_path, FAILURE_LIMIT)
    first = {p.name: p.read_bytes() for p in (tmp_path / "tables").iterdir()}
    aggregate(tmp_path, FAILURE_LIMIT)
    assert {p.name: p.read_bytes() for p in (tmp_path / "tables").iterdir()} == first


def test_the_last_word_on_a_stack_is_converts(tmp_path: Path) -> None:
    put(tmp_path, [stack(0), stack(1)], [scan(0)])
    rows = CONVERT.read(shard_path(tmp_path, "convert", 1))
    rows[1] |= {"status": "failed", "reason_code": "CONSTANT_IMAGE"}
    put_table(tmp_path, "convert", CONVERT, rows)
    aggregate(tmp_path, FAILURE_LIMIT)
    inventory = read(tmp_path, "inventory").set_index("stack_id")
    assert inventory.loc["k1", ["status", "reason_code", "decided_by"]].tolist() == [
        "failed",
        "CONSTANT_IMAGE",
        "convert",
    ]
    assert inventory.loc["k0", "decided_by"] == "ingest"


def test_what_ingest_noted_of_the_cohort_reaches_the_scan(tmp_path: Path) -> None:
    """Shards do not change when people are added, so convert passes the stack as ok."""
    put(tmp_path, [stack(0), stack(1), stack(2)], [scan(0), scan(1), scan(2)], {"scan2": [FLAG]})
    short = {"reason_code": "SLICE_MISSING", "detail": "4 slices where the protocol has 5"}
    noted = [stack(0), stack(1, "warn", **short), stack(2, "warn", **short)]
    put_inventory(tmp_path, noted)
    aggregate(tmp_path, FAILURE_LIMIT)
    inventory = read(tmp_path, "inventory").set_index("stack_id")
    assert inventory.status.to_dict() == {"k0": "ok", "k1": "warn", "k2": "warn"}
    assert set(inventory.decided_by) == {"ingest"}
    scans = read(tmp_path, "scans").set_index("scan_id")
    assert scans.status.to_dict() == {"scan0": "ok", "scan1": "warn", "scan2": "warn"}
    assert scans.light.to_dict() == {"scan0": "green", "scan1": "amber", "scan2": "amber"}
    assert scans.detail["scan1"] == short["detail"]
    quality = read(tmp_path, "quality")
    flags = quality[["scan_id", "light", "reason_code"]].astype(object).fillna("").values.tolist()
    assert sorted(map(tuple, flags)) == [
        ("scan0", "green", ""),
        ("scan1", "amber", "SLICE_MISSING"),
        ("scan2", "amber", "OUTLIER"),
        ("scan2", "amber", "SLICE_MISSING"),
    ]


def test_visits_are_numbered_by_day(tmp_path: Path) -> None:
    stacks = [
        stack(0, subject="p", session="late", days_from_first_visit=371),
        stack(1, subject="p", session="early", days_from_first_visit=0),
    ]
    scans = [scan(0, subject="p", session="late"), scan(1, subject="p", session="early")]
    put(tmp_path, stacks, scans)
    aggregate(tmp_path, FAILURE_LIMIT)
    found = read(tmp_path, "scans").set_index("session")
    assert found.visit.to_dict() == {"early": 1, "late": 2}
    assert found.days_from_first_visit.to_dict() == {"early": 0, "late": 371}


@pytest.mark.parametrize("harm", ["lost", "twice"])
def test_a_stack_lost_or_doubled_on_the_way_stops_the_cohort(tmp_path: Path, harm: str) -> None:
    scans = [scan(0)] if harm == "lost" else [scan(0), scan(1), scan(1, scan_id="again")]
    put(tmp_path, [stack(0), stack(1)], scans)
    with pytest.raises(ResultsError):
        aggregate(tmp_path, FAILURE_LIMIT)
    assert not (tmp_path / "tables").exists()


def test_stages_must_agree_on_the_scans(tmp_path: Path) -> None:
    put(tmp_path, [stack(0), stack(1)], [scan(0), scan(1)])
    rows = MEASURE.read(shard_path(tmp_path, "measure", 1))
    put_table(tmp_path, "measure", MEASURE, rows[:1])
    with pytest.raises(ResultsError):
        aggregate(tmp_path, FAILURE_LIMIT)


@pytest.mark.parametrize(("n_failed", "n", "stops"), [(2, 20, False), (3, 20, True), (9, 10, False)])
def test_circuit_breaker(tmp_path: Path, n_failed: int, n: int, stops: bool) -> None:
    scans = [scan(k, "failed" if k < n_failed else "ok") for k in range(n)]
    put(tmp_path, [stack(k) for k in range(n)], scans)
    if not stops:
        aggregate(tmp_path, FAILURE_LIMIT)
        return
    with pytest.raises(CircuitBreakerError, match=r"3 of 20 scans failed \(SEG_EMPTY 3\)"):
        aggregate(tmp_path, FAILURE_LIMIT)


def test_excluded_stacks_do_not_trip_the_breaker(tmp_path: Path) -> None:
    stacks = [stack(k) for k in range(4)] + [stack(k, "excluded", reason_code="LOCALIZER") for k in range(4, 60)]
    put(tmp_path, stacks, [scan(k) for k in range(4)])
    assert aggregate(tmp_path, FAILURE_LIMIT)["inventory"] == 60


def test_an_empty_cohort_has_empty_tables(tmp_path: Path) -> None:
    put(tmp_path, [], [])
    assert set(aggregate(tmp_path, FAILURE_LIMIT).values()) == {0}
    assert len(read(tmp_path, "metrics")) == 0


def test_explode_keeps_parents_and_skips_nulls() -> None:
    kind = pa.list_(pa.struct([("x", pa.int64())]))
    table = pa.table({"k": ["a", "b", "c"], "v": pa.array([[{"x": 1}, {"x": 2}], None, [{"x": None}]], kind)})
    assert explode(table, "v", ("k",)).to_pylist() == [{"k": "a", "x": 1}, {"k": "a", "x": 2}, {"k": "c", "x": None}]


def test_dictionary_describes_every_column() -> None:
    found = dictionary()
    for table in COHORT_TABLES:
        described = {c["name"]: c for c in found["tables"][table.name]["columns"]}
        assert tuple(described) == table.names
        for column in described.values():
            assert set(column) == {"name", "type", "unit", "description", "formula", "null_meaning"}
            assert column["null_meaning"]
    assert found["fi_method"]["dixon_ff_ratio_of_sums"] == {
        "title": "Dixon, ratio of sums",
        "short_name": "rs",
        "definition": "sum F / sum (F + W) inside the mask",
        "gate": None,
        "sequences": ["dixon"],
    }


def test_dictionary_is_complete_for_every_column_now_and_later() -> None:
    """Name, type, meaning, unit of every number that has one by its name, and what null means; codes are defined."""
    found = dictionary()
    assert set(found["tables"]) == {table.name for table in COHORT_TABLES}
    for table in COHORT_TABLES:
        about = found["tables"][table.name]
        assert about["description"]
        assert set(about["key"]) <= set(table.names)
        for column in about["columns"]:
            assert re.fullmatch(r"[a-z][a-z0-9_]{0,31}", column["name"])
            assert column["description"] or column["formula"], column["name"]
            if column["type"] == "double" or "list<item: double" in column["type"]:
                assert column["unit"], f"{table.name}.{column['name']} has no unit"
            never = column["null_meaning"] == "never null"
            assert never != table.schema.field(column["name"]).nullable, column["name"]
    for vocabulary, known in (
        ("level_scheme", LevelScheme), ("status", Status), ("light", Light),
        ("reason_code", Reason),
    ):  # fmt: skip
        assert set(found[vocabulary]) == set(known)
    assert "Ashman's D of the two-component mixture above 2" in found["fi_method"]["t1t2_sat_anchored"]["gate"]


def test_a_value_far_from_the_like_turns_its_scan_amber(tmp_path: Path) -> None:
    areas = [500.0 + number for number in range(24)] + [2000.0]
    scans = [scan(n) for n in range(len(areas))]
    put(tmp_path, [stack(n) for n in range(len(areas))], scans)
    metrics = [{**row, "metrics": [{**METRIC, "acsa_mm2": area}]} for row, area in zip(scans, areas, strict=True)]
    rows = [{name: row.get(name) for name in MEASURE.names} for row in metrics]
    put_table(tmp_path, "measure", MEASURE, rows)
    aggregate(tmp_path, FAILURE_LIMIT, Limits(max_robust_z=3.5, min_peers=20))
    flags = read(tmp_path, "quality").dropna(subset=["reason_code"])
    assert list(zip(flags.scan_id, flags.light, flags.reason_code, strict=True)) == [("scan24", "amber", "OUTLIER")]
    assert read(tmp_path, "scans").set_index("scan_id").light.to_dict()["scan24"] == "amber"


@pytest.mark.parametrize("rows", [[], [None], [[]], [[0.0]], "many"])
def test_slices_covered_by_weights_are_those_a_plain_loop_finds(rows: list[list[float] | None] | str) -> None:
    if rows == "many":
        random = np.random.default_rng(0)
        rows = [None, [0.0, 0.0], [0.3, 1.0, 0.2], [0.0, 0.5, 0.0]]
        rows += [(random.random(n) * (random.random(n) > 0.5)).tolist() for n in random.integers(0, 9, 500)]
    found = _covered(pa.array(rows, pa.list_(pa.float64())))
    covered = [[k for k, weight in enumerate(row or []) if weight > 0] for row in rows]
    assert found["first_slice"].to_pylist() == [slices[0] if slices else None for slices in covered]
    assert found["last_slice"].to_pylist() == [slices[-1] if slices else None for slices in covered]
    sums = [sum(row) if slices else None for row, slices in zip(rows, covered, strict=True)]
    assert found["n_slices"].to_pylist() == sums
