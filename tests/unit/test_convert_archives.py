"""Stacks whose files lie in archives convert to the same images as from a folder."""

from __future__ import annotations

import os
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_factory import enhanced, pixels, run, save, series, settings_for
from stage_runs import rows_after, run_stage

from paraspinal.core.archives import files as archives
from paraspinal.core.archives.bounds import Member
from paraspinal.core.errors import MachineError
from paraspinal.core.records.tables import Row
from paraspinal.stages.convert import STAGE


def exam(folder: Path) -> None:
    """Three series of one visit: two classic ones and an enhanced Dixon."""
    save(series(5, SeriesNumber=1), folder / "one")
    save(series(4, SeriesNumber=2, SeriesDescription="t1_tse_tra", RepetitionTime=500.0, EchoTime=10.0), folder / "two")
    places = [[-6.0, -5.0, 10.0 + 4.0 * k] for k in range(4)]
    words = ("WATER", "FAT")
    kinds = [{"image_type": ["DERIVED", "PRIMARY", "DIXON", word]} for word in words]
    parts = [
        (np.stack([pixels((word, k)) for k in range(4)]), places, kind) for word, kind in zip(words, kinds, strict=True)
    ]
    save([enhanced(parts, SeriesNumber=3)], folder / "three")


def pack(folder: Path, path: Path) -> None:
    """Pack a folder by the suffix of ``path``."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, str(file.relative_to(folder)))
    else:
        with tarfile.open(path, "w:" if path.suffix == ".tar" else f"w:{path.suffix[1:]}") as archive:
            for file in files:
                archive.add(file, str(file.relative_to(folder)))


def convert(base: Path) -> dict[tuple[Any, Any], tuple[Row, np.ndarray]]:
    """Ingest and convert ``base``/in; rows and voxels by series number and Dixon part."""
    run(base)
    settings = settings_for(base)
    run_stage(STAGE, settings)
    rows = rows_after("convert", settings)
    assert {row["status"] for row in rows} == {"ok"}
    images = {row["stack_id"]: sitk.ReadImage(str(base / "results" / row["image_path"])) for row in rows}
    return {
        (row["series_number"], row["dixon_part"]): (row, sitk.GetArrayFromImage(images[row["stack_id"]]))
        for row in rows
    }


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, which must be empty again afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_images_from_an_archive_are_those_from_a_folder(tmp_path: Path, temporary: Path, suffix: str) -> None:
    exam(tmp_path / "plain" / "in")
    (tmp_path / "packed" / "in").mkdir(parents=True)
    pack(tmp_path / "plain" / "in", tmp_path / "packed" / "in" / f"exam{suffix}")
    plain, packed = convert(tmp_path / "plain"), convert(tmp_path / "packed")
    assert set(plain) == set(packed) == {(1, None), (2, None), (3, "water"), (3, "fat")}
    for key, (row, array) in plain.items():
        np.testing.assert_array_equal(packed[key][1], array)
        assert packed[key][0]["n_files"] == row["n_files"]


@pytest.mark.parametrize(("suffix", "passes"), [(".zip", 4), (".tar", 4), (".tar.gz", 1)])
def test_a_compressed_tar_is_read_once_for_all_stacks(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, passes: int
) -> None:
    exam(tmp_path / "exam")
    (tmp_path / "in").mkdir()
    pack(tmp_path / "exam", tmp_path / "in" / f"exam{suffix}")
    run(tmp_path)
    opened: Counter[bytes] = Counter()
    inside = archives.members

    def counted(path: bytes, *more: Any) -> Iterator[Member]:
        opened[path] += 1
        return inside(path, *more)

    monkeypatch.setattr(archives, "members", counted)
    settings = settings_for(tmp_path)
    assert run_stage(STAGE, settings).items == {"ok": 4}
    assert opened == {os.fsencode(tmp_path / "in" / f"exam{suffix}"): passes}


def test_a_stack_may_lie_in_several_archives_and_beside_them(tmp_path: Path, temporary: Path) -> None:
    items = series(6)
    for number, suffix in enumerate((".zip", ".tar.gz")):
        save(items[2 * number : 2 * number + 2], tmp_path / f"part{number}")
        (tmp_path / "in").mkdir(exist_ok=True)
        pack(tmp_path / f"part{number}", tmp_path / "in" / f"part{number}{suffix}")
    save(items[4:], tmp_path / "in" / "plain")
    ((row, array),) = convert(tmp_path).values()
    assert row["n_files"] == 6
    np.testing.assert_array_equal(array, np.stack([ds.pixel_array for ds in items]))


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_an_archive_that_has_changed_stops_the_job(tmp_path: Path, temporary: Path, suffix: str) -> None:
    save(series(4), tmp_path / "exam")
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / f"exam{suffix}"
    pack(tmp_path / "exam", path)
    run(tmp_path)
    (tmp_path / "exam" / "IM0003.dcm").unlink()
    pack(tmp_path / "exam", path)
    settings = settings_for(tmp_path)
    with pytest.raises(MachineError, match="run ingest again") as caught:
        run_stage(STAGE, settings)
    assert str(tmp_path) not in str(caught.value)
    path.unlink()
    with pytest.raises(MachineError, match="run ingest again") as caught:
        run_stage(STAGE, settings)
    assert str(tmp_path) not in str(caught.value)
