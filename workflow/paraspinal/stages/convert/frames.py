"""Read single frames of multi-frame files, for stacks that share a file with others."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
import pydicom

from paraspinal.core.errors import DataError
from paraspinal.core.vocab import Reason
from paraspinal.stages.convert.sources import StackFiles


def count_frames(path: str) -> int:
    """Count the frames of a file."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)  # its messages quote header values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["NumberOfFrames"], force=True)
        except OSError as error:
            raise OSError(f"an input file cannot be read: {error.strerror}; run ingest again") from None
    return int(dataset.get("NumberOfFrames") or 1)


def read_frames(files: StackFiles) -> np.ndarray:
    """Read the frames of a stack, rescaled, as float32 in (slice, row, column) order.

    Raises DataError when the pixels cannot be decoded.
    """
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    decoded: dict[str, tuple[Any, np.ndarray]] = {}
    planes = []
    for path, frame in files.slices:
        if path not in decoded:
            decoded.clear()  # one file at a time bounds memory; slices of a file mostly follow each other
            decoded[path] = _decode(path)
        dataset, pixels = decoded[path]
        slope, intercept = _rescale(dataset, frame or 0)
        planes.append(pixels[frame or 0].astype(np.float32) * np.float32(slope) + np.float32(intercept))
    return np.stack(planes)


def _decode(path: str) -> tuple[Any, np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(path)
            pixels = dataset.pixel_array
        except OSError as error:
            raise OSError(f"an input file cannot be read: {error.strerror}; run ingest again") from None
        except (NotImplementedError, RuntimeError):
            raise DataError(Reason.DICOM_UNSUPPORTED_TS, "a compression that cannot be read") from None
        except Exception:
            # The library raises whatever a damaged file makes it stumble over.
            raise DataError(Reason.DICOM_UNREADABLE, "the pixels cannot be decoded") from None
    return dataset, pixels if pixels.ndim == 3 else pixels[np.newaxis]


def _rescale(dataset: Any, frame: int) -> tuple[float, float]:
    """Slope and intercept of a frame, (1, 0) where none is stated."""
    groups = [
        *(dataset.get("PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1],
        *(dataset.get("SharedFunctionalGroupsSequence") or [])[:1],
    ]
    for group in groups:
        if transformation := group.get("PixelValueTransformationSequence"):
            return float(transformation[0].RescaleSlope), float(transformation[0].RescaleIntercept)
    return float(dataset.get("RescaleSlope", 1.0)), float(dataset.get("RescaleIntercept", 0.0))
