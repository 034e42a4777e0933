"""What a change would compute, on simulated cohorts; that it comes true is tested with whole runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
from simulated import add_sessions, settings_for

from paraspinal.cli.main import main
from paraspinal.cohort.asking.evidence import DAMAGED, RETRY
from paraspinal.cohort.asking.rerun_estimate import Forecast, forecast
from paraspinal.cohort.asking.run_plan import what_if
from paraspinal.cohort.running.plan import SHARD_STAGES
from paraspinal.core.errors import ConfigError
from paraspinal.core.files import sha256_file
from paraspinal.core.records.receipts import UNITS, Artifact, units_path
from paraspinal.core.records.registry import shard_path
from paraspinal.core.records.seals import seal_path, write_seal
from paraspinal.core.records.tables import Row
from paraspinal.core.settings import Settings

SESSIONS, NEW = 40, 30
SCANS = 4 * SESSIONS
ITK, SCIPY = version("SimpleITK"), version("scipy")


def planned(results: Path, settings: Settings | None = None) -> dict[str, Forecast]:
    return {found.stage: found for found in forecast(results, settings or settings_for(results))}


def alter(results: Path, stage: str, change: Callable[[Row], Row]) -> None:
    """Change what the receipts of a stage say, and seal it as if a job had."""
    for shard in (1, 2):
        table, units = shard_path(results, stage, shard), units_path(results, stage, shard)
        UNITS.write(units, [change(row) for row in UNITS.read(units)])
        write_seal(results, stage, shard, (table, units))


def counts(found: Forecast) -> tuple[int, int, int]:
    return found.compute, found.maybe, found.reuse


def test_nothing_to_do(results: Path) -> None:
    found = planned(results)
    assert [counts(found[name]) for name in SHARD_STAGES] == [
        (0, 0, n) for n in (SESSIONS, SESSIONS, SCANS, SESSIONS, SCANS, SESSIONS)
    ]
    assert sum(one.jobs for one in found.values()) == 0


def test_a_parameter_of_the_last_stage(results: Path) -> None:
    settings = settings_for(results, quality={"max_side_ratio": 2.0})
    found = planned(results, settings)
    assert counts(found["quality"]) == (SESSIONS, 0, 0)
    assert found["quality"].reasons == {"max_side_ratio 1.5 -> 2.0": SESSIONS}
    assert sum(one.jobs for name, one in found.items() if name != "quality") == 0


def test_what_follows_a_changed_parameter_may_come_out_the_same(results: Path) -> None:
    found = planned(results, settings_for(results, measure={"min_subcutaneous_ff": 0.7}))
    assert counts(found["harmonize"]) == (SESSIONS, 0, 0)
    assert counts(found["segment"]) == (0, SCANS, 0)
    assert counts(found["levels"]) == (0, SESSIONS, 0)
    assert counts(found["convert"]) == (0, 0, SESSIONS)


def test_a_parameter_counts_where_it_is_used(results: Path) -> None:
    """N4 is nothing to a Dixon scan nor to a sagittal one: of the four scans of a visit it changes one."""
    found = planned(results, settings_for(results, measure={"n4": True}))
    assert counts(found["measure"]) == (SESSIONS, 0, 3 * SESSIONS)


def test_other_weights_of_a_role(results: Path) -> None:
    def other(row: Row) -> Row:
        models = row["models"].replace('"muscles": "', '"muscles": "0')
        return {**row, "models": models, "recipe_sha256": "of other weights"}

    alter(results, "segment", other)
    found = planned(results)
    assert counts(found["segment"]) == (2 * SESSIONS, 0, 2 * SESSIONS)
    # The weights' sha256 stands in the rows: what uses it is sure to be done again.
    assert counts(found["measure"]) == (2 * SESSIONS, 2 * SESSIONS, 0)
    assert counts(found["levels"]) == (0, SESSIONS, 0)
    assert counts(found["quality"]) == (0, SESSIONS, 0)


def test_new_sessions_and_none_of_the_old(results: Path) -> None:
    add_sessions(results, NEW)
    found = planned(results)
    assert counts(found["convert"]) == (NEW, 0, SESSIONS)
    assert found["convert"].jobs == 2
    for name in SHARD_STAGES[1:]:
        assert (found[name].unseen, found[name].compute, found[name].maybe) == (NEW, 0, 0)
    plan = {line.stage: line for line in what_if(results, None, {}, {}, False).lines}
    assert (plan["segment"].compute, plan["segment"].reuse) == (4 * NEW, SCANS)
    # Simulated units took a second each.
    assert plan["segment"].cpu_hours == pytest.approx(4 * NEW / 3600)
    assert plan["segment"].gpu_hours == 0
    gpu = what_if(results, None, {"segment": {"device": "cuda"}}, {}, False).lines[2]
    # Two scans side by side share the GPU, so that their hours count once.
    assert gpu.gpu_hours == pytest.approx((4 * NEW + SCANS) / 3600 / 2)


def test_another_version_of_a_library_that_computes(results: Path) -> None:
    alter(results, "measure", lambda row: {**row, "tools": '{"scipy": "0.1"}', "recipe_sha256": "of other tools"})
    found = planned(results)["measure"]
    assert counts(found) == (SCANS, 0, 0)
    assert set(found.reasons) == {f"version of SimpleITK none -> {ITK}; version of scipy 0.1 -> {SCIPY}"}
    assert found.jobs == 2


def test_what_met_a_software_error_is_tried_again(results: Path) -> None:
    alter(results, "measure", lambda row: {**row, "is_final": "acq-dixon" not in row["unit"]})
    found = planned(results)["measure"]
    assert counts(found) == (SESSIONS, 0, SCANS - SESSIONS)
    assert set(found.reasons) == {RETRY}


@pytest.mark.parametrize("what", ["table", "units", "seal"])
def test_a_damaged_shard_is_made_again_from_its_receipts(results: Path, what: str) -> None:
    path = {"table": shard_path, "units": units_path, "seal": seal_path}[what](results, "levels", 1)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    found = planned(results)
    assert set(found["levels"].shards) == {1}
    assert [found[name].jobs for name in SHARD_STAGES] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("harm", ["gone", "shorter", "altered"])
def test_a_file_that_is_gone_or_damaged(results: Path, harm: str) -> None:
    path = results / "images" / "x.nii.gz"
    path.parent.mkdir()
    path.write_bytes(b"voxels")
    artifact = {"path": "images/x.nii.gz", "sha256": sha256_file(path), "n_bytes": 6}
    now = datetime.now(UTC).isoformat()
    unit = UNITS.read(units_path(results, "segment", 2))[0]["unit"]
    more = {"outputs": [artifact], "finished_utc": now}
    alter(results, "segment", lambda row: {**row, **more} if row["unit"] == unit else row)
    assert counts(planned(results)["segment"]) == (0, 0, SCANS)
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(b"voxel" if harm == "shorter" else b"voxelS")
        os.utime(path, (path.stat().st_mtime + 60,) * 2)
    found = planned(results)["segment"]
    assert (counts(found), set(found.reasons), set(found.shards)) == ((1, 0, SCANS - 1), {DAMAGED}, {2})


def test_a_file_that_was_only_touched_is_the_same_and_gets_its_time_back(results: Path) -> None:
    path = results / "x"
    path.write_bytes(b"voxels")
    artifact = Artifact("x", sha256_file(path), 6)
    finished = datetime.now(UTC) - timedelta(hours=1)
    assert artifact.is_there(results, finished.isoformat(), must_hash=False)
    assert path.stat().st_mtime == pytest.approx(finished.timestamp(), abs=1e-3)


def test_an_altered_file_with_its_time_kept_is_found_by_its_content(results: Path) -> None:
    path = results / "x"
    path.write_bytes(b"voxels")
    artifact, now = Artifact("x", sha256_file(path), 6), datetime.now(UTC).isoformat()
    path.write_bytes(b"voxelS")
    assert artifact.is_there(results, now, must_hash=False)
    assert not artifact.is_there(results, now)


def test_only_what_a_run_would_be_told_counts(results: Path, tmp_path: Path) -> None:
    config = tmp_path / "new.yaml"
    config.write_text("quality: {max_side_ratio: 2.0}\n")
    assert what_if(results, config, {}, {}, False).lines[-1].compute == SESSIONS
    assert what_if(results, None, {"quality": {"max_side_ratio": 1.5}}, {}, False).lines[-1].compute == 0
    with pytest.raises(ConfigError):
        what_if(results, None, {"quality": {"max_side_ration": 1.5}}, {}, False)


def test_the_command_writes_a_table(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    assert main(["plan", "--out", str(results), "--set", "quality.max_side_ratio=2"]) == 0
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert said[6][:7] == ["quality", "2", "40", "0", "0", "visits", "0.011"]
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before
    assert main(["plan", "--out", str(results), "--model", "kidneys=x@1.0.0"]) == 3
    assert main(["plan", "--out", str(results / "nowhere")]) == 3
