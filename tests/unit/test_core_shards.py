"""The shard loop: reuse, resume, statuses, and what may and may not be swallowed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from paraspinal.core.errors import CircuitBreakerError, DataError, ModelError
from paraspinal.core.files import sha256_file, write_text
from paraspinal.core.records import notes, shards
from paraspinal.core.records import stage as stages
from paraspinal.core.records.columns import KEYS, STATE
from paraspinal.core.records.items import per_item
from paraspinal.core.records.notes import Progress, mark_of, note_path, read_progress
from paraspinal.core.records.receipts import UNITS, Receipt, receipt_path, units_path
from paraspinal.core.records.registry import Registry, shard_path
from paraspinal.core.records.seals import write_seal
from paraspinal.core.records.shards import run_shard, tables_digest
from paraspinal.core.records.stage import Stage
from paraspinal.core.records.tables import Column, Row, Table
from paraspinal.core.records.views import Source
from paraspinal.core.records.work import Work
from paraspinal.core.settings import Settings, load_settings, read_config
from paraspinal.core.vocab import Reason

ITEM = Column("item", pa.string(), "item")
VALUE = Column("value", pa.float64(), "value", null_meaning="not done")
READS = Table("reads", "", (*KEYS, ITEM, VALUE, *STATE), ("subject", "session", "item"))
WRITES = Table("writes", "", (*READS.columns, Column("activity_id", pa.string(), "id")), READS.key)


def row(subject: str, item: str, value: float | None = 1.0, status: str = "ok") -> Row:
    return {"subject": subject, "session": "1", "item": item, "value": value, "status": status}


class Recorder:
    """A stage that doubles values, writes one artifact per row and remembers what it was called with."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail: dict[str, Exception] = {}

    def __call__(self, row: Row, work: Work) -> Row:
        self.calls.append(row["item"])
        if row["item"] in self.fail:
            raise self.fail[row["item"]]
        relative = f"images/{row['item']}.txt"
        write_text(work.results / relative, str(row["value"]))
        work.record(relative)
        return row | {"value": row["value"] * 2}


@pytest.fixture
def settings() -> Settings:
    return load_settings(read_config(None, {}))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


SOURCES = [Source("before", READS)]


def stage(recorder: Recorder, **over: Any) -> Stage:
    base = Stage("double", "paraspinal.stages.convert.stage", READS.key, ("value",), WRITES, per_item(recorder))
    return replace(base, **over)


def put(results: Path, *rows: Row, table: Table = READS) -> None:
    path = shard_path(results, "before", 1)
    table.write(path, rows)
    write_seal(results, "before", 1, [path])


def out(results: Path) -> dict[str, Row]:
    return {r["item"]: r for r in WRITES.read(shard_path(results, "double", 1))}


def test_computes_then_reuses(tmp_path: Path, settings: Settings, recorder: Recorder) -> None:
    put(tmp_path, row("a", "x"), row("b", "y", 3.0))
    first = run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    table = shard_path(tmp_path, "double", 1).read_bytes()
    second = run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    assert (first.computed, first.reused) == (2, 0)
    assert (second.computed, second.reused) == (0, 2)
    assert recorder.calls == ["x", "y"]
    assert out(tmp_path)["y"]["value"] == 6.0
    assert shard_path(tmp_path, "double", 1).read_bytes() == table


def test_one_changed_input_computes_one_unit(tmp_path: Path, settings: Settings, recorder: Recorder) -> None:
    put(tmp_path, row("a", "x"), row("b", "y"))
    run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    put(tmp_path, row("a", "x"), row("b", "y", 5.0), row("c", "z"))
    tally = run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    assert (tally.computed, tally.reused) == (2, 1)
    assert recorder.calls == ["x", "y", "y", "z"]


@pytest.mark.parametrize("harm", ["gone", "altered"])
def test_an_artifact_that_is_not_what_the_receipt_says_is_made_again(
    tmp_path: Path, settings: Settings, recorder: Recorder, harm: str
) -> None:
    put(tmp_path, row("a", "x"))
    run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    artifact = tmp_path / "images" / "x.txt"
    artifact.unlink() if harm == "gone" else artifact.write_text("other")
    assert run_shard(stage(recorder), SOURCES, tmp_path, settings, 1).computed == 1
    assert artifact.read_text() == "1.0"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"activity_id": "x"}'])
