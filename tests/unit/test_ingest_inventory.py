"""What a tree contains, in a few lines."""

from __future__ import annotations

from paraspinal.core.records.tables import Row
from paraspinal.stages.ingest.inventory import overview, short_stacks


def _row(**over: object) -> Row:
    return {
        "source": "dicom", "sequence": "T2w", "dixon_part": None, "plane": "axial", "status": "ok", "reason_code": None,
        "subject": "a", "session": "s", "n_files": 30, "n_slices": 30,
        "size": [10, 10, 30], "spacing_mm": [1.0, 1.0, 4.0],
        **over,
    }  # fmt: skip


def test_overview_counts_people_visits_stacks_and_files() -> None:
    rows = [
        _row(),
        _row(session="t"),
        _row(subject="b", session="u", n_slices=24, status="warn", reason_code="DUP_IDENTICAL"),
        _row(plane="sagittal", n_files=13),
        _row(subject=None, session=None, status="excluded", reason_code="NOT_AN_IMAGE", n_files=7),
    ]
    found = overview(rows)
    first = found.images[0]
    assert (first["plane"], first["people"], first["visits"], first["stacks"], first["files"]) == ("axial", 2, 3, 3, 90)
    assert (first["least_slices"], first["most_slices"]) == (24, 30)
    assert [(line["reason_code"], line["stacks"]) for line in found.doubtful] == [("DUP_IDENTICAL", 1)]
    assert [(line["status"], line["reason_code"], line["files"]) for line in found.rejected] == [
        ("excluded", "NOT_AN_IMAGE", 7)
    ]
    total = found.total
    assert (total["people"], total["visits"], total["stacks"], total["files"]) == (2, 3, 5, 110)
    assert sum(line["stacks"] for line in (*found.images, *found.rejected)) == total["stacks"]
    assert sum(line["files"] for line in (*found.images, *found.rejected)) == total["files"]


def test_scanners_are_counted_by_people() -> None:
    skyra = {"manufacturer": "Siemens", "scanner_model": "skyra", "field_strength_t": 3.0}
    lines = overview([_row(**skyra), _row(**skyra, subject="b"), _row(manufacturer="GE")]).scanners
    assert [(line["manufacturer"], line["people"]) for line in lines] == [("Siemens", 2), ("GE", 1)]


def test_no_rows_give_a_total_of_nothing() -> None:
    found = overview([])
    assert (found.total["stacks"], found.images, found.rejected) == (0, [], [])


def test_short_stack_is_noticed_against_its_protocol() -> None:
    rows = [_row(stack_id=str(k)) for k in range(9)] + [_row(stack_id="short", n_slices=29)]
    found = short_stacks(rows)
    assert set(found) == {"short"}
    assert (found["short"]["status"], found["short"]["reason_code"]) == ("warn", "SLICE_MISSING")


def test_varied_coverage_is_no_protocol() -> None:
    assert short_stacks([_row(stack_id=str(k), n_slices=20 + k) for k in range(10)]) == {}
    assert short_stacks([_row(stack_id=str(k), n_slices=30 - k // 2) for k in range(3)]) == {}
