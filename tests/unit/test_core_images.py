"""Images on disk: whole or not there, and without a word in their headers."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from paraspinal.core.errors import InputError, OutOfMemoryError
from paraspinal.core.imaging import images
from paraspinal.core.imaging.images import array_of, read_image, write_image


@contextmanager
def disk_of(n_bytes: int) -> Iterator[None]:
    """Let no file grow beyond a size, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def noise(shape: tuple[int, int, int] = (12, 50, 40)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4000, shape).astype(np.int16)


@pytest.mark.parametrize("name", ["image.nii.gz", "image.nii"])
def test_an_image_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    image = sitk.GetImageFromArray(noise())
    image.SetMetaData("aux_file", "Jane Doe")
    image.SetSpacing((1.5, 2.0, 4.0))
    write_image(image, tmp_path / name)
    again = read_image(tmp_path / name)
    assert (array_of(again) == noise()).all()
    assert again.GetSpacing() == image.GetSpacing()
    header = nibabel.load(tmp_path / name).header
    assert [bytes(header[key]).strip(b"\0") for key in ("descrip", "aux_file", "db_name", "intent_name")] == [b""] * 4


@pytest.mark.parametrize("name", ["image.nii.gz", "image.nii"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, name: str, share: float) -> None:
    """The image library reports nothing of the kind by itself."""
    image = sitk.GetImageFromArray(noise())
    write_image(image, tmp_path / name)
    size = (tmp_path / name).stat().st_size
    before = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    with disk_of(int(share * size)), pytest.raises(OSError, match="cannot be written"):
        write_image(image, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    write_image(image, tmp_path / name)
    assert (tmp_path / name).read_bytes() == before


def test_a_folder_that_is_gone_is_the_machines_trouble(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        write_image(sitk.GetImageFromArray(noise()), Path("/proc/nowhere/image.nii.gz"))


def test_a_whole_image_that_memory_or_the_drive_cannot_give_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image.nii.gz"
    path.write_bytes(b"no image")

    def fail(name: str) -> None:
        raise RuntimeError(
            "Exception thrown in SimpleITK ImageFileReader_Execute: Failed to allocate memory for image."
        )

    with pytest.raises(InputError, match="cannot be read as an image"):
        read_image(path)
    with monkeypatch.context() as patched:
        patched.setattr(images.sitk, "ReadImage", fail)
        with pytest.raises(OutOfMemoryError):
            read_image(path)

    def broken(self: Path, mode: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "open", broken)
    with pytest.raises(OSError, match="Input/output error"):
        read_image(path)
