from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paraspinal.core.errors import DamagedError
from paraspinal.core.records import schemas
from paraspinal.core.records.tables import Column, Table

TABLE = Table(
    "t",
    "a test",
    (Column("k", pa.string(), "key"), Column("v", pa.float64(), "value", "mm", null_meaning="unknown")),
    ("k",),
)


def test_rows_round_trip_sorted_and_byte_equal(tmp_path: Path) -> None:
    rows = [{"k": "b", "v": 0.1}, {"k": "a", "v": None}]
    TABLE.write(tmp_path / "1.parquet", rows)
    TABLE.write(tmp_path / "2.parquet", rows[::-1])
    assert TABLE.read(tmp_path / "1.parquet") == [{"k": "a", "v": None}, {"k": "b", "v": 0.1}]
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


def test_an_all_null_column_keeps_its_type(tmp_path: Path) -> None:
    TABLE.write(tmp_path / "t.parquet", [{"k": "a", "v": None}])
    assert pq.read_schema(tmp_path / "t.parquet").field("v").type == pa.float64()


def test_unit_and_meaning_of_null_travel_with_the_file(tmp_path: Path) -> None:
    TABLE.write(tmp_path / "t.parquet", [])
    meta = pq.read_schema(tmp_path / "t.parquet").field("v").metadata
    assert meta[b"unit"] == b"mm"
    assert meta[b"null"] == b"unknown"


def test_unknown_columns_and_null_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown"):
        TABLE.arrow([{"k": "a", "w": 1}])
    with pytest.raises(ValueError, match="null"):
        TABLE.arrow([{"k": None, "v": 1.0}])


def test_a_file_of_another_schema_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"k": ["a"]}), tmp_path / "t.parquet")
    with pytest.raises(DamagedError, match="schema"):
        TABLE.read(tmp_path / "t.parquet")


def test_doubles_are_not_rounded(tmp_path: Path) -> None:
    value = 0.1 + 0.2
    TABLE.write(tmp_path / "t.parquet", [{"k": "a", "v": value}])
    assert TABLE.read(tmp_path / "t.parquet")[0]["v"] == value


ALL = [t for t in vars(schemas).values() if isinstance(t, Table)]


@pytest.mark.parametrize("table", ALL, ids=lambda t: t.name)
def test_every_column_is_described_and_units_agree_with_names(table: Table) -> None:
    units = {
        "_mm": "mm",
        "_mm2": "mm2",
        "_mm3": "mm3",
        "_deg": "degree",
        "_ms": "ms",
        "_pct": "%",
        "_frac": "1",
        "_t": "T",
    }
    for column in table.columns:
        assert column.description or column.formula, column.name
        for ending, unit in units.items():
            if column.name.endswith(ending):
                assert column.unit == unit, column.name


def test_cohort_tables_share_their_keys() -> None:
    for table in (schemas.SCANS, schemas.LEVELS, schemas.METRICS, schemas.QUALITY):
        assert {"subject", "session", "scan_id", "activity_id"} <= set(table.names)
    assert {"muscle", "side", "level", "level_scheme"} <= set(schemas.METRICS.key)
