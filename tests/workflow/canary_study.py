"""A study in which every text that a header, a file name or a sidecar can hold is a canary."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from paraspinal.core.imaging.geometry import Grid
from paraspinal.phantom.cohort import PLANS, write_visit
from paraspinal.phantom.dicom import (
    Part,
    Scanner,
    Series,
    Timing,
    Visit,
    as_ct,
    as_secondary_capture,
    datasets,
    truncate_file,
)
from paraspinal.phantom.enhanced import enhanced

from .canaries import YEAR, Canaries, Texts
from .conftest import Study, make_study, small
from .leaks import Search

SCANNER = Scanner("SIEMENS", "Skyra", 3.0)
SPIN_ECHO = Timing("SE", "SK", "tse", 4000.0, 100.0)
DIXON = Timing("GR", "SP", "vibe", 6.0, 2.5, 9.0, is_3d=True)
MAGNITUDE = ("ORIGINAL", "PRIMARY", "M", "ND")
GRID = Grid((40, 32, 6), (4.0, 4.0, 8.0), (-80.0, -64.0, 0.0), tuple(np.eye(3).ravel()))
ENCODINGS = (
    (ImplicitVRLittleEndian, "ISO_IR 192", "Żółw^Gęśla"),
    (ExplicitVRBigEndian, "ISO_IR 100", "Ærøskøbing^Þórður"),
    (DeflatedExplicitVRLittleEndian, ["", "ISO 2022 IR 87"], "山嵐陽菜"),
    (RLELossless, "GB18030", "燕雀鸿鹄"),
)
"""Transfer syntax, character set, and a name that ASCII cannot write."""
FOREIGN_NAMES = tuple(name for _, _, name in ENCODINGS)


@dataclass
class CanaryStudy:
    """The study and what was put into it; ``institution`` is that of the sound visit."""

    study: Study
    canaries: Canaries
    patient_ids: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    institution: str = ""

    def search(self, texts: Iterable[str] = ()) -> Search:
        """Look for every canary, the path of the input, and further ``texts``."""
        wanted = [*texts, str(self.study.dicom), self.study.input_name]
        return Search(self.canaries, wanted, [*self.patient_ids, *self.names])


def ramp(seed: int, grid: Grid = GRID) -> np.ndarray:
    """An image (z, y, x) in which neither muscles nor vertebrae are found."""
    slope = np.linspace(0.0, 1.0, grid.size[0]) * (1.0 + 0.01 * seed)
    return np.broadcast_to(slope, grid.size[::-1]).copy()


def tiny(number: int, array: np.ndarray, grid: Grid = GRID, timing: Timing = SPIN_ECHO) -> Series:
    """A small axial series."""
    return Series(number, "t2", "t2", grid, (Part(array, MAGNITUDE),), timing)


def bare(series: Series) -> list[Dataset]:
    """Images of a series before they are anybody's."""
    return datasets(series, Visit("nobody", "", "", "F", "19700101", "20200101"), SCANNER)


class _Writer:
    """Writes people whose every text is a canary."""

    def __init__(self, made: CanaryStudy) -> None:
        self.made, self.canaries = made, made.canaries

    def person(self, who: str) -> Person:
        made, canaries = self.made, self.canaries
        person = Person(who, canaries, Texts.of(canaries, who), canaries.word(f"{who} PatientID"), canaries.date())
        person.folder = made.study.dicom / f"{canaries.word(f'{who} folder')} {person.patient_id}" / iso(person.date)
        made.patient_ids.append(person.patient_id)
        made.names.append(str(person.texts.elements.PatientName))
        return person


