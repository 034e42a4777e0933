"""Enhanced multi-frame MR: a whole series in one file, as scanners write it and as archives convert it.

The layout follows the functional groups of DICOM PS3.3 A.36 (Enhanced MR) and A.70 (Legacy Converted Enhanced MR):
what all frames share stands once, the rest stands frame by frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

from paraspinal.phantom.dicom import (
    Part,
    Scanner,
    Series,
    Visit,
    describe_pixels,
    describe_timing,
    new_instance,
    number,
    quantised,
)

ENHANCED_STORAGE = "1.2.840.10008.5.1.4.1.1.4.1"
CONVERTED_STORAGE = "1.2.840.10008.5.1.4.1.1.4.4"

PHILIPS_CREATOR, PHILIPS_CLASSIC = "Philips MR Imaging DD 005", Tag(0x2005, 0x140F)
"""Where Philips repeats the classic header of a frame."""
PHILIPS_TYPE_CREATOR, PHILIPS_TYPE = "Philips Imaging DD 001", Tag(0x2005, 0x1011)
"""What Philips numbers its image types by."""

_REGIONS = {
    "SPINE": ("421060004", "Spine"),
    "LSPINE": ("122496007", "Lumbar spine"),
    "LUMBAR SPINE": ("122496007", "Lumbar spine"),
    "TSPINE": ("122495006", "Thoracic spine"),
    "CSPINE": ("122494005", "Cervical spine"),
    "ABDOMEN": ("818981001", "Abdomen"),
    "PELVIS": ("816092008", "Pelvis"),
    "KNEE": ("72696002", "Knee"),
    "HEAD": ("69536005", "Head"),
}
"""Codes (SNOMED CT) of the body parts that series name."""

_NEVER_SHARED = frozenset({"FrameContentSequence", "PlanePositionSequence"})


@dataclass(frozen=True)
class FrameHabits:
    """How a multi-frame file is laid out.

    `is_by_place`: the images of one place (water, fat, ...) follow each other; else one part follows the other.
    `is_converted`: an archive made it from classic files, which keeps the timing in places of its own.
    `has_classic_types`: each frame repeats its classic header in a private item (Philips).
    `is_all_per_frame`: nothing is shared, even where all frames agree (Philips).
    """

    is_by_place: bool = False
    is_converted: bool = False
    has_classic_types: bool = False
    is_all_per_frame: bool = False


@dataclass(frozen=True)
class _Frame:
    """One plane: which stack, part and slice it is (0-based), and its place in its stack (1-based)."""

    stack: int
    part: int
    slice: int
    position: int


def enhanced(
    stacks: Sequence[Series], visit: Visit, scanner: Scanner, habits: FrameHabits = FrameHabits(), instance: int = 1
) -> FileDataset:
    """Build one multi-frame file of the stacks of one series; their number and names are those of the first.

    Raises ValueError if the stacks differ in matrix.
    """
    first = stacks[0]
    if len({series.grid.size[:2] for series in stacks}) > 1:
        raise ValueError("one file holds one matrix")
    ds = new_instance(first, visit, scanner, CONVERTED_STORAGE if habits.is_converted else ENHANCED_STORAGE, instance)
    frames = _frames(stacks, habits)
    parts = [stacks[frame.stack].parts[frame.part] for frame in frames]
    ds.ImageType = _common_type([part.image_type for part in parts])
    if not habits.is_converted:
        _describe_acquisition(ds, first)
    pixels = np.stack(
        [
            quantised(part.array[frame.slice], part.slope, first.is_signed)
            for part, frame in zip(parts, frames, strict=True)
        ]
    )
    describe_pixels(ds, pixels)
    ds.NumberOfFrames = len(frames)
    _describe_dimensions(ds, visit, first, habits)
    groups = [_groups(stacks, frame, habits) for frame in frames]
    common = [] if habits.is_all_per_frame else _common_names(groups)
    ds.SharedFunctionalGroupsSequence = Items([_item(**{name: groups[0][name] for name in common})])
    ds.PerFrameFunctionalGroupsSequence = Items([])
    for group, part, frame in zip(groups, parts, frames, strict=True):
        item = _item(**{name: items for name, items in group.items() if name not in common})
        if habits.has_classic_types:
            _add_classic(item, stacks[frame.stack], part)
        ds.PerFrameFunctionalGroupsSequence.append(item)
    ds.PixelData = pixels.tobytes()
    return ds


def _frames(stacks: Sequence[Series], habits: FrameHabits) -> list[_Frame]:
    found = []
    for stack, series in enumerate(stacks):
        slices = list(range(series.grid.size[2]))
        if series.is_reversed:
            slices.reverse()
        frames = [_Frame(stack, part, k, i + 1) for part in range(len(series.parts)) for i, k in enumerate(slices)]
        found += sorted(frames, key=lambda f: (f.position, f.part)) if habits.is_by_place else frames
    return found


def _common_type(types: list[tuple[str, ...]]) -> list[str]:
    """The type of the whole file: what all frames agree on, MIXED where they do not."""
    length = min(4, *(len(words) for words in types))
    return [words[0] if len(set(words)) == 1 else "MIXED" for words in zip(*(t[:length] for t in types), strict=True)]


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, Items(value) if isinstance(value, list) and keyword.endswith("Sequence") else value)
    return item


def _describe_acquisition(ds: Dataset, series: Series) -> None:
    """Write how the signal was made in the words of enhanced files."""
    timing = series.timing
    is_gradient, is_inverted = "GR" in timing.scanning_sequence, "IR" in timing.scanning_sequence
    ds.AcquisitionDateTime = f"{ds.StudyDate}{ds.StudyTime}"
    ds.ContentQualification = "PRODUCT"
    ds.PulseSequenceName = timing.name or "unnamed"
    ds.MRAcquisitionType = "3D" if timing.is_3d else "2D"
    ds.EchoPulseSequence = "GRADIENT" if is_gradient else "SPIN"
    ds.MultipleSpinEcho = "YES" if not is_gradient and timing.echo_train > 1 else "NO"
    ds.InversionRecovery = "YES" if is_inverted else "NO"
    ds.SteadyStatePulseSequence = "LONGITUDINAL" if is_gradient else "NONE"
    ds.Spoiling = "RF" if "SP" in timing.variant.split("\\") else "NONE"
    ds.EchoPlanarPulseSequence = "NO"
    ds.ComplexImageComponent, ds.AcquisitionContrast = "MAGNITUDE", "UNKNOWN"
    ds.PixelPresentation, ds.VolumetricProperties = "MONOCHROME", "VOLUME"
    ds.VolumeBasedCalculationTechnique = "NONE"
    ds.ResonantNucleus, ds.BurnedInAnnotation, ds.LossyImageCompression = "1H", "NO", "00"
    ds.PresentationLUTShape = "IDENTITY"


def _describe_dimensions(ds: Dataset, visit: Visit, series: Series, habits: FrameHabits) -> None:
    """Declare what the frames are numbered by: stack, place in the stack, kind of image."""
    organisation = visit.uid("dimensions", series.number)
    kind: dict[str, object] = {
        "DimensionIndexPointer": Tag("FrameType"),
        "FunctionalGroupPointer": Tag("MRImageFrameTypeSequence"),
    }
    if habits.has_classic_types:
        kind = {"DimensionIndexPointer": PHILIPS_TYPE, "DimensionIndexPrivateCreator": PHILIPS_TYPE_CREATOR}
    content = {"FunctionalGroupPointer": Tag("FrameContentSequence")}
    indices = (
        {"DimensionIndexPointer": Tag("StackID"), **content},
        {"DimensionIndexPointer": Tag("InStackPositionNumber"), **content},
        kind,
    )
    ds.DimensionOrganizationSequence = Items([_item(DimensionOrganizationUID=organisation)])
    ds.DimensionIndexSequence = Items([_item(DimensionOrganizationUID=organisation, **index) for index in indices])


def _groups(stacks: Sequence[Series], frame: _Frame, habits: FrameHabits) -> dict[str, list[Dataset]]:
    """Build the functional groups of a frame by their sequence's keyword."""
    series = stacks[frame.stack]
    part, grid = series.parts[frame.part], series.grid
    groups = {
        "FrameContentSequence": _item(
            StackID=str(frame.stack + 1),
            InStackPositionNumber=frame.position,
            FrameAcquisitionNumber=1,
            DimensionIndexValues=[frame.stack + 1, frame.position, frame.part + 1],
        ),
        "PlanePositionSequence": _item(
            ImagePositionPatient=[number(v) for v in grid.to_world(np.array([0, 0, frame.slice]))]
        ),
        "PlaneOrientationSequence": _item(
            ImageOrientationPatient=[number(v) for v in (*grid.axes[:, 0], *grid.axes[:, 1])]
        ),
        "PixelMeasuresSequence": _item(
            SliceThickness=number(series.thickness_mm or grid.spacing_mm[2]),
            SpacingBetweenSlices=number(grid.spacing_mm[2]),
            PixelSpacing=[number(grid.spacing_mm[1]), number(grid.spacing_mm[0])],
        ),
        "PixelValueTransformationSequence": _item(
            RescaleIntercept=number(0), RescaleSlope=number(part.slope or 1.0), RescaleType="US"
        ),
        "MRImageFrameTypeSequence": _item(FrameType=list(part.image_type), ComplexImageComponent="MAGNITUDE"),
    }
    if series.body_part in _REGIONS:
        value, meaning = _REGIONS[series.body_part]
        region = _item(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning)
        groups["FrameAnatomySequence"] = _item(FrameLaterality="U", AnatomicRegionSequence=[region])
    groups |= _converted_timing(series, part) if habits.is_converted else _timing(series, part)
    return {name: [item] for name, item in groups.items()}


