"""What a run computes the receipts decide, whatever became of the engine's own records and of the times of files."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from paraspinal.core.files import sha256_file
from paraspinal.models.registry import find, register
from paraspinal.models.training.muscles_card import NAME, VERSION

from .conftest import Study
from .test_plan import STAGES, assert_comes_true, forget_logs, planned

pytestmark = pytest.mark.workflow

DAY_S = 86_400
PARAMETER = ("--set", "measure.min_coverage_frac=0.6")


def snakemake(study: Study, *more: str) -> subprocess.CompletedProcess[str]:
    """The engine's own command line on the results of a study."""
    config = [f"input={study.dicom}", "out=results", f"private_dir={study.root / 'private'}", "shard_size=2"]
    parameters = [option for option in more if "=" in option]
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", str(study.project / "Snakefile")]
    command += [*(option for option in more if option not in parameters), "--config", *config, *parameters]
    done = subprocess.run(command, cwd=study.root, env=study.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def without_metadata(study: Study) -> None:
    shutil.rmtree(study.results / ".snakemake")


def copied(study: Study) -> None:
    """As by `cp -r` and a file manager that leaves out hidden files: all times are new, in no order."""
    results, copy = study.results, study.root / "copy"
    shutil.copytree(results, copy, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns(".*"))
    shutil.rmtree(results)
    copy.rename(results)


def touched(study: Study) -> None:
    """Every file gets a time of its own, within a month before and after today."""
    chance = random.Random(11)
    for path in sorted(study.results.rglob("*")):
        os.utime(path, (time.time() + chance.uniform(-30, 30) * DAY_S,) * 2)


def touched_by_the_engine(study: Study) -> None:
    snakemake(study, "--touch")


def parameter(study: Study) -> tuple[str, ...]:
    return PARAMETER


def code(study: Study) -> tuple[str, ...]:
    source = study.project / "workflow" / "paraspinal" / "stages" / "quality" / "stage.py"
    text = source.read_text()
    assert "return flags, path" in text
    source.write_text(text.replace("return flags, path", "return list(flags), path"))
    return ()


def weights(study: Study) -> tuple[str, ...]:
    resources = study.project / "resources"
    entry = find(f"{NAME}@{VERSION}", resources)
    content = bytearray(entry.weights.read_bytes())
    content[-4] ^= 1
    other = entry.weights.with_name("other.safetensors")
    other.write_bytes(bytes(content))
    register(replace(entry, version="9.9.9", weights=other, sha256=sha256_file(other)), resources)
    return ("--set", f"segment.muscles_model={NAME}@9.9.9")


def sheet(study: Study) -> tuple[str, ...]:
    scans = study.content()["scans"]
    series = scans[scans["plane"] == "sagittal"]["series_id"].iloc[0]
    path = study.root / "levels.tsv"
    path.write_text(f"id\tlowest\n{series}\tL5\n")
    return ("--set", f"levels.levels_sheet={path}")


CASES = [
    (without_metadata, parameter, {"measure": 6}),
    (copied, code, {"quality": 3}),
    (touched, weights, {"segment": 3}),
    (touched_by_the_engine, sheet, {"levels": 1}),
]


@pytest.mark.parametrize(("lose", "change", "first"), CASES, ids=lambda case: getattr(case, "__name__", ""))
def test_nothing_is_computed_and_then_exactly_what_a_change_affects(
    study: Study, lose: Callable[[Study], None], change: Callable[[Study], tuple[str, ...]], first: dict[str, int]
) -> None:
    before = {path.name: path.read_bytes() for path in (study.results / "tables").iterdir()}
    lose(study)
    assert "nothing to do: everything is up to date" in study.run().stdout
    assert study.executed() == []
    assert {path.name: path.read_bytes() for path in (study.results / "tables").iterdir()} == before
    lose(study)
    told = change(study)
    plan = planned(study, *told)
    assert {name: plan[name]["compute"] for name in first} == first
    earlier = STAGES[: STAGES.index(next(iter(first)))]
    assert all(plan[name]["jobs"] == 0 for name in earlier)
    forget_logs(study)
    study.run(*told)
    assert study.executed() == sorted({"aggregate", "report", *STAGES} - set(earlier))
    assert_comes_true(plan, study)
    assert "nothing to do: everything is up to date" in study.run(*told).stdout


def test_what_is_gone_or_damaged_is_made_anew_as_planned(study: Study) -> None:
    before = study.content()
    scans = before["scans"]
    spine, muscles = (scans[scans["role"] == role].iloc[0] for role in ("spine", "muscles"))
    (study.results / spine["image_path"]).unlink()
    (study.results / muscles["dseg_path"]).unlink()
    picture = next((study.results / "images").rglob("*.png"))
    picture.write_bytes(picture.read_bytes()[:-1])
    (study.results / "tables" / "levels.parquet").unlink()
    (study.results / "report" / "methods.md").unlink()
    plan = planned(study)
    certain = {name: plan[name]["reasons"] for name in ("convert", "segment", "quality")}
    assert certain == {name: {"a file is gone or damaged": 1} for name in certain}
    forget_logs(study)
    study.run()
    assert_comes_true(plan, study)
    assert {name: table.equals(before[name]) for name, table in study.content().items()} == dict.fromkeys(before, True)
    assert (study.results / spine["image_path"]).is_file()


def test_the_plan_names_tables_and_report_that_are_gone(study: Study) -> None:
    (study.results / "report" / "index.html").unlink()
    assert cohort(study) == {"aggregate": None, "report": "a file is gone or damaged"}
    (study.results / "tables" / "levels.parquet").unlink()
    said = cohort(study)
    assert said["aggregate"] == "a file is gone or damaged"
    study.run()
    assert study.executed() == ["aggregate", "report"]
    assert cohort(study) == {"aggregate": None, "report": None}


def cohort(study: Study) -> dict[str, str | None]:
    """What the plan says of the cohort tables and the report."""
    command = [sys.executable, "-m", "paraspinal", "plan", "--json", "--out", str(study.results)]
    done = subprocess.run(command, env=study.environment, cwd=study.root, capture_output=True, text=True, check=True)
    found: dict[str, str | None] = json.loads(done.stdout)["cohort"]
    return found


def job(study: Study, name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paraspinal", "stage", name, "--out", str(study.results)]
    return subprocess.run(command, env=study.environment, capture_output=True, text=True, check=False)


def test_rows_of_another_recipe_are_refused_and_the_methods_say_what_the_receipts_say(study: Study) -> None:
    config = study.results / "run_config.yaml"
    text = config.read_text()
    assert "min_coverage_frac: 0.95" in text
    config.write_text(text.replace("min_coverage_frac: 0.95", "min_coverage_frac: 0.6"))
    done = job(study, "aggregate")
    assert done.returncode == 7
    last = done.stderr.splitlines()[-1]
    assert "measure, shard 1, was not made as this run would make it: min_coverage_frac 0.95 -> 0.6" in last
    assert "type: paraspinal run" in last
    assert job(study, "report").returncode == 0
    methods = (study.results / "report" / "methods.md").read_text()
    (line,) = [line for line in methods.splitlines() if "min_coverage_frac" in line]
    assert "0.95" in line
    assert "0.6" not in line


def test_the_engines_own_command_line_says_what_it_does_not_see(study: Study) -> None:
    before = {path.name: path.read_bytes() for path in (study.results / "tables").iterdir()}
    assert " is due " not in snakemake(study).stderr
    without_metadata(study)
    done = snakemake(study, 'measure={"min_coverage_frac": 0.6}')
    said = [line for line in done.stderr.splitlines() if " is due " in line]
    assert said[0] == (
        "measure is due (min_coverage_frac 0.95 -> 0.6): where the engine leaves it out, "
        "type: paraspinal run INPUT --out OUT"
    )
    assert {path.name: path.read_bytes() for path in (study.results / "tables").iterdir()} == before