@dataclass
class Person:
    """One person of the study and one visit."""

    who: str
    canaries: Canaries
    texts: Texts
    patient_id: str
    date: str
    folder: Path = Path()

    def __post_init__(self) -> None:
        self.study_uid = self.canaries.uid(f"{self.who} study")
        self.frame_uid = self.canaries.uid(f"{self.who} frame of reference")

    def dress(self, items: Iterable[Dataset], is_packed: bool = True, **values: object) -> list[FileDataset]:
        """Make images of one series those of this person, with canaries everywhere."""
        series_uid, done = self.canaries.uid(f"{self.who} series"), []
        for ds in items:
            assert isinstance(ds, FileDataset)
            self.texts.spoil(ds, is_packed)
            ds.PatientID, ds.StudyDate, ds.PatientAge, ds.PatientSex = self.patient_id, self.date, "104Y", "F"
            ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = (
                self.study_uid, series_uid, self.frame_uid,
            )  # fmt: skip
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = self.canaries.uid(f"{self.who} instance")
            for keyword, value in values.items():
                setattr(ds, keyword, value)
            done.append(ds)
        return done

    def write(self, items: Iterable[FileDataset], what: str) -> list[Path]:
        """Write files into a folder of their own; folder and files have names that tell everything."""
        folder = self.folder / f"{what} {self.canaries.word(f'{self.who} folder of series')}"
        folder.mkdir(parents=True)
        paths = []
        for number, ds in enumerate(items):
            path = folder / f"{self.patient_id} {self.date} {number:03d}.dcm"
            pydicom.dcmwrite(path, ds, enforce_file_format=True)
            paths.append(path)
        return paths

    def small_series(self, series: Series, is_packed: bool = True, **values: object) -> list[FileDataset]:
        """Images of a small series."""
        return self.dress(
            datasets(series, Visit(self.who, "", "", "F", "19700101", "20200101"), SCANNER), is_packed, **values
        )


def make_canary_study(root: Path, seed: int) -> CanaryStudy:
    """Write the study: a sound visit, faults of every kind, and everything that is no DICOM image."""
    canaries = Canaries(seed)
    folder = f"{canaries.word('the input folder')} {iso(canaries.date())}"
    made = CanaryStudy(make_study(root, (), folder), canaries)
    writer = _Writer(made)
    for write in (_sound, _faults, _dixon, _encodings, _enhanced, _mixed, _archives, _strangers, _bids):
        write(writer)
    return made


def _sound(writer: _Writer) -> None:
    """A visit with nothing wrong, and with a canary in every text element there is."""
    person = writer.person("sound")
    plain = writer.made.study.root / "plain"
    write_visit(small(PLANS[1]), plain)
    for number, folder in enumerate(sorted(plain.iterdir())):
        items = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
        person.write(person.dress(items), f"series {number}")
    writer.made.institution = str(person.texts.elements.InstitutionName)


def _faults(writer: _Writer) -> None:
    """What fails in ingest, in convert and in segment; maker and model are canaries here."""
    person = writer.person("faulty")
    maker = {"Manufacturer": writer.canaries.word("faulty Manufacturer"),
             "ManufacturerModelName": writer.canaries.word("faulty model")}  # fmt: skip
    cut = person.write(person.small_series(tiny(1, ramp(1)), **maker), "cut")[2]
    cut.write_bytes(cut.read_bytes()[: -GRID.size[0] * GRID.size[1]])
    person.write(person.small_series(tiny(2, np.zeros_like(ramp(2))), **maker), "constant")
    person.write(person.small_series(tiny(3, ramp(3)), **maker)[:1], "single")
    person.write(person.small_series(tiny(4, ramp(4)), **maker), "nothing to segment")
    person.write(person.small_series(replace(tiny(5, ramp(5)), body_part="CSPINE"), PixelSpacing=[0, 0]), "flat pixels")
    person.write([ds for k, ds in enumerate(person.small_series(tiny(6, ramp(6)))) if k != 3], "a slice lost")
    # Spoiled after they are made what they are, for that may remove what was put in.
    person.write(person.dress([as_ct(ds) for ds in bare(tiny(7, ramp(7)))]), "ct")
    shot = person.dress([as_secondary_capture(bare(tiny(8, ramp(8)))[0])])
    person.write(shot, "screenshot")
    headless = person.write(person.small_series(tiny(9, ramp(9))), "cut headers")
    for path in headless:
        truncate_file(path, 0.2)