def test_a_damaged_receipt_is_no_receipt(tmp_path: Path, settings: Settings, recorder: Recorder, text: str) -> None:
    put(tmp_path, row("a", "x"))
    run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    receipt_path(tmp_path, "double", "sub-a_ses-1").write_text(text)
    assert run_shard(stage(recorder), SOURCES, tmp_path, settings, 1).computed == 1


def test_parameters_models_and_code_decide(
    tmp_path: Path, settings: Settings, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, row("a", "x"))
    plain = stage(recorder)
    other = stage(recorder, parameters=lambda s: {"p": 1})
    for one in (plain, other, plain):
        assert run_shard(one, SOURCES, tmp_path, settings, 1).computed == 1
    assert run_shard(plain, SOURCES, tmp_path, settings, 1).computed == 0
    monkeypatch.setattr(stages, "code_digest", lambda *start: "another")
    assert run_shard(plain, SOURCES, tmp_path, settings, 1).computed == 1


def test_killed_in_the_middle_resumes_with_the_next(tmp_path: Path, settings: Settings, recorder: Recorder) -> None:
    put(tmp_path, *(row(s, s) for s in "abcd"))
    recorder.fail["c"] = KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    assert not shard_path(tmp_path, "double", 1).exists()
    recorder.fail.clear()
    tally = run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    assert (tally.computed, tally.reused) == (2, 2)
    assert recorder.calls == ["a", "b", "c", "c", "d"]


def test_a_fault_in_the_data_is_a_row(tmp_path: Path, settings: Settings, recorder: Recorder) -> None:
    put(tmp_path, row("a", "x"), row("b", "y"))
    recorder.fail["x"] = DataError(Reason.SEG_EMPTY, "nothing there")
    tally = run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    found = out(tmp_path)
    assert (found["x"]["status"], found["x"]["reason_code"], found["x"]["detail"]) == (
        "failed",
        "SEG_EMPTY",
        "nothing there",
    )
    assert found["y"]["status"] == "ok"
    assert dict(tally.items) == {"failed": 1, "ok": 1}


def test_a_fault_of_ours_is_a_row_without_the_message(tmp_path: Path, settings: Settings, recorder: Recorder) -> None:
    put(tmp_path, row("a", "x"), row("b", "y"))
    recorder.fail["x"] = ZeroDivisionError("DOE^JANE")
    run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    found = out(tmp_path)
    assert found["x"]["reason_code"] == "UNEXPECTED_ERROR"
    assert "ZeroDivisionError at test_core_shards.py" in found["x"]["detail"]
    assert "JANE" not in repr(found)
    assert found["y"]["status"] == "ok"


def test_a_fault_of_ours_is_computed_again_by_every_run(tmp_path: Path, settings: Settings, recorder: Recorder) -> None:
    put(tmp_path, row("a", "x"), row("b", "y"), row("c", "z", None, "failed"))
    recorder.fail["x"] = RuntimeError("index out of range")
    run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    assert run_shard(stage(recorder), SOURCES, tmp_path, settings, 1).computed == 1
    assert out(tmp_path)["x"]["reason_code"] == "UNEXPECTED_ERROR"
    recorder.fail.clear()
    assert run_shard(stage(recorder), SOURCES, tmp_path, settings, 1).computed == 1
    assert recorder.calls == ["x", "y", "x", "x"]
    assert out(tmp_path)["x"]["status"] == "ok"
    assert run_shard(stage(recorder), SOURCES, tmp_path, settings, 1).computed == 0


def test_a_wrong_model_is_never_a_row(tmp_path: Path, settings: Settings, recorder: Recorder) -> None:
    put(tmp_path, row("a", "x"))
    recorder.fail["x"] = ModelError("wrong")
    with pytest.raises(ModelError):
        run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    assert not shard_path(tmp_path, "double", 1).exists()


@pytest.mark.parametrize("status", ["failed", "excluded"])
def test_rows_that_are_not_usable_pass_through(
    tmp_path: Path, settings: Settings, recorder: Recorder, status: str
) -> None:
    put(tmp_path, row("a", "x", None, status), row("a", "y"))
    run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    assert recorder.calls == ["y"]
    assert out(tmp_path)["x"]["status"] == status
    assert out(tmp_path)["x"]["value"] is None


