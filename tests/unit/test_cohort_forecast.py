"""What a change would compute, on simulated cohorts; that it comes true is tested with whole runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated import add_sessions, settings_for

from paraspinal.cli.main import main
from paraspinal.cohort.asking.rerun_estimate import Forecast, forecast
from paraspinal.cohort.asking.run_plan import what_if
from paraspinal.cohort.running.plan import SHARD_STAGES
from paraspinal.core.errors import ConfigError
from paraspinal.core.records.receipts import UNITS, units_path
from paraspinal.core.records.registry import shard_path
from paraspinal.core.settings import Settings

SESSIONS, NEW = 40, 30
SCANS = 4 * SESSIONS


def planned(results: Path, settings: Settings | None = None) -> dict[str, Forecast]:
    return {found.stage: found for found in forecast(results, settings or settings_for(results))}


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
    for shard in (1, 2):
        path = units_path(results, "segment", shard)
        rows = UNITS.read(path)
        for row in rows:
            row["models"] = row["models"].replace('"muscles": "', '"muscles": "0')
            row["recipe_sha256"] = "of other weights"
        UNITS.write(path, rows)
    found = planned(results)
    assert counts(found["segment"]) == (2 * SESSIONS, 0, 2 * SESSIONS)
    # The weights' sha256 stands in the rows: what reads those rows is sure to be done again.
    assert counts(found["levels"]) == (SESSIONS, 0, 0)
    assert counts(found["measure"]) == (2 * SESSIONS, 2 * SESSIONS, 0)
    assert counts(found["quality"]) == (SESSIONS, 0, 0)


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


def test_a_version_of_a_tool_counts_only_where_a_job_runs_anyway(results: Path) -> None:
    for shard in (1, 2):
        path = units_path(results, "measure", shard)
        UNITS.write(path, [{**row, "tools": "{}", "recipe_sha256": "of other tools"} for row in UNITS.read(path)])
    assert counts(planned(results)["measure"]) == (0, 0, SCANS)
    shard_path(results, "measure", 2).unlink()
    found = planned(results)["measure"]
    assert found.jobs == 1


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
