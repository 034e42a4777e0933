"""What a tree contains, in a few lines."""

from __future__ import annotations

from paraspinal.core.tables import Row
from paraspinal.stages.ingest.inventory import summarise, short_stacks


def _row(**over: object) -> Row:
    return {
        "source": "dicom", "sequence": "T2w", "dixon_part": None, "plane": "axial", "status": "ok", "reason_code": None,
        "subject": "a", "session": "s", "n_files": 30, "n_slices": 30,
        "size": [10, 10, 30], "spacing_mm": [1.0, 1.0, 4.0],
        **over,
    }  # fmt: skip


def test_summary_counts_people_visits_stacks_and_files() -> None:
    rows = [
        _row(),
        _row(session="t"),
        _row(subject="b", session="u"),
        _row(plane="sagittal", n_files=13),
        _row(subject=None, session=None, status="excluded", reason_code="NOT_AN_IMAGE", n_files=7),
    ]
    first, *_, total = summarise(rows)
    assert (first["plane"], first["people"], first["visits"], first["stacks"], first["files"]) == ("axial", 2, 3, 3, 90)
    assert (total["source"], total["people"], total["visits"], total["stacks"], total["files"]) == ("all", 2, 3, 5, 110)
    assert sum(line["stacks"] for line in summarise(rows)[:-1]) == total["stacks"]


def test_no_rows_give_a_total_of_nothing() -> None:
    assert [line["stacks"] for line in summarise([])] == [0]


def test_short_stack_is_noticed_against_its_protocol() -> None:
    rows = [_row(stack_id=str(k)) for k in range(9)] + [_row(stack_id="short", n_slices=29)]
    found = short_stacks(rows)
    assert set(found) == {"short"}
    assert (found["short"]["status"], found["short"]["reason_code"]) == ("warn", "SLICE_MISSING")


def test_varied_coverage_is_no_protocol() -> None:
    assert short_stacks([_row(stack_id=str(k), n_slices=20 + k) for k in range(10)]) == {}
    assert short_stacks([_row(stack_id=str(k), n_slices=30 - k // 2) for k in range(3)]) == {}
