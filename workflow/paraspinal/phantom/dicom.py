"""Classic single-frame MR series written as DICOM, with faults on demand.

A `Series` plus who was scanned (`Visit`) and on what (`Scanner`) becomes a list of datasets, which `write` stores.
Every UID follows from the seed text of the visit, so the same cohort is written twice with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DSfloat

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.vocab import DixonPart

MR_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE_STORAGE = "1.2.840.10008.5.1.4.1.1.7"
REPORT_STORAGE = "1.2.840.10008.5.1.4.1.1.88.22"
DOCUMENT_STORAGE = "1.2.840.10008.5.1.4.1.1.104.1"

IMPLEMENTATION_UID = generate_uid(entropy_srcs=["paraspinal phantom writer"])
PIXEL_SCALE = 1000.0
"""Stored value of the brightest tissue (relative signal 1), well inside 12 bits."""

_STORED_BITS = 12
_CONTENT_TIME = "101500"


@dataclass(frozen=True)
class Scanner:
    """One machine: what its images say about it."""

    manufacturer: str
    model: str
    field_strength_t: float
    software: str = "1.0"
    institution: str = "Demo Hospital"
    station: str = "MR1"


@dataclass(frozen=True)
class Visit:
    """One person on one day; everything here is invented. `key` seeds all UIDs of the visit."""

    key: str
    patient_id: str
    patient_name: str
    sex: str
    birth_date: str
    study_date: str
    study_description: str = "MRI LUMBAR SPINE"
    height_m: float = 1.72
    weight_kg: float = 74.0

    def uid(self, *parts: object) -> str:
        """Derive a UID from the key of the visit and any further parts."""
        return str(generate_uid(entropy_srcs=[self.key, *(str(p) for p in parts)]))

    @property
    def age(self) -> str:
        """Age in DICOM's form, full years."""
        years = int(self.study_date[:4]) - int(self.birth_date[:4])
        years -= self.study_date[4:] < self.birth_date[4:]
        return f"{years:03d}Y"


@dataclass(frozen=True)
class Timing:
    """How the signal was made: pulse sequence and times (ms), flip angle (degrees)."""

    scanning_sequence: str
    variant: str
    name: str
    tr_ms: float
    te_ms: float
    flip_deg: float = 90.0
    ti_ms: float | None = None
    echo_train: int = 1
    options: str = ""
    is_3d: bool = False


@dataclass(frozen=True)
class Part:
    """One image volume (z, y, x) of a series with its ImageType; relative signal (1 = brightest tissue).

    `classic_type` is the type that makers repeat in the old words inside a multi-frame file, where it differs.
    """

    array: np.ndarray
    image_type: tuple[str, ...]
    te_ms: float | None = None
    slope: float | None = None
    dixon: DixonPart | None = None
    classic_type: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Series:
    """One DICOM series: one or more parts on one grid in scanner coordinates (LPS mm)."""

    number: int
    description: str
    protocol: str
    grid: Grid
    parts: tuple[Part, ...]
    timing: Timing
    thickness_mm: float | None = None  # the spacing where None
    body_part: str = "LSPINE"
    is_signed: bool = False
    is_reversed: bool = False  # instance 1 is the last slice of the grid
    first_instance: int = 1

    def without(self, part: DixonPart) -> Series:
        """Return the series lacking one part of a Dixon set."""
        return replace(self, parts=tuple(p for p in self.parts if p.dixon is not part))


def number(value: float) -> DSfloat:
    """Write a number as a decimal string that fits its 16 characters."""
    return DSfloat(float(value), auto_format=True)


def datasets(series: Series, visit: Visit, scanner: Scanner) -> list[Dataset]:
    """Build one dataset per slice and part, in order of instance number.

    Geometry: ImagePositionPatient is the centre of voxel (0, 0, k) of the grid, rows run along its x axis.
    """
    slices = list(range(series.grid.size[2]))
    if series.is_reversed:
        slices.reverse()
    plan = [(n, k) for n in range(len(series.parts)) for k in slices]
    return [_dataset(series, visit, scanner, n, k, series.first_instance + i) for i, (n, k) in enumerate(plan)]


