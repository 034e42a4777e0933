"""Every input is in the flow, and the counts add up."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_factory import CohortFactory, rich_results

from paraspinal.core.vocab import Light
from paraspinal.stages.report.data import read_cohort
from paraspinal.stages.report.flow import Ages, Flow, Group, flow, headline, light_counts, people


def _counts(found: Flow) -> list[dict[str, int]]:
    return [{share.code or share.text: share.count for share in step.leaving} for step in found.steps]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_counts_add_up_in_a_messy_cohort(tmp_path: Path, seed: int) -> None:
    cohort = read_cohort(rich_results(tmp_path, people=11, seed=seed))
    found = flow(cohort)
    stacks, scans, *_ = found.steps
    assert stacks.count == len(cohort.inventory)
    assert stacks.kept == cohort.scans["stack_ids"].map(len).sum()
    assert scans.count == len(cohort.scans)
    for step, following in zip(found.steps[1:], found.steps[2:], strict=False):
        assert step.kept == following.count
    measured = found.steps[-1].count
    assert measured == sum(s.count for s in found.by_level) == sum(s.count for s in found.by_fat)


def test_every_way_out_has_its_reason(tmp_path: Path) -> None:
    make = CohortFactory(tmp_path)
    make.measure(make.scan("p1", 1, "good", n_stacks=2), methods=("dixon_ff_ratio_of_sums",))
    make.measure(make.scan("p1", 1, "lean"))
    make.measure(make.scan("p1", 1, "stir", fi_reason_code="FATSUP_NO_FI"))
    make.scan("p1", 1, "sagittal", role="spine")
    make.scan("p1", 1, "odd", role="none", reason_code="SEQ_UNKNOWN", dseg_path=None)
    make.scan("p2", 1, "blank", status="failed", reason_code="SEG_EMPTY", dseg_path=None)
    make.scan("p2", 1, "late", status="failed", reason_code="UNEXPECTED_ERROR")
    make.stack("x1", status="excluded", reason_code="LOCALIZER")
    make.stack("x2", status="excluded", reason_code="LOCALIZER")
    make.stack("x3", status="failed", reason_code=None)
    found = flow(read_cohort(make.write()))
    assert _counts(found) == [
        {"LOCALIZER": 2, "no reason recorded": 1},
        {"SEQ_UNKNOWN": 1, "sagittal, used to find the levels": 1},
        {"SEG_EMPTY": 1},
        {"UNEXPECTED_ERROR": 1},
        {},
    ]
    assert [step.count for step in found.steps] == [11, 7, 5, 4, 3]
    assert {s.code or s.text: s.count for s in found.by_fat} == {
        "size and fat infiltration": 1,
        "FI_UNIMODAL": 1,
        "FATSUP_NO_FI": 1,
    }
    assert [(s.text, s.count) for s in found.by_level] == [("levels from a sagittal scan of the visit", 3)]


def test_measured_scans_without_levels_are_counted(tmp_path: Path) -> None:
    make = CohortFactory(tmp_path)
    make.measure(make.scan("p1", 1, "a"))
    make.levels.clear()
    found = flow(read_cohort(make.write()))
    assert [(s.code, s.count) for s in found.by_level] == [("LEVEL_UNRESOLVED", 1)]


def test_who_is_in_it(tmp_path: Path) -> None:
    make = CohortFactory(tmp_path)
    for visit in (1, 2):
        make.measure(make.scan("p1", visit, "a", age_years=50.0 + visit, sex="F"))
    make.measure(make.scan("p3", 1, "a", age_years=71.0, sex="F"))
    make.measure(make.scan("p5", 1, "a", age_years=None, sex=None))
    make.scan("p7", 1, "a", sex="M")
    make.scan("p1", 1, "b", role="spine")
    cohort = read_cohort(make.write())
    found = people(cohort)
    assert found.ages == (
        Ages("Everyone", 3, 61.0, 56.0, 66.0),
        Ages("Women", 2, 61.0, 56.0, 66.0),
        Ages("Sex not stated", 1, None, None, None),
    )
    assert found.groups["Sequence"] == (Group("T2-weighted", 4, 5, 5, 4),)
    assert found.groups["Site (pseudonym)"] == (
        Group("sitebbbbbb", 2, 3, 3, 2),
        Group("siteaaaaaa", 1, 1, 1, 1),
        Group("not stated", 1, 1, 1, 1),
    )
    top = headline(cohort)
    assert (top.people, top.visits, top.repeat_people, top.sites) == (3, 4, 1, 2)
    assert (top.stacks, top.files, top.scans, top.measured, top.with_fat) == (6, 120, 6, 4, 0)


def test_lights_are_counted_by_group(tmp_path: Path) -> None:
    make = CohortFactory(tmp_path)
    make.flag(make.scan("p1", 1, "a"), "red", "SEG_EMPTY")
    make.scan("p1", 1, "b")
    make.flag(make.scan("p2", 1, "a", sequence="T1w"), "amber", "OUTLIER")
    scans = read_cohort(make.write()).scans
    counts = light_counts(scans, scans["sequence"])
    assert counts == {
        "T2w": {Light.RED: 1, Light.AMBER: 0, Light.GREEN: 1},
        "T1w": {Light.RED: 0, Light.AMBER: 1, Light.GREEN: 0},
    }
