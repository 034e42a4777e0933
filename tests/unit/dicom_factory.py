"""Small synthetic MR series for tests: every slice 12 x 16 pixels, every header value under the test's control."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

from paraspinal.core.records.registry import shard_path
from paraspinal.core.records.schemas import INVENTORY, SESSION_STACKS
from paraspinal.core.records.tables import Row
from paraspinal.core.settings import Settings, load_settings, read_config
from paraspinal.stages.ingest import IngestSummary, ingest

ROWS, COLUMNS = 12, 16
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
MR, ENHANCED, CT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.2"
TAGS: dict[str, Any] = {
    "Modality": "MR",
    "PatientID": "P1",
    "PatientName": "Doe^Jane",
    "PatientBirthDate": "19700102",
    "PatientSex": "F",
    "StudyDate": "20200301",
    "Manufacturer": "SIEMENS",
    "ManufacturerModelName": "Skyra",
    "InstitutionName": "General",
    "SeriesDescription": "t2_tse_tra",
    "BodyPartExamined": "LSPINE",
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
    "ScanningSequence": "SE",
    "SequenceVariant": "SK",
    "MagneticFieldStrength": 3.0,
    "RepetitionTime": 4000.0,
    "EchoTime": 100.0,
    "FlipAngle": 150.0,
    "SeriesNumber": 5,
    "AcquisitionNumber": 1,
    "SliceThickness": 4.0,
    "PixelSpacing": [0.8, 0.7],
}


def uid(*parts: object) -> str:
    """A UID that follows from the parts."""
    return str(generate_uid(entropy_srcs=[str(part) for part in parts]))


def pixels(seed: object, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    """Random pixels that follow from the seed, (rows, columns) uint16 below 4096."""
    rng = np.random.default_rng(int(uid(seed)[-9:]))
    return rng.integers(1, 4096, (rows, columns), dtype=np.uint16)


def meta(sop_class: str, sop_uid: str, syntax: str = ExplicitVRLittleEndian) -> FileMetaDataset:
    """File meta information."""
    info = FileMetaDataset()
    info.MediaStorageSOPClassUID = sop_class
    info.MediaStorageSOPInstanceUID = sop_uid
    info.TransferSyntaxUID = syntax
    return info


def instance(seed: object, sop_class: str = MR, **tags: Any) -> FileDataset:
    """One image; ``tags`` are keywords of the header, None removes one; ``pixel_array`` sets the pixels."""
    image = tags.pop("pixel_array", None)
    image = pixels(seed) if image is None else image
    ds = FileDataset("", {}, file_meta=meta(sop_class, uid("sop", seed)), preamble=b"\0" * 128)
    values = {**TAGS, **tags}
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid("sop", seed)
    person, date = values["PatientID"], values["StudyDate"]
    ds.StudyInstanceUID = uid("study", person, date)
    ds.SeriesInstanceUID = uid("series", person, date, values["SeriesNumber"])
    ds.FrameOfReferenceUID = uid("frame", person, date)
    for keyword, value in values.items():
        if value is None:
            if keyword in ds:
                delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    set_pixels(ds, image)
    return ds


def set_pixels(ds: Dataset, image: np.ndarray) -> None:
    """Store an image, (rows, columns) or (frames, rows, columns)."""
    ds.Rows, ds.Columns = image.shape[-2:]
    ds.PixelData = image.astype(np.uint16).tobytes()
    ds["PixelData"].VR = "OW"


def series(
    n: int = 6, spacing: float = 4.0, orientation: tuple[float, ...] = AXIAL,
    origin: Iterable[float] = (-6.0, -5.0, 10.0), first: int = 1, seed: object = "", **tags: Any,
) -> list[FileDataset]:  # fmt: skip
    """A regular series along the normal of ``orientation``."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(row, column)
    start = np.array(list(origin))
    made = []
    for k in range(n):
        position = [float(round(x, 6)) for x in start + k * spacing * normal]
        key = (seed, tags.get("PatientID"), tags.get("StudyDate"), tags.get("SeriesNumber"), first + k)
        where = {"ImagePositionPatient": position, "ImageOrientationPatient": [float(x) for x in orientation]}
        made.append(instance(key, **{**where, "InstanceNumber": first + k, **tags}))
    return made