def test_artifacts_no_longer_made_are_removed(tmp_path: Path, settings: Settings, recorder: Recorder) -> None:
    put(tmp_path, row("a", "x"), row("a", "y"))
    run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    put(tmp_path, row("a", "y"))
    run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    assert [p.name for p in (tmp_path / "images").iterdir()] == ["y.txt"]


def test_per_row_stages_depend_on_the_model_of_their_role_only(
    tmp_path: Path, settings: Settings, recorder: Recorder
) -> None:
    role = Column("role", pa.string(), "role")
    reads = Table("reads", "", (*READS.columns, role), READS.key)
    writes = Table("writes", "", (*WRITES.columns, role), READS.key)
    put(tmp_path, row("a", "x") | {"role": "muscles"}, row("a", "y") | {"role": "spine"}, table=reads)
    sources = [Source("before", reads)]

    def versioned(muscles: str) -> Stage:
        return stage(
            recorder,
            uses=("value", "role"),
            makes=writes,
            is_per_row=True,
            models=lambda s: {"muscles": muscles, "spine": "s"},
        )

    assert run_shard(versioned("m1"), sources, tmp_path, settings, 1).computed == 2
    assert run_shard(versioned("m2"), sources, tmp_path, settings, 1).computed == 1
    assert recorder.calls == ["x", "y", "x"]


def test_registry_is_append_only(tmp_path: Path) -> None:
    sessions = [("b", "1"), ("a", "1"), ("c", "1")]
    first = Registry({}).deal(sessions, 2)
    assert first.shards == {("a", "1"): 1, ("b", "1"): 1, ("c", "1"): 2}
    second = first.deal([*sessions, ("0", "1"), ("z", "9")], 2)
    assert {k: second.shards[k] for k in first.shards} == first.shards
    assert second.shards[("0", "1")] == 2
    assert second.shards[("z", "9")] == 3
    assert second.write(tmp_path) is True
    assert second.write(tmp_path) is False
    assert Registry.read(tmp_path) == second
    assert second.deal(sessions[:1], 2) == second


def test_columns_count_as_code_and_their_wording_does_not(recorder: Recorder) -> None:
    plain = stage(recorder)
    reworded = replace(WRITES, columns=(*WRITES.columns[:-1], Column("activity_id", pa.string(), "other words")))
    wider = replace(WRITES, columns=(*WRITES.columns, Column("more", pa.int64(), "more", null_meaning="none")))
    assert stage(recorder, makes=reworded).code == plain.code
    assert stage(recorder, makes=wider).code != plain.code


def test_units_side_by_side_give_the_same_table(tmp_path: Path, settings: Settings) -> None:
    rows = [row(f"s{n:02}", f"i{n:02}", float(n)) for n in range(12)]
    tables = []
    for workers in (1, 3):
        results = tmp_path / str(workers)
        put(results, *rows)
        tally = run_shard(stage(Recorder(), is_concurrent=True), SOURCES, results, settings, 1, workers=workers)
        assert (tally.computed, tally.reused) == (12, 0)
        tables.append(shard_path(results, "double", 1).read_bytes())
    assert tables[0] == tables[1]


def test_what_units_side_by_side_share_is_made_once(tmp_path: Path, settings: Settings) -> None:
    made: list[int] = []

    def load() -> str:
        time.sleep(0.05)
        made.append(1)
        return "model"

    def process(row: Row, work: Work) -> Row:
        assert work.once("model", load) == "model"
        return row

    put(tmp_path, *(row(f"s{n}", f"i{n}") for n in range(6)))
    run_shard(
        stage(Recorder(), process=per_item(process), is_concurrent=True), SOURCES, tmp_path, settings, 1, workers=3
    )
    assert made == [1]


def test_a_fault_in_everything_side_by_side_leaves_no_receipt(tmp_path: Path, settings: Settings) -> None:
    recorder = Recorder()
    rows = [row(f"s{n:02}", f"i{n:02}") for n in range(12)]
    recorder.fail = {r["item"]: ZeroDivisionError("a bug") for r in rows}
    put(tmp_path, *rows)
    with pytest.raises(CircuitBreakerError, match="ZeroDivisionError"):
        run_shard(stage(recorder, is_concurrent=True), SOURCES, tmp_path, settings, 1, workers=3)
    assert not list((tmp_path / "receipts" / "double").glob("*.json.gz"))
    assert len(recorder.calls) < 12


