"""The only reader and writer of NIfTI images; written headers carry no text."""

from __future__ import annotations

import errno
import gzip
import shutil
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from paraspinal.core.errors import DataError, InputError, raise_machine_trouble
from paraspinal.core.files import atomic_path
from paraspinal.core.vocab import Reason

GZIP_CHUNK = 1 << 22
NIFTI_HEADER = 352
"""Bytes before the voxels of a NIfTI file."""


def read_image(path: Path) -> sitk.Image:
    """Read a 3-D scalar image.

    Raises InputError if the file is missing or no image, DataError if it is not a 3-D scalar image, MachineError or
    OSError if memory or the drive is at fault. The messages do not name the path.
    """
    return as_volume(_read(path))


def read_volumes(path: Path) -> sitk.Image:
    """Read a 4-D image: volumes on one grid. Raises as :func:`read_image` does."""
    image = _read(path)
    if image.GetDimension() != 4:
        raise DataError(Reason.FOURD_UNEXPECTED, f"{image.GetDimension()}-D image")
    return image


def _read(path: Path) -> sitk.Image:
    if not path.is_file():
        raise InputError("the image file does not exist", hint="check the path")
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise_machine_trouble(error)
        _read_through(path)
        raise InputError("the file cannot be read as an image", hint="expected NIfTI (.nii, .nii.gz)") from None


def _read_through(path: Path) -> None:
    """Read a file to its end: raises OSError where the drive is at fault, of which the image library says nothing."""
    with path.open("rb") as handle:
        while handle.read(GZIP_CHUNK):
            pass


def as_volume(image: sitk.Image) -> sitk.Image:
    """Return a 3-D scalar image, dropping trailing axes of length one; raises DataError otherwise."""
    while image.GetDimension() > 3 and image.GetSize()[-1] == 1:
        image = image[(slice(None),) * (image.GetDimension() - 1) + (0,)]
    if image.GetDimension() > 3:
        raise DataError(Reason.FOURD_UNEXPECTED, f"{image.GetDimension()}-D image")
    if image.GetDimension() < 3:
        raise DataError(Reason.TOO_FEW_SLICES, "2-D image")
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise DataError(Reason.FOURD_UNEXPECTED, "vector-valued image")
    return image


def write_image(image: sitk.Image, path: Path) -> None:
    """Write an image atomically as NIfTI, compressed if named so; every text field of the header stays blank.

    Raises OSError when not all of it reached the disk, of which the image library says nothing.
    """
    clean = sitk.Image(image)
    for key in clean.GetMetaDataKeys():
        clean.EraseMetaData(key)
    voxels = clean.GetNumberOfPixels() * clean.GetNumberOfComponentsPerPixel() * clean.GetSizeOfPixelComponent()
    size = voxels + (NIFTI_HEADER if ".nii" in path.suffixes else 0)
    with atomic_path(path) as temporary:
        try:
            sitk.WriteImage(clean, str(temporary), useCompression=True)
        except RuntimeError:  # whose message names the file
            raise OSError(_cause(path, size), "an image cannot be written") from None
        if _content_size(temporary) < size:
            raise OSError(_cause(path, size), "an image cannot be written whole; is the disk full?")


def _cause(path: Path, n_bytes: int) -> int:
    """Why a file of that size could not be written, as far as the drive's room tells."""
    return errno.ENOSPC if shutil.disk_usage(path.parent).free < n_bytes else errno.EIO


def _content_size(path: Path) -> int:
    """Bytes in a file, unpacked if it is compressed; 0 if the packing is cut."""
    if path.suffix != ".gz":
        return path.stat().st_size
    size = 0
    try:
        with gzip.open(path, "rb") as packed:
            while chunk := packed.read(GZIP_CHUNK):
                size += len(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return 0
    return size


def array_of(image: sitk.Image) -> np.ndarray:
    """Copy the voxels into an array in (z, y, x) order, floats as float32."""
    array: np.ndarray = sitk.GetArrayFromImage(image)
    return array.astype(np.float32) if array.dtype == np.float64 else array