def new_instance(series: Series, visit: Visit, scanner: Scanner, sop_class: str, instance: int) -> FileDataset:
    """Begin an instance of a series: identity, visit, scanner and names, but no image yet."""
    uid = visit.uid("instance", series.number, instance)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid
    _describe_visit(ds, visit, scanner)
    ds.Modality = "MR"
    ds.StudyInstanceUID = visit.uid("study")
    ds.SeriesInstanceUID = visit.uid("series", series.number)
    ds.FrameOfReferenceUID = visit.uid("frame of reference")
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = series.number, instance, 1
    ds.SeriesDescription, ds.ProtocolName = series.description, series.protocol
    if series.body_part:
        ds.BodyPartExamined = series.body_part
    ds.PatientPosition = "HFS"
    return ds


def _dataset(series: Series, visit: Visit, scanner: Scanner, n: int, k: int, instance: int) -> FileDataset:
    part, grid = series.parts[n], series.grid
    ds = new_instance(series, visit, scanner, MR_STORAGE, instance)
    ds.ImageType = list(part.image_type)
    describe_timing(ds, series.timing, part)
    ds.SpacingBetweenSlices = number(grid.spacing_mm[2])
    ds.SliceThickness = number(series.thickness_mm or grid.spacing_mm[2])
    position = grid.to_world(np.array([0, 0, k]))
    ds.ImagePositionPatient = [number(v) for v in position]
    ds.ImageOrientationPatient = [number(v) for v in (*grid.axes[:, 0], *grid.axes[:, 1])]
    ds.SliceLocation = number(float(position @ grid.normal))
    ds.PixelSpacing = [number(grid.spacing_mm[1]), number(grid.spacing_mm[0])]
    _store_pixels(ds, part.array[k], part.slope, series.is_signed)
    return ds


def _describe_visit(ds: Dataset, visit: Visit, scanner: Scanner) -> None:
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = visit.study_date
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = _CONTENT_TIME
    ds.AccessionNumber = ""
    ds.StudyID = "1"
    ds.StudyDescription = visit.study_description
    ds.ReferringPhysicianName = ""
    ds.PatientID, ds.PatientName = visit.patient_id, visit.patient_name
    ds.PatientSex, ds.PatientBirthDate, ds.PatientAge = visit.sex, visit.birth_date, visit.age
    ds.PatientSize, ds.PatientWeight = number(visit.height_m), number(visit.weight_kg)
    ds.Manufacturer, ds.ManufacturerModelName = scanner.manufacturer, scanner.model
    ds.SoftwareVersions = scanner.software
    ds.InstitutionName, ds.StationName = scanner.institution, scanner.station
    ds.MagneticFieldStrength = number(scanner.field_strength_t)


def describe_timing(ds: Dataset, timing: Timing, part: Part) -> None:
    """Write pulse sequence and times as classic images do."""
    ds.ScanningSequence = timing.scanning_sequence.split("\\")
    ds.SequenceVariant = timing.variant.split("\\")
    ds.ScanOptions = timing.options.split("\\")
    ds.MRAcquisitionType = "3D" if timing.is_3d else "2D"
    if timing.name:
        ds.SequenceName = timing.name
    ds.RepetitionTime = number(timing.tr_ms)
    ds.EchoTime = number(part.te_ms if part.te_ms is not None else timing.te_ms)
    ds.FlipAngle = number(timing.flip_deg)
    if timing.ti_ms is not None:
        ds.InversionTime = number(timing.ti_ms)
    ds.EchoTrainLength, ds.EchoNumbers, ds.NumberOfAverages = timing.echo_train, 1, number(1)