def _dixon(writer: _Writer) -> None:
    """A pair whose images lie on different grids."""
    person = writer.person("dixon")
    for number, (word, shift) in enumerate((("WATER", 0.0), ("FAT", 9.0))):
        grid = replace(GRID, origin_mm=(-80.0 + shift, -64.0, 0.0))
        series = tiny(number, ramp(number), grid, DIXON)
        series = replace(series, parts=(replace(series.parts[0], image_type=("DERIVED", "PRIMARY", "DIXON", word)),))
        person.write(person.small_series(series), word.lower())


def _encodings(writer: _Writer) -> None:
    """Text in several character sets, headers in several transfer syntaxes."""
    for syntax, character_set, name in ENCODINGS:
        person = writer.person(syntax.name)
        items = person.small_series(
            tiny(1, ramp(7)), is_packed=False, SpecificCharacterSet=character_set, PatientName=name
        )
        for ds in items:
            if syntax == RLELossless:
                ds.compress(syntax, encoding_plugin="pydicom", generate_instance_uid=False)
            if syntax == ExplicitVRBigEndian:
                ds.PixelData = np.frombuffer(ds.PixelData, np.uint16).byteswap().tobytes()
            ds.file_meta.TransferSyntaxUID = syntax
        person.write(items, "syntax")
        writer.made.names.append(name)


def _enhanced(writer: _Writer) -> None:
    """A multi-frame file, with more canaries in the item of every frame."""
    person = writer.person("enhanced")
    visit = Visit("enhanced", "", "", "F", "19700101", "20200101")
    ds = enhanced([tiny(1, ramp(11))], visit, SCANNER)
    for item in (*ds.PerFrameFunctionalGroupsSequence, *ds.SharedFunctionalGroupsSequence):
        item.RequestAttributesSequence = person.texts.elements.RequestAttributesSequence
        item.FrameComments = writer.canaries.word("frame comments")
    person.write(person.dress([ds]), "frames")


def _mixed(writer: _Writer) -> None:
    """Two people in one series."""
    one, two = writer.person("mixed one"), writer.person("mixed two")
    items = [*one.small_series(tiny(1, ramp(12)))[:3], *two.small_series(tiny(1, ramp(12)))[3:]]
    for ds in items:
        ds.SeriesInstanceUID = items[0].SeriesInstanceUID
    one.write(items, "two people")


def _archives(writer: _Writer) -> None:
    """Images inside archives, with names, comments and owners; and an archive that is cut."""
    canaries, folder = writer.canaries, writer.made.study.dicom
    for number, kind in enumerate(("zip", "tar.gz")):
        person = writer.person(kind)
        members = []
        for ds in person.small_series(tiny(1, ramp(20 + number))):
            buffer = io.BytesIO()
            pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
            members.append((f"{canaries.word('a member')}/{person.patient_id} {person.date}.dcm", buffer.getvalue()))
        path = folder / f"{canaries.word(f'name of {kind}')}.{kind}"
        if kind == "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
                packed.comment = canaries.word("archive comment").encode()
                for name, content in members:
                    packed.writestr(name, content)
            cut = folder / f"{canaries.word('a cut archive')}.zip"
            cut.write_bytes(path.read_bytes()[:-2000])
        else:
            with tarfile.open(
                path, "w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": canaries.word("pax")}
            ) as tar:
                for name, content in members:
                    info = tarfile.TarInfo(name)
                    info.size, info.uname, info.gname = len(content), canaries.word("owner"), canaries.word("group")
                    tar.addfile(info, io.BytesIO(content))