def test_a_shard_in_which_every_visit_meets_the_same_fault_of_ours_stops_early(
    tmp_path: Path, settings: Settings, recorder: Recorder
) -> None:
    put(tmp_path, *(row(subject, f"x{subject}") for subject in "abcdefgh"))
    recorder.fail = {f"x{subject}": ImportError("libfoo.so") for subject in "abcdefgh"}
    with pytest.raises(CircuitBreakerError, match="first visits failed with ImportError at "):
        run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    assert len(recorder.calls) == shards.MAX_SAME_FAULTS
    assert not shard_path(tmp_path, "double", 1).exists()
    # With the installation mended nothing of it is left, though code and input are the same.
    recorder.fail = {}
    assert run_shard(stage(recorder), SOURCES, tmp_path, settings, 1).computed == 8
    assert {r["status"] for r in out(tmp_path).values()} == {"ok"}


@pytest.mark.parametrize("spared", ["a sound visit", "another fault", "data"])
def test_faults_that_may_be_in_the_images_stop_nothing(
    tmp_path: Path, settings: Settings, recorder: Recorder, spared: str
) -> None:
    put(tmp_path, *(row(subject, f"x{subject}") for subject in "abcdefgh"))
    recorder.fail = {f"x{subject}": ImportError("libfoo.so") for subject in "abcdefgh"}
    if spared == "a sound visit":
        del recorder.fail["xc"]
    elif spared == "another fault":
        recorder.fail["xc"] = ZeroDivisionError()
    else:
        recorder.fail = {item: DataError(Reason.SEG_EMPTY) for item in recorder.fail}
    tally = run_shard(stage(recorder), SOURCES, tmp_path, settings, 1)
    assert tally.items["failed"] == (7 if spared == "a sound visit" else 8)


def test_many_bad_images_of_one_visit_stop_nothing(tmp_path: Path, settings: Settings, recorder: Recorder) -> None:
    put(tmp_path, *(row("a", f"x{k}") for k in range(9)), row("b", "y"))
    recorder.fail = {f"x{k}": ImportError() for k in range(9)}
    assert run_shard(stage(recorder), SOURCES, tmp_path, settings, 1).items == {"failed": 9, "ok": 1}


def test_a_running_shard_says_how_far_it_is_and_what_failed(
    tmp_path: Path, settings: Settings, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "NOTE_SECONDS", 0.0)
    put(tmp_path, *(row(subject, subject) for subject in "abc"))
    recorder.fail["a"] = DataError(Reason.SEG_EMPTY, "nothing there")
    seen: list[Progress | None] = []

    def look(item: Row, work: Work) -> Row:
        seen.append(read_progress(note_path(tmp_path, "double", 1)))
        return recorder(item, work)

    run_shard(stage(recorder, process=per_item(look)), SOURCES, tmp_path, settings, 1)
    assert [(found.done, found.total) for found in seen if found] == [(0, 3), (1, 3), (2, 3)]
    assert seen[2] is not None
    assert seen[2].states == {("failed", "SEG_EMPTY"): 1, ("ok", None): 1}
    last = read_progress(note_path(tmp_path, "double", 1))
    assert last is not None
    assert (last.done, last.table) == (3, mark_of(shard_path(tmp_path, "double", 1)))


def test_the_receipts_of_a_shard_are_summed_up(tmp_path: Path, settings: Settings, recorder: Recorder) -> None:
    put(tmp_path, row("a", "x"), row("b", "y"))
    run_shard(stage(recorder, parameters=lambda s: {"p": 1}), SOURCES, tmp_path, settings, 1)
    found = UNITS.read(units_path(tmp_path, "double", 1))
    assert [r["unit"] for r in found] == ["sub-a_ses-1", "sub-b_ses-1"]
    receipt = Receipt.read(receipt_path(tmp_path, "double", "sub-a_ses-1"))
    assert receipt is not None
    assert (found[0]["activity_id"], found[0]["parameters"]) == (receipt.activity.id, '{"p": 1}')
    assert found[0]["read_sha256"] == tables_digest(tmp_path, SOURCES, 1)
    assert found[0]["table_sha256"] == sha256_file(shard_path(tmp_path, "double", 1))
