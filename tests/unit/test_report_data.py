"""What the report reads, and which values it trusts."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_factory import CohortFactory, empty_results

from paraspinal.core.errors import InputError
from paraspinal.core.records.schemas import SCANS
from paraspinal.core.vocab import Light
from paraspinal.stages.report.data import flagged, read_cohort, sizes

KEYS_PER_SCAN = 5 * 4 * 2
"""Levels, muscles, sides."""


@pytest.fixture
def make(tmp_path: Path) -> CohortFactory:
    return CohortFactory(tmp_path)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({}, KEYS_PER_SCAN),
        ({"muscle": "multifidus"}, 10),
        ({"muscle": "multifidus", "side": "left"}, 5),
        ({"muscle": "multifidus", "side": "left", "level": "L3"}, 1),
        ({"level": "L3"}, 8),
        ({"side": "right"}, 20),
    ],
)
def test_flag_covers_exactly_what_it_names(make: CohortFactory, part: dict[str, str], expected: int) -> None:
    first, other = make.scan("p1", 1, "a"), make.scan("p2", 1, "a")
    make.measure(first)
    make.measure(other)
    make.flag(first, "red", "SEG_IMPLAUSIBLE", **part)
    make.flag(other, "amber", "FOV_TRUNCATED", **part)
    cohort = read_cohort(make.write())
    marked = cohort.metrics[flagged(cohort.metrics, cohort.quality, Light.RED)]
    assert len(marked) == expected
    assert set(marked["subject"]) == {"p1"}
    for column, value in part.items():
        assert set(marked[column]) == {value}
    assert len(cohort.usable) == 2 * KEYS_PER_SCAN - expected


def test_flags_of_several_shapes_add_up(make: CohortFactory) -> None:
    scan = make.scan("p1", 1, "a")
    make.measure(scan)
    make.flag(scan, "red", "OUTLIER", muscle="multifidus", side="left")
    make.flag(scan, "red", "OUTLIER", muscle="multifidus", level="L1")
    cohort = read_cohort(make.write())
    assert len(cohort.metrics) - len(cohort.usable) == 5 + 2 - 1


def test_size_counts_once_whatever_the_number_of_fat_methods(make: CohortFactory) -> None:
    scan = make.scan("p1", 1, "a")
    make.measure(scan, methods=("dixon_ff_ratio_of_sums", "dixon_ff_voxel_mean", "dixon_pdff_map"))
    cohort = read_cohort(make.write())
    assert len(cohort.metrics) == 3 * KEYS_PER_SCAN
    assert len(sizes(cohort.metrics)) == KEYS_PER_SCAN


def test_visits_are_ranked_by_number_and_unknown_ones_come_last(make: CohortFactory) -> None:
    late, early = make.scan("p1", 2, "a"), make.scan("p1", 1, "a")
    unknown = make.scan("p1", 3, "a") | {}
    unknown["visit"] = None
    make.scans[-1] = unknown
    cohort = read_cohort(make.write())
    ranks = dict(zip(cohort.scans["session"], cohort.scans["visit_order"], strict=True))
    assert ranks == {early["session"]: 0, late["session"]: 1, unknown["session"]: 2}


@pytest.mark.parametrize("name", ["tables/metrics.parquet", "tables/dictionary.json", "tables/activities.parquet"])
@pytest.mark.parametrize("damage", [None, b"\x00not a table: ["])
def test_missing_or_damaged_file_is_one_clear_error(tmp_path: Path, name: str, damage: bytes | None) -> None:
    path = empty_results(tmp_path) / name
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    with pytest.raises(InputError, match="missing or damaged") as caught:
        read_cohort(tmp_path)
    assert str(tmp_path) not in str(caught.value)


def test_table_of_another_version_is_refused(tmp_path: Path) -> None:
    empty_results(tmp_path)
    SCANS.write(tmp_path / "tables" / "levels.parquet", [])
    with pytest.raises(InputError, match="another version"):
        read_cohort(tmp_path)
