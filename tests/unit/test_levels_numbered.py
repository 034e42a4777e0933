"""What the network said of a scan, numbered by the levels stage: columns, label map, and scans without vertebrae."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scan_factory import grid_of, lumbar_spine, run, scan_row, spine_row, work_in
from spine_factory import SLICE_CODE, Truth, network_of

from paraspinal.core.errors import InputError
from paraspinal.core.files import sha256_file
from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.imaging.images import read_image, write_image
from paraspinal.core.labels import disc_labels, label_by_name, vertebra_labels
from paraspinal.core.paths import PROJECT
from paraspinal.core.records.tables import Row
from paraspinal.stages.levels.stage import STAGE
from paraspinal.stages.segment.stage import STAGE as SEGMENT

NAMES = ["S1", "L5", "L4", "L3", "L2", "L1", "T12", "T11"]


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth()


def segmented(folder: Path, image: sitk.Image, truth: Truth, patch: pytest.MonkeyPatch, **over: object) -> Row:
    """The row of a spine scan after the segment stage, with a network that knows the truth."""
    write_image(image, folder / "image.nii.gz")
    work = work_in(folder)
    work.shared["spine"] = network_of(truth, patch)
    row = scan_row(Grid.of(image), role="spine", plane="sagittal", image_path="image.nii.gz", **over)
    return run(SEGMENT, [row], work)[0]


def test_segment_saves_what_the_network_says_and_nothing_else(
    tmp_path: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = segmented(tmp_path, truth.image, truth, monkeypatch)
    assert row["probseg_path"].endswith("_acq-one_desc-spine_probseg.nii.gz")
    assert row["probseg_sha256"] == sha256_file(tmp_path / row["probseg_path"])
    assert (row["model"], row["model_sha256"]) == ("spine@0.0.0", "5" * 64)
    assert (row["dseg_path"], row["label_disagreement"]) == (None, None)
    assert row["vertebrae"] is None
    assert [p.name for p in (tmp_path / row["probseg_path"]).parent.iterdir()] == [Path(row["probseg_path"]).name]


def test_levels_numbers_it_and_writes_the_label_map(
    tmp_path: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = segmented(tmp_path, truth.image, truth, monkeypatch)
    work = work_in(tmp_path)
    done = run(STAGE, [row], work)[0]
    assert (done["status"], done["level_numbering"], done["lstv_suspected"]) == ("ok", "counted_from_sacrum", False)
    found = {v["level"]: v for v in done["vertebrae"]}
    assert list(found) == [name for name in NAMES if name in found]
    assert set(found) >= {"S1", "L5", "L4", "L3", "L2", "L1"}
    label_map = read_image(tmp_path / done["dseg_path"])
    assert Grid.of(label_map) == Grid.of(read_image(tmp_path / "image.nii.gz"))
    labels = sitk.GetArrayFromImage(label_map)
    for name in ("L5", "L4", "L3", "L2", "L1"):
        x, y, z = label_map.TransformPhysicalPointToIndex(found[name]["centre_mm"])
        assert labels[z, y, x] == vertebra_labels()[name]
    assert done["dseg_path"].endswith("_acq-one_desc-spine_dseg.nii.gz")
    assert [(a.path, a.sha256) for a in work.outputs] == [(done["dseg_path"], done["dseg_sha256"])]
    assert [one["label"] for one in done["label_disagreement"]] == sorted(np.unique(labels[labels > 0]).tolist())
    assert all(0 <= one["entropy"] <= 1 for one in done["label_disagreement"])
    assert disc_labels()["L4_L5"] in labels
    assert label_by_name("sacrum").code in labels


def test_a_spine_without_a_vertebra_is_empty(tmp_path: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only numbering can tell: the network looked, and its answer is kept."""
    array = sitk.GetArrayFromImage(truth.image)
    nothing = sitk.GetImageFromArray((array // SLICE_CODE * SLICE_CODE + 1).astype(np.float32))
    nothing.CopyInformation(truth.image)
    row = segmented(tmp_path, nothing, truth, monkeypatch)
    assert (row["status"], row["reason_code"]) == ("ok", None)
    done = {
        r["role"]: r for r in run(STAGE, [row, scan_row(grid_of(), scan_id="sub-a_ses-b_acq-z_T1w")], work_in(tmp_path))
    }
    spine = done["spine"]
    assert (spine["status"], spine["reason_code"], spine["detail"]) == ("failed", "SEG_EMPTY", "no vertebra was found")
    assert (spine["dseg_path"], spine["vertebrae"]) == (None, None)
    assert done["muscles"]["level_detail"] == "no usable sagittal scan in the session"


def test_a_muscle_scan_that_finds_its_own_levels_keeps_its_label_map(
    tmp_path: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = segmented(tmp_path, truth.image, truth, monkeypatch)
    own = {"role": "muscles", "plane": "axial", "dseg_path": "muscles.nii.gz", "model": "muscles@1.0.0"}
    work = work_in(tmp_path)
    row = run(STAGE, [answered | own], work)[0]
    assert row["dseg_path"] == "muscles.nii.gz"
    assert row["level_source"] == "same_image"
    assert {v["level"] for v in row["vertebrae"]} >= {"L5", "L1"}
    assert work.outputs == []


def test_scans_in_which_no_vertebrae_were_looked_for_stay_as_they_are(tmp_path: Path) -> None:
    done = run(STAGE, [spine_row(lumbar_spine())], work_in(tmp_path))[0]
    assert [v["level"] for v in done["vertebrae"]] == ["L1", "L2", "L3", "L4", "L5"]


def test_an_answer_that_is_gone_stops_the_job(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run(STAGE, [scan_row(grid_of(), role="spine", probseg_path="gone.nii.gz")], work_in(tmp_path))


def test_how_l5_is_decided_is_code_of_levels_and_not_of_segment(tmp_path: Path) -> None:
    """A changed number in the decision numbers every spine again, and shows none to the network again."""
    package = tmp_path / "workflow" / "paraspinal"
    shutil.copytree(PROJECT / "workflow" / "paraspinal", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PROJECT / "resources", tmp_path / "resources", ignore=shutil.ignore_patterns("models"))

    def codes() -> list[str]:
        stages = ("segment", "levels")
        lines = [f"from paraspinal.stages.{name} import STAGE as s; print(s.code)" for name in stages]
        command = [sys.executable, "-B", "-c", "\n".join([*lines, "import sys; print('torch' in sys.modules)"])]
        path = {"PYTHONPATH": str(package.parent)}
        return subprocess.run(command, env=path, capture_output=True, text=True, check=True).stdout.split()

    before = codes()
    decision = package / "vertebrae" / "junction.py"
    text = decision.read_text()
    assert "GEOMETRY_WEIGHT = 0.7" in text
    decision.write_text(text.replace("GEOMETRY_WEIGHT = 0.7", "GEOMETRY_WEIGHT = 0.8"))
    after = codes()
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert before[2] == "False"
