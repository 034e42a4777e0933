"""What `paraspinal status` reads, shows and follows."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from simulated import SCANS, SERIES, add_sessions, write_notes

from paraspinal.cli.main import main
from paraspinal.cohort.asking import status as module
from paraspinal.cohort.asking import watch
from paraspinal.cohort.asking.costs import costs
from paraspinal.cohort.asking.status import StageStatus, Watched, status
from paraspinal.cohort.running.runs import holder, run_lock
from paraspinal.cohort.running.staleness import reads_of, tables_state
from paraspinal.core.records.manifest import write_manifest
from paraspinal.core.records.notes import Progress, note_path, write_progress
from paraspinal.core.records.receipts import units_path
from paraspinal.core.records.registry import shard_path
from paraspinal.core.records.stage import session_of

SESSIONS = 40


def of(found: list[StageStatus], stage: str) -> StageStatus:
    return next(one for one in found if one.stage == stage)


def fail_one(path: Path) -> None:
    """The first row of a shard table fails."""
    table = pq.read_table(path)
    for name, value in (("status", "failed"), ("reason_code", "SEG_EMPTY")):
        column = [value, *table[name].to_pylist()[1:]]
        table = table.set_column(
            table.column_names.index(name), table.schema.field(name), pa.array(column, pa.string())
        )
    pq.write_table(table, path)


def test_everything_is_counted(results: Path) -> None:
    found = status(results)
    assert {(one.done, one.total) for one in found} == {(SESSIONS, SESSIONS)}
    assert of(found, "convert").items == {"ok": SESSIONS * 7, "excluded": SESSIONS * 2}
    assert of(found, "convert").reasons == {"LOCALIZER": SESSIONS, "NOT_AN_IMAGE": SESSIONS}
    assert of(found, "convert").failures == {}
    assert of(found, "quality").items.total() == SESSIONS * len(SCANS)
    assert len(SERIES) == 9


def test_a_finished_table_with_its_note_is_not_opened_and_one_that_changed_is(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    counted = module._counted
    monkeypatch.setattr(module, "_counted", lambda *which: opened.append(shard_path(*which)) or counted(*which))
    watched = Watched(results)
    watched.read()
    assert opened == []
    changed = shard_path(results, "segment", 2)
    fail_one(changed)
    assert of(watched.read(), "segment").failures == {"SEG_EMPTY": 1}
    watched.read()
    assert opened == [changed]


def test_without_notes_the_tables_say_the_same(results: Path) -> None:
    before = status(results)
    for path in results.rglob("*.progress.json"):
        path.unlink()
    assert status(results) == before


@pytest.mark.parametrize("has_notes", [True, False])
def test_people_who_came_since_are_not_done(results: Path, has_notes: bool) -> None:
    """They are dealt to a shard whose table of an earlier run stands there whole."""
    add_sessions(results, 10)
    if not has_notes:
        for path in results.rglob("*.progress.json"):
            path.unlink()
    assert {(one.done, one.total) for one in status(results)} == {(SESSIONS, SESSIONS + 10)}


def test_a_table_without_receipts_is_not_done(results: Path) -> None:
    note_path(results, "segment", 2).unlink()
    units_path(results, "segment", 2).unlink()
    assert of(status(results), "segment").done == SESSIONS - 8


@pytest.mark.parametrize("has_notes", [True, False])
def test_a_visit_of_which_a_stage_left_nothing_is_done_for_those_that_follow(results: Path, has_notes: bool) -> None:
    """A visit without a usable scan has no rows after harmonize, and no receipts."""
    for stage in ("harmonize", "segment"):
        path = shard_path(results, stage, 2)
        table = pq.read_table(path)
        keeps = pc.not_equal(table["session"], table["session"][0])
        pq.write_table(table.filter(keeps), path)
    units = units_path(results, "segment", 2)
    table = pq.read_table(units)
    gone = session_of(table["unit"][0].as_py())
    pq.write_table(table.filter(pc.invert(pc.starts_with(table["unit"], gone))), units)
    if has_notes:
        write_notes(results)
    found = status(results)
    assert (of(found, "harmonize").done, of(found, "segment").done) == (SESSIONS, SESSIONS)


def test_a_running_shard_counts_by_its_note_with_its_failures(results: Path) -> None:
    shard_path(results, "segment", 1).unlink()
    states = Counter({("ok", None): 60, ("failed", "SEG_EMPTY"): 4})
    write_progress(note_path(results, "segment", 1), Progress(64, 128, states))
    found = of(status(results), "segment")
    assert (found.done, found.total) == (16 + 8, SESSIONS)
    assert found.failures == {"SEG_EMPTY": 4}
    assert watch.failures(found) == "4 failed: SEG_EMPTY 4"


@pytest.mark.parametrize("note", ["", "{", '{"done": 1, "total": 2}'])
def test_a_damaged_note_is_no_note(results: Path, note: str) -> None:
    shard_path(results, "segment", 1).unlink()
    note_path(results, "segment", 1).write_text(note)
    assert of(status(results), "segment").done == 8


def test_json_is_for_programs(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fail_one(shard_path(results, "measure", 1))
    assert main(["status", "--json", "--out", str(results)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["held_by"] is None
    measure = next(stage for stage in said["stages"] if stage["stage"] == "measure")
    assert measure["failures"] == {"SEG_EMPTY": 1}
    assert (measure["done"], measure["total"]) == (SESSIONS, SESSIONS)


def test_who_holds_the_folder(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert holder(results) is None
    with run_lock(results):
        assert (holder(results) or "").startswith("process ")
    assert holder(results) is None
    assert main(["status", "--watch", "--out", str(results)]) == 0
    assert "no run is going on" in capsys.readouterr().out


def test_lines_where_there_is_no_terminal(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fail_one(shard_path(results, "measure", 1))
    watch.follow(results, Console(), lambda: False, {"convert": SESSIONS})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "measure    40/40 sessions, 1 failed: SEG_EMPTY 1" in lines


def test_bars_weigh_stages_by_what_they_cost(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = costs(results)
    assert found["segment"].seconds == 1.0
    assert found["segment"].units_per_session == len(SCANS)
    assert found["segment"].is_measured
    # A second a unit: a visit costs 4 s in segment and in measure, 1 s in each of the other four.
    for shard in (1, 2):
        shard_path(results, "segment", shard).unlink()
        note_path(results, "segment", shard).unlink()
    Console(width=120).print(watch.final(results))
    said = capsys.readouterr().out
    assert "67 %" in said
    assert "0/40" in said


def test_a_cohort_that_measured_nothing_is_weighed_by_the_demo(tmp_path: Path) -> None:
    found = costs(tmp_path)
    assert not found["segment"].is_measured
    assert found["segment"].seconds > found["measure"].seconds > 0
    assert found["segment"].units_per_session == pytest.approx(31 / 9)


def test_tables_of_an_earlier_run_are_called_that(results: Path) -> None:
    assert tables_state(results) == "not there yet"
    (results / "tables").mkdir()
    write_manifest(results / "tables", {}, {"code": "c", "parameters": {}}, reads_of(results, "aggregate"), "e")
    assert re.fullmatch(r"of \d{4}-\d\d-\d\dT[\d:]+\+00:00", tables_state(results))
    add_sessions(results, 1)
    assert tables_state(results).endswith(", an earlier run: the shards have changed since")
