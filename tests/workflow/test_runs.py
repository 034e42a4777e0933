"""What a second run computes - nothing, or exactly what a change affects - and the same images by other doors."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from paraspinal.core.files import sha256_file
from paraspinal.models.registry import find, register
from paraspinal.models.training.muscles_card import NAME, VERSION
from paraspinal.phantom.cohort import PLANS, write_visit

from .canaries import Canaries
from .conftest import Study, assert_same_content, small
from .leaks import Search

pytestmark = pytest.mark.workflow

ALL_STAGES = ["aggregate", "convert", "harmonize", "levels", "measure", "quality", "report", "segment"]


def test_first_run_does_everything_once(finished: Study) -> None:
    assert finished.executed() == ALL_STAGES
    assert finished.computed("convert") == {"shard-00001": (2, 0), "shard-00002": (1, 0)}
    metrics = finished.content()["metrics"]
    assert metrics.subject.nunique() == 2
    assert metrics.session.nunique() == 3
    assert metrics.volume_mm3.notna().any()


def test_second_run_does_nothing(study: Study) -> None:
    before = {p: p.stat().st_mtime_ns for p in (study.results / "tables").iterdir()}
    study.run()
    assert study.executed() == []
    assert {p: p.stat().st_mtime_ns for p in (study.results / "tables").iterdir()} == before


@pytest.mark.parametrize("stage", ["convert", "measure"])
def test_a_table_that_is_gone_is_made_again_from_receipts_though_all_that_follows_is_there(
    study: Study, stage: str
) -> None:
    """A job that fails leaves no table, and what was made of the one before still stands there."""
    table = study.results / "shards" / stage / "shard-00001.parquet"
    before = table.read_bytes()
    table.unlink()
    study.run()
    assert stage in study.executed()
    assert study.computed(stage)["shard-00001"][0] == 0
    assert table.read_bytes() == before


def test_touching_files_does_nothing(study: Study) -> None:
    for path in study.dicom.rglob("*"):
        if path.is_file():
            os.utime(path)
    study.run()
    assert study.executed() == []


def test_editing_the_measure_stage_measures_again_and_no_more(study: Study) -> None:
    before = study.content()
    source = study.project / "workflow" / "paraspinal" / "stages" / "measure" / "stage.py"
    text = source.read_text()
    assert "return dict(row)" in text
    source.write_text(text.replace("return dict(row)", "return {**row}"))
    study.run()
    assert study.executed() == ["aggregate", "measure", "quality", "report"]
    assert study.computed("measure") == {"shard-00001": (4, 0), "shard-00002": (2, 0)}
    assert_same_content(without_activity(before), without_activity(study.content()))


def without_activity(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Tables without the ids of the computations, which are meant to differ."""
    return {name: table.drop(columns=["activity_id"], errors="ignore") for name, table in tables.items()}


def test_comments_docstrings_and_what_no_stage_calls_change_nothing(study: Study) -> None:
    source = study.project / "workflow" / "paraspinal" / "stages" / "measure" / "stage.py"
    source.write_text(source.read_text().replace('"""', '"""We measure: ', 1) + "\n# a remark\n\n\nEDITED = True\n")
    study.run()
    assert study.executed() == []


def test_replaced_weights_segment_again_and_what_follows(study: Study) -> None:
    """The file's time is kept, as `rsync -a` and `tar` do."""
    resources = study.project / "resources"
    entry = find(f"{NAME}@{VERSION}", resources)
    times = entry.weights.stat()
    # One flipped bit in the last weight is another model.
    content = bytearray(entry.weights.read_bytes())
    content[-4] ^= 1
    entry.weights.write_bytes(bytes(content))
    register(replace(entry, sha256=sha256_file(entry.weights)), resources)
    os.utime(entry.weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    study.run()
    assert study.executed() == ["aggregate", "levels", "measure", "quality", "report", "segment"]
    # Only the axial scans depend on the muscles model: one of the two scans of every session.
    assert study.computed("segment") == {"shard-00001": (2, 2), "shard-00002": (1, 1)}


def test_adding_a_person_touches_one_shard_and_computes_one_session(study: Study) -> None:
    write_visit(small(PLANS[3]), study.dicom / PLANS[3].folder)
    untouched = study.results / "shards" / "quality" / "shard-00001.parquet"
    before = untouched.stat().st_mtime_ns
    study.run()
    assert untouched.stat().st_mtime_ns == before
    for stage, units in (("convert", 1), ("harmonize", 1), ("segment", 2), ("levels", 1), ("measure", 2)):
        assert study.computed(stage)["shard-00002"] == (units, units), stage
    assert study.content()["metrics"].subject.nunique() == 3


def test_killed_in_the_middle_of_a_shard_it_resumes_and_ends_the_same(finished: Study, tmp_path: Path) -> None:
    undisturbed = finished.content()
    study = finished.clone(tmp_path)
    shutil.rmtree(study.results)
    receipts = study.results / "receipts" / "segment"
    process = subprocess.Popen(
        [*study.command, *study.options],
        env=study.environment,
        cwd=study.root,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not list(receipts.glob("sub-*.json.gz")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in receipts.glob("sub-*.json.gz")}
    assert 0 < len(kept) < 6
    assert not (study.results / "tables" / "metrics.parquet").exists()
    study.run()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert_same_content(undisturbed, study.content())
    assert not list(study.results.rglob(".partial-*"))


def test_the_engines_own_command_line_gives_the_same_tables(finished: Study, tmp_path: Path) -> None:
    study = finished.clone(tmp_path)
    shutil.rmtree(study.results)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", str(study.project / "Snakefile")]
    command += [
        "--config",
        f"input={study.dicom}",
        "out=results",
        f"private_dir={study.root / 'private'}",
        "shard_size=2",
    ]
    done = subprocess.run(command, cwd=study.root, env=study.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_same_content(finished.content(), study.content())
    search = Search(Canaries(0), [str(study.dicom)])
    assert list((study.root / ".snakemake").rglob("*.log"))
    assert search.folder(study.root / ".snakemake") + search.folder(study.results) == []
    assert str(study.dicom) not in done.stdout + done.stderr


def test_a_bids_dataset_gives_the_same_sizes(finished: Study, tmp_path: Path) -> None:
    """Images carry no frame of reference in BIDS, so levels stay null; sizes over the stack are those of the DICOM."""
    study = Study(tmp_path)
    shutil.copytree(finished.project, study.project)
    scans = finished.content()["scans"]
    for row in scans.itertuples():
        folder = study.dicom / f"sub-{row.subject}" / f"ses-{row.session}" / "anat"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"sub-{row.subject}_ses-{row.session}_acq-{row.plane}_T2w.nii.gz"
        shutil.copy2(finished.results / row.image_path, folder / name)
    study.run()
    found = study.content()
    assert len(found["scans"]) == len(scans)
    assert set(found["scans"].sequence) == {"T2w"}
    assert found["metrics"].query("level_scheme == 'none'").reason_code.eq("LEVEL_UNRESOLVED").all()

    def stacks(tables: dict[str, pd.DataFrame]) -> list[float]:
        metrics = tables["metrics"].query("level == 'stack'").drop_duplicates(["scan_id", "muscle", "side"])
        return sorted(metrics.volume_mm3.dropna())

    assert stacks(found) == pytest.approx(stacks(finished.content()), rel=1e-6)
    assert not [p for p in found["scans"].scan_id if any(s in p for s in scans.subject)]