def enhanced(volumes: list[tuple[np.ndarray, list[list[float]], dict[str, Any]]], **tags: Any) -> FileDataset:
    """One multi-frame file; each volume is (frames, their positions, what sets it apart: image_type, te)."""
    frames = np.concatenate([volume for volume, _, _ in volumes])
    seed = ("enhanced", tags.get("PatientID"), tags.get("SeriesNumber"))
    ds = instance(seed, ENHANCED, **{"pixel_array": frames, **tags})
    ds.NumberOfFrames = len(frames)
    for keyword in ("EchoTime", "RepetitionTime", "PixelSpacing", "SliceThickness"):
        delattr(ds, keyword)
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([_item(PixelSpacing=[0.8, 0.7], SliceThickness=4.0)])
    shared.PlaneOrientationSequence = Sequence([_item(ImageOrientationPatient=list(AXIAL))])
    shared.MRTimingAndRelatedParametersSequence = Sequence([_item(RepetitionTime=8.0, FlipAngle=10.0)])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    for volume, positions, apart in volumes:
        for k in range(len(volume)):
            group = Dataset()
            group.PlanePositionSequence = Sequence([_item(ImagePositionPatient=positions[k])])
            group.MRImageFrameTypeSequence = Sequence([_item(FrameType=apart["image_type"])])
            group.MREchoSequence = Sequence([_item(EffectiveEchoTime=apart.get("te", 2.5))])
            group.FrameContentSequence = Sequence([_item(StackID="1", InStackPositionNumber=k + 1)])
            groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
    return ds


def _item(**tags: Any) -> Dataset:
    item = Dataset()
    for keyword, value in tags.items():
        setattr(item, keyword, value)
    return item


def save(datasets: Iterable[Dataset], folder: Path, syntax: str | None = None) -> list[Path]:
    """Write datasets as IM0001.dcm ...; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, ds in enumerate(datasets, start=1):
        path = folder / f"IM{number:04d}.dcm"
        if syntax:
            ds.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, np.uint16).byteswap().tobytes()
        pydicom.dcmwrite(path, ds, enforce_file_format=True)
        paths.append(path)
    return paths


def settings_for(base: Path, **over: Any) -> Settings:
    """Settings with input, results and private folder below ``base``."""
    config = {"input": str(base / "in"), "out": str(base / "results"), "private_dir": str(base / "private")}
    return load_settings(read_config(None, {**config, "ingest": {"workers": 1}, **over}))


def run(base: Path, **over: Any) -> tuple[IngestSummary, list[Row]]:
    """Ingest ``base``/in; returns the summary and the inventory, whose files must add up to those in the tree."""
    settings = settings_for(base, **over)
    summary = ingest(settings)
    rows = INVENTORY.read(settings.out_path / "shards" / "inventory.parquet")
    assert sum(row["n_files"] for row in rows) == summary.n_files
    in_shards = [row for shard in summary.shards for row in shard_rows(settings, shard)]
    assert {row["stack_id"] for row in in_shards} == {row["stack_id"] for row in rows if row["session"]}
    return summary, rows


def shard_rows(settings: Settings, shard: int = 1) -> list[Row]:
    """Rows of an ingest shard."""
    return SESSION_STACKS.read(shard_path(settings.out_path, "ingest", shard))


def outcome(rows: Iterable[Row]) -> list[tuple[str, str | None, int]]:
    """(status, reason, number of files) of each row, sorted."""
    return sorted(((row["status"], row["reason_code"], row["n_files"]) for row in rows), key=str)