def _timing(series: Series, part: Part) -> dict[str, Dataset]:
    timing = series.timing
    options = set(timing.options.split("\\"))
    modifier = _item(
        InversionRecovery="NO",
        SpectrallySelectedSuppression="FAT" if options & {"FS", "SPIR", "SPAIR", "FAT_SAT"} else "NONE",
    )
    if timing.ti_ms is not None:
        modifier.InversionRecovery, modifier.InversionTimes = "YES", float(timing.ti_ms)
    return {
        "MREchoSequence": _item(EffectiveEchoTime=float(part.te_ms if part.te_ms is not None else timing.te_ms)),
        "MRModifierSequence": modifier,
        "MRTimingAndRelatedParametersSequence": _item(
            RepetitionTime=number(timing.tr_ms), FlipAngle=number(timing.flip_deg), EchoTrainLength=timing.echo_train
        ),
    }


def _converted_timing(series: Series, part: Part) -> dict[str, Dataset]:
    """What has no place of its own in a converted file stands in items for the unassigned."""
    shared, own = Dataset(), Dataset()
    describe_timing(shared, series.timing, part)
    own.EchoTime = shared.EchoTime
    del shared.EchoTime
    return {"UnassignedSharedConvertedAttributesSequence": shared, "UnassignedPerFrameConvertedAttributesSequence": own}


def _common_names(groups: list[dict[str, list[Dataset]]]) -> list[str]:
    return [
        name
        for name in groups[0]
        if name not in _NEVER_SHARED
        and "PerFrame" not in name
        and all(group[name][0] == groups[0][name][0] for group in groups)
    ]


def _add_classic(item: Dataset, series: Series, part: Part) -> None:
    """Repeat the classic header of a frame in Philips' private item."""
    classic = Dataset()
    classic.ImageType = list(part.classic_type or part.image_type)
    describe_timing(classic, series.timing, part)
    if part.classic_type and part.dixon is not None:
        classic.ScanningSequence = "RM"  # Philips: computed, not acquired
    item.add_new(Tag(0x2005, 0x0014), "LO", PHILIPS_CREATOR)
    item.add_new(PHILIPS_CLASSIC, "SQ", Items([classic]))


def one_volume_per_file(stacks: Sequence[Series]) -> list[Series]:
    """Split stacks into files of one part each, as Siemens writes enhanced files."""
    return [replace(series, parts=(part,)) for series in stacks for part in series.parts]
