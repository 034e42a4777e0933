"""`paraspinal plan` says beforehand what a run then does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from paraspinal.core.files import sha256_file
from paraspinal.models.registry import find, register
from paraspinal.models.training.muscles_card import NAME, VERSION
from paraspinal.phantom.cohort import PLANS, write_visit

from .conftest import Study, small

pytestmark = pytest.mark.workflow

STAGES = ("convert", "harmonize", "segment", "levels", "measure", "quality")
Line = Mapping[str, Any]


def planned(study: Study, *more: str) -> dict[str, Line]:
    """What the plan says of every stage."""
    command = [sys.executable, "-m", "paraspinal", "plan", "--json", "--out", str(study.results), *more]
    done = subprocess.run(command, env=study.environment, cwd=study.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {line["stage"]: line for line in json.loads(done.stdout)["stages"]}


def state(study: Study) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in study.results.rglob("*")}


def assert_comes_true(plan: dict[str, Line], study: Study) -> None:
    """Run counts lie where the plan says, and are exactly as it says where it is certain."""
    for stage in STAGES:
        line = plan[stage]
        units = line["compute"] + line["maybe"] + line["reuse"]
        ran = study.computed(stage) if stage in study.executed() else {}
        computed = sum(n for n, _ in ran.values())
        assert line["compute"] <= computed <= line["compute"] + line["maybe"], stage
        assert sum(sum(pair) for pair in ran.values()) <= units, stage
        assert len(ran) == line["jobs"], stage


def forget_logs(study: Study) -> None:
    """The logs are those of the next run only."""
    for path in (study.results / "logs").rglob("shard-*.log"):
        path.unlink()


def test_nothing_to_do_and_nothing_written(study: Study) -> None:
    before = state(study)
    plan = planned(study)
    assert {name: (line["compute"], line["maybe"], line["jobs"]) for name, line in plan.items()} == dict.fromkeys(
        STAGES, (0, 0, 0)
    )
    assert [plan[name]["reuse"] for name in STAGES] == [3, 3, 6, 3, 6, 3]
    assert state(study) == before


def test_another_parameter_of_measure(study: Study) -> None:
    plan = planned(study, "--set", "measure.min_coverage_frac=0.6")
    assert plan["measure"]["compute"] == 6
    assert plan["measure"]["reasons"] == {"min_coverage_frac 0.95 -> 0.6": 6}
    assert plan["measure"]["cpu_hours"] > 0
    assert plan["segment"]["compute"] == plan["segment"]["maybe"] == 0
    assert (plan["quality"]["compute"], plan["quality"]["maybe"]) == (0, 3)
    forget_logs(study)
    study.run("--set", "measure.min_coverage_frac=0.6")
    assert_comes_true(plan, study)


def test_other_weights_of_the_muscles_model(study: Study) -> None:
    resources = study.project / "resources"
    entry = find(f"{NAME}@{VERSION}", resources)
    content = bytearray(entry.weights.read_bytes())
    content[-4] ^= 1
    weights = entry.weights.with_name("other.safetensors")
    weights.write_bytes(bytes(content))
    register(replace(entry, version="9.9.9", weights=weights, sha256=sha256_file(weights)), resources)
    plan = planned(study, "--model", f"muscles={NAME}@9.9.9")
    assert (plan["segment"]["compute"], plan["segment"]["reuse"]) == (3, 3)
    assert plan["segment"]["reasons"] == {"model changed: muscles": 3}
    assert plan["convert"]["jobs"] == plan["harmonize"]["jobs"] == 0
    # Which weights drew a scan stands in its rows, and measure uses it; what follows else depends on the label maps.
    certain = {name: plan[name]["compute"] for name in ("levels", "measure", "quality")}
    assert certain == {"levels": 0, "measure": 3, "quality": 0}
    assert (plan["levels"]["maybe"], plan["quality"]["maybe"]) == (3, 3)
    forget_logs(study)
    study.run("--set", f"segment.muscles_model={NAME}@9.9.9")
    assert_comes_true(plan, study)


def test_a_new_visit_is_seen_when_asked_to_look(study: Study) -> None:
    study.run()  # which notes in private where the input of these results is
    write_visit(small(PLANS[3]), study.dicom / PLANS[3].folder)
    assert all(line["compute"] == 0 for line in planned(study).values())
    before = state(study)
    plan = planned(study, "--look")
    assert state(study) == before
    assert [plan[name]["compute"] for name in STAGES] == [1, 1, 2, 1, 2, 1]
    assert plan["convert"]["reasons"] == {"new input": 1}
    forget_logs(study)
    study.run()
    assert_comes_true(plan, study)


def test_a_shard_that_was_killed_in_the_middle_is_planned_from_its_receipts(study: Study) -> None:
    for stage in ("measure", "quality"):
        for path in (study.results / "shards" / stage).glob("shard-*.parquet"):
            path.unlink()
    gone = sorted((study.results / "receipts" / "measure").glob("sub-*.json.gz"))[0]
    gone.unlink()
    plan = planned(study)
    assert (plan["measure"]["compute"], plan["measure"]["reuse"]) == (1, 5)
    assert (plan["quality"]["compute"], plan["quality"]["maybe"] + plan["quality"]["reuse"]) == (0, 3)
    forget_logs(study)
    study.run()
    assert_comes_true(plan, study)
    assert sum(computed for computed, _ in study.computed("quality").values()) == 0