def _strangers(writer: _Writer) -> None:
    """Files that are no images, or none that can be read."""
    canaries, folder = writer.canaries, writer.made.study.dicom
    person = writer.person("strange")
    report = bare(tiny(1, ramp(13)))[0]
    del report.PixelData
    report.Modality = "SR"
    document = bare(tiny(2, ramp(14)))[0]
    del document.PixelData
    document.SOPClassUID = document.file_meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    document.Modality, document.EncapsulatedDocument = "DOC", f"%PDF-1.4 {canaries.word('document')}".encode().ljust(64)
    person.write([*person.dress([report]), *person.dress([document])], "reports")
    for name in ("notes.txt", "broken.dcm", ".hidden", "list.json", "list.csv", "DICOMDIR", "scan.nii", "scan.nii.gz"):
        path = folder / f"{canaries.word(f'name of {name}')} {name}"
        path.write_text(f"{canaries.word(f'content of {name}')} {person.patient_id} {person.date}")
    (folder / f"{canaries.word('DICOMDIR')}").mkdir()
    (folder / f"{canaries.word('folder')}" / "DICOMDIR").parent.mkdir()
    (folder / f"{canaries.word('a link to nowhere')}").symlink_to(folder / canaries.word("nowhere"))


def _bids(writer: _Writer) -> None:
    """A NIfTI image of a BIDS dataset: header fields, extensions, packed name, sidecar, and tables beside it."""
    canaries = writer.canaries

    def word(origin: str) -> str:
        return canaries.word(f"bids {origin}")

    label = word("subject")
    writer.made.patient_ids.append(label)
    folder = writer.made.study.dicom / f"sub-{label}" / f"ses-{word('session')}" / "anat"
    folder.mkdir(parents=True)
    image = nibabel.Nifti1Image(ramp(15).T.astype(np.float32), np.diag([4.0, 4.0, 8.0, 1.0]))
    for name in ("descrip", "aux_file", "intent_name", "db_name"):
        image.header[name] = word(name)
    for code in ("comment", "afni", "dicom"):
        content = word(f"extension {code}").encode()
        image.header.extensions.append(
            nibabel.nifti1.Nifti1Extension({"comment": 6, "afni": 4, "dicom": 0}[code], content)
        )
    stem = f"sub-{label}_acq-{word('acquisition')}_T2w"
    with gzip.GzipFile(
        filename=word("name inside gzip"), fileobj=(folder / f"{stem}.nii.gz").open("wb"), mode="wb"
    ) as out:
        out.write(image.to_bytes())
    keys = [
        *("PatientName", "PatientID", "PatientBirthDate", "InstitutionName", "InstitutionAddress", "StationName"),
        *("InstitutionalDepartmentName", "DeviceSerialNumber", "SeriesInstanceUID", "StudyInstanceUID", "StudyID"),
        *("ReferringPhysicianName", "AccessionNumber", "ProcedureStepDescription", "SeriesDescription", "ProtocolName"),
        *(
            "ImageComments",
            "SequenceName",
            "CoilString",
            "SoftwareVersions",
            "PulseSequenceDetails",
            "ConversionSoftware",
        ),
        *("ManufacturersModelName", "Manufacturer", "BodyPartExamined", "ScanOptions", "ImageTypeText", "TxCoil"),
    ]
    sidecar: dict[str, object] = {key: word(key) for key in keys}
    sidecar |= {"ImageType": [word("ImageType").upper()], "AcquisitionDateTime": iso(canaries.date()), "EchoTime": 0.1}
    sidecar |= {"RepetitionTime": 4.0, "Nested": {"deep": [word("nested")]}}
    (folder / f"{stem}.json").write_text(json.dumps(sidecar))
    (writer.made.study.dicom / "participants.tsv").write_text(
        f"participant_id\tname\nsub-{label}\t{word('participants')}\n"
    )
    (writer.made.study.dicom / "dataset_description.json").write_text(json.dumps({"Name": word("dataset")}))


def iso(day: str) -> str:
    """A day YYYYMMDD as YYYY-MM-DD."""
    assert day.startswith(YEAR)
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"
