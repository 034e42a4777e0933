"""The scan list: order, reasons, levels and pictures."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from report_factory import CohortFactory

from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Light
from paraspinal.stages.report import listing as module
from paraspinal.stages.report.data import read_cohort
from paraspinal.stages.report.listing import Listing, ReasonRow, listing
from paraspinal.stages.report.stage import write_report


@pytest.fixture
def make(tmp_path: Path) -> CohortFactory:
    return CohortFactory(tmp_path / "results")


def _listing(make: CohortFactory) -> Listing:
    return listing(read_cohort(make.write()), make.root)


def _draw(make: CohortFactory, scan: Row, size: int) -> None:
    scan["overlay_path"] = f"images/{scan['subject']} {scan['scan_id']}.png"
    path = make.root / scan["overlay_path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"p" * size)


def test_worst_scans_come_first_with_their_reasons(make: CohortFactory) -> None:
    fine, amber, red = (make.scan("p1", 1, name) for name in ("a", "b", "c"))
    make.flag(fine, "green", None)
    make.flag(amber, "amber", "FOV_TRUNCATED", muscle="psoas_major", side="left", level="L4", detail="3 slices")
    make.flag(red, "red", "SEG_IMPLAUSIBLE", muscle="multifidus")
    for level in ("L1", "L2", "L3", "L4", "L5"):
        make.flag(red, "amber", "OUTLIER", muscle="multifidus", side="right", level=level)
    found = _listing(make)
    assert [(s.scan_id, s.light) for s in found.scans] == [("c", Light.RED), ("b", Light.AMBER), ("a", Light.GREEN)]
    assert found.scans[1].concerns[0].parts == "psoas major left L4: 3 slices"
    assert [c.code for c in found.scans[0].concerns] == ["SEG_IMPLAUSIBLE", "OUTLIER"]
    assert found.scans[0].concerns[1].parts.endswith("multifidus right L4; and 1 more")
    assert found.scans[2].concerns == ()
    assert found.reasons == (
        ReasonRow("SEG_IMPLAUSIBLE", "implausible outline", Light.RED, 1, 1),
        ReasonRow("FOV_TRUNCATED", "muscle cut by the image border", Light.AMBER, 1, 1),
        ReasonRow("OUTLIER", "unlike the rest, or outside the published range", Light.AMBER, 1, 5),
    )


def test_reason_of_the_scan_itself_is_shown_once(make: CohortFactory) -> None:
    make.scan("p1", 1, "a", status="failed", reason_code="SEG_EMPTY", light="red", detail="0 voxels")
    flagged = make.scan("p1", 1, "b", status="failed", reason_code="SEG_EMPTY")
    make.flag(flagged, "red", "SEG_EMPTY")
    lines = _listing(make).scans
    assert [[c.code for c in line.concerns] for line in lines] == [["SEG_EMPTY"], ["SEG_EMPTY"]]
    assert lines[0].concerns[0].parts == "0 voxels"


def test_unknowns_are_empty_and_never_invented(make: CohortFactory) -> None:
    unknown = ("manufacturer", "scanner_model", "field_strength_t", "site", "size", "spacing_mm", "visit")
    make.scan("p1", 1, "a").update(dict.fromkeys(unknown))
    (line,) = _listing(make).scans
    assert (line.scanner, line.grid, line.site, line.visit, line.levels, line.fat) == ("", "", "", "", "", "")


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (["L3", "L1", "L2"], "L1 to L3"),
        (["L1", "L3"], "L1, L3"),
        (["L4_L5", "L3_L4", "L5_S1"], "L3–L4 to L5–S1"),
        ([], ""),
    ],
)
def test_levels_are_a_range_only_without_gaps(make: CohortFactory, levels: list[str], expected: str) -> None:
    scan = make.scan("p1", 1, "a")
    make.measure(scan)
    template = make.levels[0]
    scheme = "disc_stack" if "_" in "".join(levels) else "vertebra_slab"
    make.levels = [{**template, "level": level, "level_scheme": scheme} for level in levels]
    make.levels.append({**template, "level": "T12", "coverage_frac": 0.0})
    assert _listing(make).scans[0].levels == expected


def test_pictures_are_embedded_within_the_budget_worst_first(
    make: CohortFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PICTURES", 2)
    monkeypatch.setattr(module, "MAX_PICTURE_BYTES", 1000)
    for name, size in (("a", 10), ("b", 20), ("c", 2000), ("d", 30)):
        _draw(make, make.scan("p1", 1, name), size)
    make.flag(make.scans[2], "red", "OUTLIER")
    make.flag(make.scans[3], "amber", "OUTLIER")
    pictures = {line.scan_id: line.picture for line in _listing(make).scans}
    assert {name: p and p.is_embedded for name, p in pictures.items()} == {"c": False, "d": True, "a": True, "b": False}
    assert pictures["c"] is not None
    assert pictures["c"].source == "../images/p1%20c.png"
    assert pictures["d"] is not None
    assert base64.b64decode(pictures["d"].source.removeprefix("data:image/png;base64,")) == b"p" * 30


def test_pictures_outside_the_results_are_ignored(make: CohortFactory, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    make.scan("p1", 1, "a", overlay_path="../secret.png")
    make.scan("p1", 1, "b", overlay_path=str(tmp_path / "secret.png"))
    make.scan("p1", 1, "c", overlay_path="images/gone.png")
    assert [line.picture for line in _listing(make).scans] == [None, None, None]


def test_a_large_cohort_lists_the_worst_and_counts_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SCANS", 3)
    make = CohortFactory(tmp_path)
    for number in range(6):
        scan = make.scan(f"p{number}", 1, "a")
        make.measure(scan, methods=("dixon_ff_ratio_of_sums",))
        if number in (2, 4):
            make.flag(scan, "red" if number == 4 else "amber", "OUTLIER")
    root = make.write()
    found = listing(read_cohort(root), root)
    assert [(s.subject, s.light) for s in found.scans] == [("p4", "red"), ("p2", "amber"), ("p0", "green")]
    assert (found.n_scans, found.n_worrying) == (6, 2)
    assert {s.fat for s in found.scans} == {"Dixon, ratio of sums"}
    page = write_report(root).read_text()
    assert "The 3 of 6 scans" in page
    assert page.count('<tr id="scan-') == 3
