"""The story of one item: found by any of its names, complete, and near names for one that is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from simulated import SCANS, SERIES

from paraspinal.cli.main import main
from paraspinal.cohort.asking.why import why
from paraspinal.core.errors import InputError
from paraspinal.core.records.receipts import Activity, Artifact, Receipt, receipt_path
from paraspinal.core.records.registry import INVENTORY_PATH, Registry, shard_path


@pytest.fixture
def visit(results: Path) -> tuple[str, str]:
    return next(iter(Registry.read(results).shards))


def put(path: Path, key: str, value: str, **cells: str) -> None:
    """Change cells of the row of a table whose ``key`` is ``value``."""
    table = pq.read_table(path)
    here = pc.equal(table[key], value)
    for name, cell in cells.items():
        place = table.column_names.index(name)
        column = pc.if_else(here, pa.scalar(cell), table[name])
        table = table.set_column(place, table.schema.field(name), column)
    pq.write_table(table, path)


def test_a_visit_by_every_way_to_write_it(results: Path, visit: tuple[str, str]) -> None:
    subject, session = visit
    for name in (f"sub-{subject}/ses-{session}", f"sub-{subject}_ses-{session}", f"{subject}/{session}", session):
        found = why(results, name)
        assert found.item == f"sub-{subject}_ses-{session}"
        assert len(found.series) == len(SERIES)
        per_stage = [len([d for d in found.decisions if d.stage == s]) for s in ("convert", "harmonize", "quality")]
        assert per_stage == [len(SERIES), len(SCANS), len(SCANS)]


def test_a_scan_has_its_own_stacks_and_flags_and_nothing_else(results: Path, visit: tuple[str, str]) -> None:
    subject, session = visit
    found = why(results, f"images/sub-{subject}/ses-{session}/anat/sub-{subject}_ses-{session}_acq-dixon_MR.nii.gz")
    assert {row["stack_id"] for row in found.series} == {session + stack for stack in SCANS["dixon"]}
    assert [d.stage for d in found.decisions if d.stage != "convert"] == [
        "harmonize", "segment", "levels", "measure", "quality",
    ]  # fmt: skip
    assert {flag["reason_code"] for flag in found.flags} == {"OUTLIER", "SEG_IMPLAUSIBLE"}


def test_one_that_was_set_aside_has_its_reason_and_what_to_do(
    results: Path, visit: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", visit[1] + "localizer", "--out", str(results)]) == 0
    said = capsys.readouterr().out
    assert "excluded, LOCALIZER - localizer" in said
    assert "`use: yes` in the override sheet" in said
    assert "harmonize" not in said


def test_one_that_failed_in_the_middle_with_its_log_lines(
    results: Path, visit: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    scan = f"sub-{visit[0]}_ses-{visit[1]}_acq-axT2w_MR"
    for stage in ("segment", "levels", "measure", "quality"):
        put(
            shard_path(results, stage, 1), "scan_id", scan, status="failed", reason_code="SEG_EMPTY", detail="none seen"
        )
    log = results / "logs" / "segment" / "shard-00001.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"INFO {scan} done\nINFO {scan}x done\nINFO sub-{visit[0]}_ses-{visit[1]}_acq-dixon_MR done\n")
    assert main(["why", scan, "--out", str(results)]) == 0
    said = capsys.readouterr().out
    assert f"segment    {scan}: failed, SEG_EMPTY - no muscle found (none seen)" in said
    assert f"harmonize  {scan}: ok" in said
    assert f"  segment: INFO {scan} done" in said
    assert f"{scan}x" not in said
    assert "dixon" not in said


def test_receipts_say_by_what_it_was_made(results: Path, visit: tuple[str, str]) -> None:
    scan = f"sub-{visit[0]}_ses-{visit[1]}_acq-axT2w_MR"
    activity = Activity("segment", "c0de", {"device": "cpu"}, {}, {"muscles": "5" * 64}, "1" * 64)
    outputs = [Artifact(f"images/{scan}_dseg.nii.gz", "4" * 64, 9)]
    receipt = Receipt(activity, [], outputs, before=[], environment="e", wall_seconds=1.5, peak_mib=100.0)
    receipt.write(receipt_path(results, "segment", scan))
    put(shard_path(results, "segment", 1), "scan_id", scan, activity_id=activity.id)
    found = next(d for d in why(results, scan).decisions if d.stage == "segment")
    assert found.activity_id == activity.id
    assert found.made_with["code_digest"] == "c0de"
    assert found.made_with["models"] == {"muscles": "5" * 64}
    assert found.made_with["seconds"] == 1.5
    assert list(found.outputs.values()) == ["4" * 64]
    assert next(d for d in why(results, scan).decisions if d.stage == "measure").made_with == {}


def test_stages_that_are_not_done_are_said_to_be(results: Path, visit: tuple[str, str]) -> None:
    for stage in ("measure", "quality"):
        shard_path(results, stage, 1).unlink()
    assert why(results, visit[1]).missing == ["measure", "quality"]


def test_files_that_belong_to_nobody(results: Path) -> None:
    table = pq.read_table(results / INVENTORY_PATH)
    row = {
        **table.slice(0, 1).to_pylist()[0],
        "stack_id": "strangeone",
        "subject": None,
        "session": None,
        "shard": None,
    }
    row |= {"status": "excluded", "reason_code": "MIXED_PATIENTS"}
    stray = pa.Table.from_pylist([row], schema=table.schema)
    pq.write_table(pa.concat_tables([table, stray]), results / INVENTORY_PATH)
    found = why(results, "strangeone")
    assert (found.shard, found.decisions) == (None, [])
    assert found.series[0]["what_to_do"] == "say whose images they are in the people sheet"


@pytest.mark.parametrize("harm", ["a letter", "a scan"])
def test_an_unknown_name_is_an_error_with_those_near_it(results: Path, visit: tuple[str, str], harm: str) -> None:
    subject, session = visit
    names = {"a letter": session[:-1] + "0", "a scan": f"sub-{subject}_ses-{session}_acq-axT3w_MR"}
    near = {"a letter": session, "a scan": f"sub-{subject}_ses-{session}_acq-axT2w_MR"}
    with pytest.raises(InputError) as error:
        why(results, names[harm])
    assert near[harm] in error.value.hint


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing has been run"):
        why(tmp_path, "x")


def test_json(results: Path, visit: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", visit[1], "--json", "--out", str(results)]) == 0
    assert json.loads(capsys.readouterr().out)["item"].endswith(visit[1])
