"""From stored pixels to values: the scale of a slice, and whether a converted image holds its slices where they lie.

Philips states two scales. One turns stored values into those of the display, which are stretched image by image; the
other, private one undoes it: precise = display / (RescaleSlope x ScaleSlope), as in Chenevert et al. 2014
(PMC3998685). Only precise values compare between the images of a Dixon set, and dcm2niix writes them, but only where
all slices share one scale: in a classic series it applies both scales, that of the first slice to all, and in a
multi-frame file none. So whatever differs between slices is written with its scale worked out (see `split`).
"""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pydicom
from pydicom.pixels import pixel_array

from paraspinal.core.errors import INPUT_HINT, DataError, MachineError, raise_machine_trouble
from paraspinal.core.vocab import Reason

PHILIPS_SCALE_SLOPE = (0x2005, 0x100E)
PHILIPS_FRAMES = ((0x2005, 0x140F), (0x2005, 0x140E))
"""Where Philips repeats the classic header of one frame, and of all."""
VALUE_TOLERANCE = 1e-3
"""Converted values may differ from the stored ones times the scale by this share of the largest; dcm2niix stretches
phase images by a ten-thousandth."""


@contextmanager
def quietly() -> Iterator[None]:
    """Keep pydicom from saying anything: its messages quote header values, which may be identifiers."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def reading() -> Iterator[None]:
    """Read with pydicom; raises DataError whatever damage made pydicom raise.

    Raises MachineError, without the name of the file, where it is gone or memory did not suffice.
    """
    try:
        with quietly():
            yield
    except DataError:
        raise
    except OSError as error:
        raise MachineError(f"an input file cannot be read: {error.strerror}", hint=INPUT_HINT) from None
    except Exception as error:
        raise_machine_trouble(error)
        raise DataError(Reason.DICOM_UNREADABLE, "a file of the stack cannot be read") from None


def scale_of(dataset: Any, groups: Sequence[Any] = ()) -> tuple[float, float]:
    """Slope and intercept from stored to precise values; ``groups`` are a frame's functional groups, its own first.

    (1, 0) where nothing is stated.
    """
    stated = next((item for g in groups if (item := g.get("PixelValueTransformationSequence"))), None)
    source = stated[0] if stated else dataset
    slope, intercept = float(source.get("RescaleSlope") or 1.0), float(source.get("RescaleIntercept") or 0.0)
    private = _philips_scale(dataset, groups)
    return (1 / private, intercept / (slope * private)) if private else (slope, intercept)


def _philips_scale(dataset: Any, groups: Sequence[Any]) -> float:
    """Return the private scale slope, 0 where there is none."""
    if "philips" not in str(dataset.get("Manufacturer", "")).lower():
        return 0.0
    items = [element.value[0] for g in groups for tag in PHILIPS_FRAMES if (element := g.get(tag)) and element.value]
    for holder in (*items, dataset):
        if (element := holder.get(PHILIPS_SCALE_SLOPE)) is not None:
            raw = element.value
            value = struct.unpack("<f", raw)[0] if isinstance(raw, bytes) and len(raw) == 4 else float(raw or 0)
            if np.isfinite(value):
                return float(value)
    return 0.0


def is_unevenly_scaled(paths: Sequence[str]) -> bool:
    """Whether Philips scaled the slices of a classic series differently."""
    tags = ["Manufacturer", "RescaleSlope", "RescaleIntercept", PHILIPS_SCALE_SLOPE]
    scales = set()
    with reading():
        for path in paths:
            dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=tags)
            if not _philips_scale(dataset, ()):
                return False
            scales.add((*scale_of(dataset), dataset.get("RescaleSlope")))
    return len(scales) > 1


def check_values(paths: Sequence[str], array: np.ndarray) -> None:
    """Compare the first, middle and last slice of an image, (slice, row, column), with the files of its slices.

    Raises DataError (AFFINE_MISMATCH) when the voxels are in another order, or scaled otherwise, than the files say.
    Slices that pydicom cannot decode are left out.
    """
    for number in sorted({0, len(paths) // 2, len(paths) - 1}):
        with reading():
            dataset = pydicom.dcmread(paths[number], force=True)
        slope, intercept = scale_of(dataset)
        try:
            with quietly():
                expected = pixel_array(dataset, raw=True) * slope + intercept
        except Exception as error:
            raise_machine_trouble(error)
            continue  # a compression it has no decoder for, or no file meta information
        limit = VALUE_TOLERANCE * float(np.abs(expected).max())
        if expected.shape != array[number].shape or float(np.abs(array[number] - expected).max()) > limit:
            raise DataError(Reason.AFFINE_MISMATCH, "the converted voxels are not where their slices have them")
