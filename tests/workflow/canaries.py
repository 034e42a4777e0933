"""Text that must not get out, for every place of a header that can hold text, each piece telling where it was put."""

from __future__ import annotations

import io
import itertools
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydicom import dcmread, dcmwrite
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

PIXEL_DATA = 0x7FE00008
MAX_TEXT = 16
"""The shortest text value representations (SH, AE, CS) hold so many characters."""

YEAR = "1848"
"""Every date canary lies in this year, which no other date or number of a study begins with."""
UID_ROOT = "1.2.826.0.1.3680043.8.498."

IMAGE_MEANING = {
    "SpecificCharacterSet": "how all other text is encoded",
    "ImageType": "kind of image; one of its values is a canary",
    "SOPClassUID": "kind of object",
    "Modality": "kind of scanner",
    "PhotometricInterpretation": "what pixel values mean",
    "PatientPosition": "closed list, part of the geometry",
    "PatientSex": "closed list, kept in the tables",
    "PatientAge": "a number of years, kept in the tables up to 90",
    "Manufacturer": "kept in the tables where it is a known maker; another person has a canary here",
    "ManufacturerModelName": "kept in the tables where it is a known model; another person has a canary here",
    "ScanningSequence": "closed list that tells the contrast",
    "SequenceVariant": "closed list that tells the contrast",
    "MRAcquisitionType": "closed list",
    "LossyImageCompression": "closed list, says how pixels were stored",
    "TransferSyntaxUID": "how the file is encoded",
}
"""Elements with text that an image cannot do without, and why."""