def _store_pixels(ds: Dataset, plane: np.ndarray, slope: float | None, is_signed: bool) -> None:
    stored = quantised(plane, slope, is_signed)
    describe_pixels(ds, stored)
    if slope is not None:
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = number(slope), number(0), "US"
    ds.WindowCenter, ds.WindowWidth = number(float(stored.max()) / 2), number(max(float(stored.max()), 1.0))
    ds.PixelData = stored.tobytes()


def quantised(signal: np.ndarray, slope: float | None, is_signed: bool) -> np.ndarray:
    """Quantise relative signal; the stored value times the slope is the relative signal times PIXEL_SCALE."""
    scaled = np.rint(signal * (PIXEL_SCALE / (slope or 1.0)))
    return np.clip(scaled, 0, 2**_STORED_BITS - 1).astype(np.int16 if is_signed else np.uint16)


def describe_pixels(ds: Dataset, stored: np.ndarray) -> None:
    """Write the form of stored pixels, (..., row, column)."""
    is_signed = stored.dtype == np.int16
    ds.Rows, ds.Columns = stored.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = 16
    ds.BitsStored = 16 if is_signed else _STORED_BITS
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(is_signed)


def dicom_name(position: int) -> str:
    """Name a file by its running number, as most exports do."""
    return f"IM{position:05d}.dcm"


def write(items: Sequence[Dataset], folder: Path, name: Callable[[int], str] = dicom_name) -> list[Path]:
    """Write datasets into a folder (created) under `name(1)`, `name(2)`, ... and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for position, ds in enumerate(items, start=1):
        path = folder / name(position)
        dcmwrite(path, ds, enforce_file_format=True)
        paths.append(path)
    return paths


# Faults: each turns good datasets or files into a well-defined bad one.


def truncate_file(path: Path, keep_frac: float = 0.5) -> None:
    """Cut a file off after a share of its bytes."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep_frac)])


def empty_file(path: Path) -> None:
    """Leave a file with no bytes."""
    path.write_bytes(b"")


def duplicate_file(path: Path) -> Path:
    """Store the same bytes once more beside the file and return the copy."""
    copy = path.with_name(f"copy of {path.name}")
    copy.write_bytes(path.read_bytes())
    return copy


def without_slice(items: Sequence[Dataset], index: int) -> list[Dataset]:
    """Return the datasets lacking one (0-based), as if it was lost on the way."""
    return [ds for k, ds in enumerate(items) if k != index]


def as_secondary_capture(ds: Dataset) -> Dataset:
    """Turn a dataset into a screenshot: no geometry, a secondary capture class."""
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE_STORAGE
    ds.Modality = "OT"
    ds.ConversionType = "WSD"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "FrameOfReferenceUID"):
        delattr(ds, keyword)
    return ds


def as_ct(ds: Dataset) -> Dataset:
    """Turn a dataset into a CT slice."""
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CT_STORAGE
    ds.Modality = "CT"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.KVP = "120"
    for keyword in ("ScanningSequence", "SequenceVariant", "RepetitionTime", "EchoTime", "FlipAngle"):
        delattr(ds, keyword)
    return ds


def as_report(ds: Dataset) -> Dataset:
    """Turn a dataset into a structured report: no pixels, a few words."""
    _without_image(ds, REPORT_STORAGE, "SR")
    ds.ValueType, ds.CompletionFlag, ds.VerificationFlag = "CONTAINER", "COMPLETE", "UNVERIFIED"
    return ds


def as_document(ds: Dataset) -> Dataset:
    """Turn a dataset into an encapsulated PDF."""
    _without_image(ds, DOCUMENT_STORAGE, "DOC")
    ds.MIMETypeOfEncapsulatedDocument, ds.EncapsulatedDocument = "application/pdf", b"%PDF-1.4\n%%EOF\n"
    return ds


def _without_image(ds: Dataset, sop_class: str, modality: str) -> None:
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
    ds.Modality = modality
    for element in list(ds):
        if element.tag.group in (0x0018, 0x0028, 0x7FE0):
            del ds[element.tag]
    for keyword in ("ImageType", "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"):
        delattr(ds, keyword)
