"""Summaries of size and fat against values known beforehand."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_factory import AREA_MM2, DIXON_METHODS, FAT, CohortFactory

from paraspinal.core.vocab import LevelScheme, Muscle, Side
from paraspinal.stages.report.data import read_cohort
from paraspinal.stages.report.muscles import SchemeView, change, schemes, sides

RATIO = DIXON_METHODS[0]
L3 = AREA_MM2[Muscle.MULTIFIDUS][2]


def _only(make: CohortFactory) -> SchemeView:
    (view,) = schemes(read_cohort(make.write()))
    return view


@pytest.fixture
def make(tmp_path: Path) -> CohortFactory:
    return CohortFactory(tmp_path)


def test_median_and_quartiles_over_people(make: CohortFactory) -> None:
    for person, size in (("p1", 0.8), ("p2", 1.0), ("p3", 1.4)):
        make.measure(make.scan(person, 1, "a"), size, fat=size, methods=DIXON_METHODS)
    view = _only(make)
    assert (view.scheme, view.levels) == (LevelScheme.VERTEBRA_SLAB, ("L1", "L2", "L3", "L4", "L5"))
    assert (view.people, view.scans, view.methods) == (3, 3, DIXON_METHODS)
    row = view.row(Muscle.MULTIFIDUS, "L3", Side.LEFT)
    assert row is not None
    assert row.acsa_mm2 is not None
    assert row.volume_mm3 is not None
    assert row.acsa_mm2.n == 3
    assert row.acsa_mm2.median == pytest.approx(L3)
    assert row.acsa_mm2.q1 == pytest.approx(0.9 * L3)
    assert row.acsa_mm2.q3 == pytest.approx(1.2 * L3)
    assert row.volume_mm3.median == pytest.approx(30 * L3)
    assert row.fi[RATIO].median == pytest.approx(FAT[Muscle.MULTIFIDUS])
    assert row.fi[DIXON_METHODS[1]].median == pytest.approx(0.9 * FAT[Muscle.MULTIFIDUS])


def test_person_counts_once_with_the_mean_of_the_first_visit(make: CohortFactory) -> None:
    make.measure(make.scan("p1", 1, "a"), 0.9)
    make.measure(make.scan("p1", 1, "b"), 1.1)
    make.measure(make.scan("p1", 2, "a"), 5.0)
    view = _only(make)
    row = view.row(Muscle.MULTIFIDUS, "L3", Side.RIGHT)
    assert row is not None
    assert row.acsa_mm2 is not None
    assert (row.acsa_mm2.n, view.scans) == (1, 3)
    assert row.acsa_mm2.median == pytest.approx(L3)
    assert row.fi == {}


def test_red_values_are_left_out_but_amber_stays(make: CohortFactory) -> None:
    for person in ("p1", "p2"):
        make.measure(make.scan(person, 1, "a"))
    make.flag(make.scans[0], "red", "SEG_IMPLAUSIBLE", muscle="psoas_major", side="left")
    make.flag(make.scans[1], "amber", "FOV_TRUNCATED", muscle="psoas_major")
    view = _only(make)
    counts = {
        side: row.acsa_mm2.n for side in Side if (row := view.row(Muscle.PSOAS_MAJOR, "L2", side)) and row.acsa_mm2
    }
    assert counts == {Side.LEFT: 1, Side.RIGHT: 2}


def test_sides_of_one_person_are_averaged_for_the_fat_figure(make: CohortFactory) -> None:
    make.measure(make.scan("p1", 1, "a"), methods=(RATIO,))
    for row in make.metrics:
        row["fi"] = 0.1 if row["side"] == "left" else 0.3
    spread = _only(make).fi_both[Muscle.ERECTOR_SPINAE, "L4", RATIO]
    assert spread.n == 1
    assert spread.median == pytest.approx(0.2)


def test_levels_are_in_reading_order_and_unknown_levels_are_shown(make: CohortFactory) -> None:
    scan = make.scan("p1", 1, "a")
    make.measure(scan)
    block = [{**row, "level": "L1_L5", "level_scheme": "slice_block"} for row in make.metrics if row["level"] == "L1"]
    sixth = [{**row, "level": "L6"} for row in make.metrics if row["level"] == "L1"]
    nowhere = [{**row, "level": None, "level_scheme": "none"} for row in make.metrics if row["level"] == "L1"]
    make.metrics += [*nowhere, *block, *sixth]
    views = schemes(read_cohort(make.write()))
    assert {v.scheme: v.levels for v in views} == {
        LevelScheme.VERTEBRA_SLAB: ("L1", "L2", "L3", "L4", "L5", "L6"),
        LevelScheme.SLICE_BLOCK: ("L1_L5",),
        LevelScheme.NONE: ("stack",),
    }


def test_change_is_within_person_sequence_and_level(make: CohortFactory) -> None:
    for person, factor in (("p1", 0.9), ("p2", 0.8), ("p3", 1.0)):
        make.measure(make.scan(person, 1, "a"), 1.0, 1.0, (RATIO,))
        make.measure(make.scan(person, 2, "a"), 7.0, 7.0, (RATIO,))
        make.measure(make.scan(person, 3, "a"), factor, 1.5, (RATIO,))
    make.measure(make.scan("p4", 1, "a"))
    make.measure(make.scan("p4", 2, "a", sequence="T1w"), 3.0)
    found = change(read_cohort(make.write()))
    assert found.people == 3
    assert found.days is not None
    assert (found.days.n, found.days.median) == (3, 800.0)
    row = next(r for r in found.rows if (r.muscle, r.side) == (Muscle.MULTIFIDUS, Side.LEFT))
    assert row.acsa_pct is not None
    assert row.acsa_pct.n == 3
    assert row.acsa_pct.median == pytest.approx(-10.0)
    factors = (0.7, 0.85, 1.0, 1.15, 1.3)
    assert row.fi_pp[RATIO].median == pytest.approx(100 * 0.5 * FAT[Muscle.MULTIFIDUS] * sum(factors) / 5)
    assert found.points[Muscle.MULTIFIDUS, Side.LEFT] == pytest.approx((-10.0, -20.0, 0.0))


def test_no_change_without_a_second_visit(make: CohortFactory) -> None:
    make.measure(make.scan("p1", 1, "a"))
    make.measure(make.scan("p1", 1, "b"), 2.0)
    found = change(read_cohort(make.write()))
    assert (found.people, found.rows, found.days) == (0, (), None)


def test_left_and_right_are_paired_by_person(make: CohortFactory) -> None:
    make.measure(make.scan("p1", 1, "a"))
    for row in make.metrics:
        if row["side"] == "right":
            row["acsa_mm2"] *= 2
    make.metrics = [r for r in make.metrics if not (r["side"] == "right" and r["level"] == "L5")]
    ((left, right),) = sides(read_cohort(make.write()))[Muscle.MULTIFIDUS]
    expected = sum(AREA_MM2[Muscle.MULTIFIDUS][:4]) / 4
    assert left == pytest.approx(expected)
    assert right == pytest.approx(2 * expected)
