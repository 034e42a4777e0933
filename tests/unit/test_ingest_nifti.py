"""NIfTI folders and BIDS datasets as input."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_factory import outcome, run

from paraspinal.core.imaging.geometry import Grid, same_grid
from paraspinal.stages.ingest.reading.nifti_header import permuted, read_grid, slice_order

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def write(path: Path, grid: Grid | None = None, **over: Any) -> Path:
    """Write a small random image."""
    grid = grid or Grid((16, 12, 6), (1.0, 1.0, 4.0), (-8.0, -6.0, 3.0), AXIAL)
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(len(path.name)).random(grid.size[::-1], dtype=np.float32)
    sitk.WriteImage(grid.image(array), str(path))
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_grid_equals_that_of_the_image_library(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(5)
    for number in range(8):
        axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        direction = tuple(axes.reshape(-1))
        grid = Grid((9, 8, 7), (0.9, 1.1, 3.3), tuple(rng.normal(0, 50, 3)), direction)  # type: ignore[arg-type]
        path = write(tmp_path / f"{number}{suffix}", grid)
        found, n_volumes = read_grid(bytes(path))
        assert n_volumes == 1
        assert slice_order(grid) == (0, 1, 2)
        assert same_grid(found, Grid.of(sitk.ReadImage(str(path))), 1e-3)


def test_slice_axis_comes_last() -> None:
    sagittal = Grid((20, 381, 380), (4.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXIAL)
    assert slice_order(sagittal) == (1, 2, 0)
    moved = permuted(sagittal, (1, 2, 0))
    assert (moved.size, moved.spacing_mm) == ((381, 380, 20), (1.0, 1.0, 4.0))
    np.testing.assert_allclose(moved.normal, [1, 0, 0])
    assert np.linalg.det(moved.axes) == pytest.approx(1.0)
    isotropic = Grid((38, 257, 201), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXIAL)
    assert slice_order(isotropic) == (1, 2, 0)


def test_bids_dataset(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for session in ("01", "02"):
        write(root / f"sub-01/ses-{session}/anat/sub-01_ses-{session}_T2w.nii.gz")
    anat = root / "sub-02/anat"
    for part in ("water", "fat"):
        write(anat / f"sub-02_acq-{part}_MR.nii.gz")
    write(anat / "sub-02_T1w.nii.gz")
    (anat / "sub-02_T1w.json").write_text(
        json.dumps({"EchoTime": 0.012, "RepetitionTime": 0.6, "ScanningSequence": "SE", "PatientName": "Doe"})
    )
    write(root / "derivatives/seg/sub-02_T1w.nii.gz")
    write(anat / "sub-02_dseg.nii.gz")
    (root / "dataset_description.json").write_text("{}")
    (root / "participants.tsv").write_text("participant_id\n")
    summary, rows = run(tmp_path)
    assert summary.n_sessions == 3
    images = [row for row in rows if row["subject"]]
    assert len({row["subject"] for row in images}) == 2
    assert sorted((r["sequence"], r["dixon_part"] or "") for r in images) == [
        ("T1w", ""), ("T2w", ""), ("T2w", ""), ("dixon", "fat"), ("dixon", "water"),
    ]  # fmt: skip
    (t1,) = [row for row in images if row["sequence"] == "T1w"]
    assert (t1["echo_time_ms"], t1["repetition_time_ms"]) == (12.0, 600.0)
    assert "text agrees" in t1["sequence_evidence"]
    dixon = [row for row in images if row["sequence"] == "dixon"]
    assert dixon[0]["series_id"] == dixon[1]["series_id"]
    assert sorted(r["n_files"] for r in rows if not r["subject"]) == [1, 1, 1, 2]


def test_plain_folder_pairs_by_name(tmp_path: Path) -> None:
    for name in ("p1_water", "p1_fat", "p2_T2w", "p2_mask"):
        write(tmp_path / "in" / f"{name}.nii.gz")
    for name in ("water", "fat"):
        write(tmp_path / "in" / "p3" / f"{name}.nii.gz")
    _, rows = run(tmp_path)
    people: dict[str, list[str]] = {}
    for row in rows:
        if row["subject"]:
            people.setdefault(row["subject"], []).append(row["dixon_part"] or row["sequence"])
    assert sorted(sorted(kinds) for kinds in people.values()) == [["T2w"], ["fat", "water"], ["fat", "water"]]
    assert [row["reason_code"] for row in rows if not row["subject"]] == ["NOT_AN_IMAGE"]


def _unoriented(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[252:256] = b"\0\0\0\0"
    path.write_bytes(bytes(raw))


def _contradicting(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[252:256] = b"\1\0\1\0"
    raw[292:296] = np.float32(99.0).tobytes()  # the offset of the first row of the sform
    path.write_bytes(bytes(raw))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _header_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _packed_cut(path: Path) -> None:
    path.write_bytes(gzip.compress(path.read_bytes())[:60])


def _garbage(path: Path) -> None:
    path.write_bytes(b"something else" * 100)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_unoriented, ("failed", "NO_GEOMETRY", 1)),
        (_contradicting, ("failed", "AFFINE_MISMATCH", 1)),
        (_cut, ("failed", "DICOM_TRUNCATED", 1)),
        (_header_cut, ("failed", "DICOM_TRUNCATED", 1)),
        (_packed_cut, ("failed", "DICOM_TRUNCATED", 1)),
        (_garbage, ("failed", "DICOM_UNREADABLE", 1)),
    ],
)
def test_bad_nifti(tmp_path: Path, spoil: Any, expected: tuple[str, str, int]) -> None:
    spoil(write(tmp_path / "in" / "sub-01_T2w.nii"))
    _, rows = run(tmp_path)
    assert outcome(rows) == [expected]


def test_four_dimensions_and_single_slices_are_set_aside(tmp_path: Path) -> None:
    volume = sitk.GetImageFromArray(np.random.default_rng(0).random((6, 12, 16), dtype=np.float32))
    (tmp_path / "in").mkdir()
    sitk.WriteImage(sitk.JoinSeries([volume, volume]), str(tmp_path / "in" / "sub-01_T2w.nii"))
    flat = sitk.GetImageFromArray(np.random.default_rng(0).random((1, 12, 16), dtype=np.float32))
    sitk.WriteImage(flat, str(tmp_path / "in" / "sub-02_T2w.nii"))
    _, rows = run(tmp_path)
    assert outcome(rows) == [("excluded", "FOURD_UNEXPECTED", 1), ("excluded", "TOO_FEW_SLICES", 1)]
