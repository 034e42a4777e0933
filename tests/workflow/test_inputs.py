"""The same images by other doors: the engine's own command line, and NIfTI instead of DICOM."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from .conftest import Study, assert_same_content

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("study")]


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
