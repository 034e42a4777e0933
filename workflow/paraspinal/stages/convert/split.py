"""Write the slices of a stack as classic single images that hold what dcm2niix needs and nothing else.

So a stack out of a multi-frame file takes the same path as any other. Compressed frames are copied as they are. Nothing
that identifies anybody is copied, nor what makes dcm2niix treat vendors differently.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

from paraspinal.core.errors import DataError
from paraspinal.core.vocab import Reason
from paraspinal.stages.convert.dcm2niix_tool import READABLE, UNPACKED
from paraspinal.stages.convert.values import reading, scale_of

MR_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
UID = "2.25.1"
"""Of study, series and frame of reference; there is one series per folder."""
PIXEL_MODULE = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)
GEOMETRY = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
}
MORE = {
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "EchoTrainLength": "MRTimingAndRelatedParametersSequence",
    "PixelBandwidth": "MRImagingModifierSequence",
    "NumberOfAverages": "MRAveragesSequence",
    "PercentSampling": "MRFOVGeometrySequence",
}
"""Numbers, and the functional group they stand in; dcm2niix copies them into its sidecar."""


def write_slices(slices: Sequence[tuple[str, int | None]], folder: Path) -> list[str]:
    """Write slices, given by file and frame (None: a classic image) in the order of their grid, as files of their own.

    Returns their paths in the same order. Raises DataError when the pixels cannot be taken out of a file,
    MachineError when it is gone.
    """
    folder.mkdir()
    targets = [str(folder / f"{number:05d}.dcm") for number in range(1, len(slices) + 1)]
    by_file: dict[str, list[int]] = {}
    for number, (path, _) in enumerate(slices):
        by_file.setdefault(path, []).append(number)
    for path, numbers in by_file.items():  # one file at a time bounds memory
        with reading():
            dataset = pydicom.dcmread(path, force=True)
            frames = _frames(dataset, {slices[number][1] or 0 for number in numbers})
            for number in numbers:
                frame = slices[number][1] or 0
                _classic(dataset, frame, frames[frame], number + 1).save_as(targets[number], enforce_file_format=True)
    return targets


def _frames(dataset: Any, wanted: set[int]) -> dict[int, bytes]:
    """Return the bytes of some frames: as they are when compressed, else little-endian."""
    if dataset.file_meta.TransferSyntaxUID not in READABLE | UNPACKED:
        raise DataError(Reason.DICOM_UNSUPPORTED_TS, "a compression that cannot be read")
    if "PixelData" not in dataset:
        raise DataError(Reason.DICOM_UNSUPPORTED_TS, "pixels of a kind that cannot be read")
    n_frames = int(dataset.get("NumberOfFrames") or 1)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        offsets = None
        if "ExtendedOffsetTable" in dataset:
            offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
        packed = generate_frames(dataset.PixelData, number_of_frames=n_frames, extended_offsets=offsets)
        found = {number: frame for number, frame in enumerate(packed) if number in wanted}
    else:
        size = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated // 8
        pixels = memoryview(dataset.PixelData)
        found = {number: bytes(pixels[number * size : (number + 1) * size]) for number in wanted}
        if any(len(frame) < size for frame in found.values()):
            raise DataError(Reason.DICOM_TRUNCATED, "fewer pixels than the header states")
        if not dataset.file_meta.TransferSyntaxUID.is_little_endian and dataset.BitsAllocated > 8:
            kind = np.dtype(f"u{dataset.BitsAllocated // 8}")
            found = {number: np.frombuffer(raw, kind).byteswap().tobytes() for number, raw in found.items()}
    if wanted - set(found):
        raise DataError(Reason.DICOM_TRUNCATED, "fewer frames than the header states")
    return found


def _classic(dataset: Any, frame: int, pixels: bytes, number: int) -> FileDataset:
    """Build the classic image of one frame; ``number`` is its place in the stack, 1 first."""
    source = dataset.file_meta.TransferSyntaxUID
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MR_STORAGE, f"{UID}.{number}"
    meta.TransferSyntaxUID = source if source.is_encapsulated else ExplicitVRLittleEndian
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = MR_STORAGE, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID = image.SeriesInstanceUID = image.FrameOfReferenceUID = UID
    image.Modality, image.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M"]
    image.SeriesNumber, image.AcquisitionNumber, image.InstanceNumber = 1, 1, number
    for keyword in PIXEL_MODULE:
        setattr(image, keyword, dataset[keyword].value)
    groups = _groups(dataset, frame)
    for keyword, sequence in {**GEOMETRY, **MORE}.items():
        value = _find(dataset, groups, sequence, keyword)
        if value is not None:
            setattr(image, keyword, value)
        elif keyword in GEOMETRY:
            raise DataError(Reason.NO_GEOMETRY, "a frame without its place")
    slope, intercept = scale_of(dataset, groups)
    image.RescaleSlope, image.RescaleIntercept = DSfloat(slope, auto_format=True), DSfloat(intercept, auto_format=True)
    image.PixelData = encapsulate([pixels]) if source.is_encapsulated else pixels + b"\0" * (len(pixels) % 2)
    image["PixelData"].VR = "OB" if source.is_encapsulated or image.BitsAllocated <= 8 else "OW"
    image["PixelData"].is_undefined_length = source.is_encapsulated
    return image


def _groups(dataset: Any, frame: int) -> list[Dataset]:
    """List the functional groups of a frame, its own before the shared ones."""
    own = (dataset.get("PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1]
    return [*own, *(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]]


def _find(dataset: Any, groups: Iterable[Dataset], sequence: str, keyword: str) -> Any:
    for holder in (*(items[0] for group in groups if (items := group.get(sequence))), dataset):
        if holder.get(keyword) not in (None, ""):
            return holder[keyword].value
    return None