OWN = frozenset(
    {"SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "StudyDate"}
)
"""What tells files, series, visits and people apart."""
PRIVATE_CREATORS = (
    (0x0019, "GEMS_ACQU_01"),
    (0x0029, "SIEMENS MEDCOM HEADER2"),
    (0x0051, "SIEMENS MR HEADER"),
    (0x2001, "Philips Imaging DD 001"),
    (0x2005, "Philips MR Imaging DD 001"),
    (0x700D, "TOSHIBA_MEC_MR3"),
)
"""Private blocks that converters know and read."""

TEXT_VRS = ("PN", "LO", "SH", "ST", "LT", "UT", "UC", "UR", "AE", "CS", "DA", "DT", "TM", "UI")
NUMBERS = {"PatientWeight": "73.518462", "PatientSize": "1.7351846"}
"""Numbers kept as text that tell people apart; other numbers of this kind describe the image."""


@dataclass
class Canaries:
    """Makes the pieces of text. All of them hold one marker that occurs nowhere else, and a running number."""

    seed: int
    origins: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        self.marker = "".join(rng.choices("bcdfghjkmpqvwxz", k=9))
        self.uid_marker = "7" + "".join(rng.choices(string.digits, k=13))
        self.time_marker = "2359" + "".join(rng.choices("012345", k=2)) + "." + "".join(rng.choices("13579", k=3))
        days = [f"{YEAR}{month:02d}{day:02d}" for month in range(1, 13) for day in range(1, 29)]
        self._days = itertools.cycle(rng.sample(days, len(days)))
        self.dates: set[str] = set()

    def word(self, origin: str) -> str:
        """A word of at most 16 lower-case letters that stands for ``origin``."""
        self.origins.append(origin)
        number, letters = len(self.origins) - 1, ""
        for _ in range(4):
            number, digit = divmod(number, 26)
            letters = string.ascii_lowercase[digit] + letters
        return self.marker + letters

    def origin(self, word: str) -> str:
        """Where a word found somewhere was put."""
        number = 0
        for letter in word.lower().removeprefix(self.marker)[:4]:
            number = number * 26 + string.ascii_lowercase.index(letter)
        return self.origins[number] if number < len(self.origins) else word

    def date(self) -> str:
        """A day as YYYYMMDD."""
        day = next(self._days)
        self.dates.add(day)
        return day

    def uid(self, origin: str) -> str:
        """A UID."""
        self.origins.append(origin)
        return f"{UID_ROOT}{self.uid_marker}{len(self.origins):06d}"

    def value(self, vr: str, origin: str) -> str:
        """A valid value of a text value representation."""
        match vr:
            case "PN":
                return f"{self.word(origin)}^{self.word(origin)}"
            case "CS":
                return self.word(origin).upper()
            case "UR":
                return f"https://{self.word(origin)}.example/{self.word(origin)}?q={self.word(origin)}"
            case "DA":
                return self.date()
            case "TM":
                return self.time_marker + "112"
            case "DT":
                return f"{self.date()}{self.time_marker}112+0100"
            case "UI":
                return self.uid(origin)
            case _:
                return self.word(origin)


def text_elements() -> Iterator[tuple[int, str, str]]:
    """(tag, VR, keyword) of every element of the DICOM dictionary that holds text and that an image header may carry.

    Left out: command elements (group 0), file meta information (group 2, filled by hand) and what follows the pixels.
    """
    for tag, (vr, _, _, _, keyword) in sorted(DicomDictionary.items()):
        if vr in TEXT_VRS and 0x00040000 <= tag < PIXEL_DATA and keyword not in IMAGE_MEANING:
            yield tag, vr, keyword or f"{tag:08X}"
    for mask, (vr, _, _, _, keyword) in sorted(RepeatersDictionary.items()):
        tag = int(mask.replace("x", "0"), 16)
        if vr in TEXT_VRS and tag < PIXEL_DATA:
            yield tag, vr, keyword


@dataclass(frozen=True)
class Texts:
    """The canaries of one person; all files of a series carry the same, or converters take it apart.

    ``packed`` are the same elements as bytes of an explicit little-endian file, which are written much faster.
    """

    elements: Dataset
    packed: dict[BaseTag, RawDataElement | DataElement]
    meta: Dataset
    preamble: bytes
    image_type: str

    @classmethod
    def of(cls, canaries: Canaries, who: str) -> Texts:
        """Make a canary for every element that can hold text, nested and private ones included."""
        everything = Dataset()
        for tag, vr, keyword in text_elements():
            everything.add_new(tag, vr, canaries.value(vr, f"{who} {keyword}"))
        for keyword, value in NUMBERS.items():
            setattr(everything, keyword, value)
        nested = Dataset()
        nested.update(everything)
        _add_private(everything, canaries, who)
        _add_nested(everything, nested, canaries, who)
        meta = Dataset()
        meta.SourceApplicationEntityTitle = canaries.word(f"{who} file meta")
        meta.ImplementationVersionName = canaries.word(f"{who} file meta")
        meta.PrivateInformationCreatorUID = canaries.uid(f"{who} file meta")
        meta.PrivateInformation = canaries.word(f"{who} file meta").encode().ljust(16)
        preamble = canaries.word(f"{who} preamble").encode().ljust(128, b"\0")
        for keyword in OWN & set(everything.dir()):
            delattr(everything, keyword)
        return cls(everything, _packed(everything), meta, preamble, canaries.word(f"{who} ImageType").upper())

    def spoil(self, ds: FileDataset, is_packed: bool = True) -> None:
        """Put them into a file; what tells files, series, visits and people apart is left to the caller."""
        if is_packed:
            ds.update(self.packed)
        else:
            ds.update(self.elements)
        ds.ImageType = [*ds.ImageType, self.image_type]
        ds.file_meta.update(self.meta)
        ds.preamble = self.preamble


def _packed(elements: Dataset) -> dict[BaseTag, RawDataElement | DataElement]:
    buffer = io.BytesIO()
    dcmwrite(buffer, elements, implicit_vr=False, little_endian=True)
    buffer.seek(0)
    found = dcmread(buffer, force=True)
    tags = found.keys()  # iterating over the data set itself would unpack its elements
    return {tag: found.get_item(tag) for tag in tags}


def _add_nested(ds: Dataset, nested: Dataset, canaries: Canaries, who: str) -> None:
    deep = Dataset()
    deep.add(nested["PatientName"])
    deep.PatientComments = canaries.word(f"{who} three levels down")
    middle = Dataset()
    middle.ReferencedPatientSequence = Sequence([deep])
    middle.ReferencedPatientSequence.is_undefined_length = True
    ds.RequestAttributesSequence = Sequence([nested, middle])
    signature = Dataset()
    signature.CertifiedTimestampType = canaries.word(f"{who} signature").upper()
    ds.DigitalSignaturesSequence = Sequence([signature])
    ds.DataSetTrailingPadding = canaries.word(f"{who} trailing padding").encode().ljust(24)


def _add_private(ds: Dataset, canaries: Canaries, who: str) -> None:
    for group, creator in ((0x0009, canaries.word(f"{who} private creator")), *PRIVATE_CREATORS):
        block = ds.private_block(group, creator, create=True)
        for offset, vr in enumerate(("LO", "PN", "ST", "UT", "DA", "UI", "CS", "SH"), start=0x80):
            block.add_new(offset, vr, canaries.value(vr, f"{who} private {creator} {vr}"))
        for offset, vr in enumerate(("UN", "OB"), start=0x90):
            block.add_new(offset, vr, canaries.word(f"{who} private {creator} {vr}").encode().ljust(16))
        inner = Dataset()
        inner.PatientName = canaries.value("PN", f"{who} private sequence")
        inner.private_block(0x0011, creator, create=True).add_new(1, "LO", canaries.word(f"{who} private in private"))
        block.add_new(0xA0, "SQ", Sequence([inner]))
