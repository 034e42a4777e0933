"""Read what differs between the frames of a multi-frame file."""

from __future__ import annotations

import logging
import struct
import warnings
from typing import Any, BinaryIO

import pydicom

from paraspinal.stages.ingest.reading.record import Values

_FIELDS: dict[str, tuple[str, str, str]] = {
    "image_type": ("MRImageFrameTypeSequence", "FrameType", "texts"),
    "acquisition_contrast": ("MRImageFrameTypeSequence", "AcquisitionContrast", "text"),
    "component": ("MRImageFrameTypeSequence", "ComplexImageComponent", "text"),
    "volume_technique": ("MRImageFrameTypeSequence", "VolumeBasedCalculationTechnique", "text"),
    "position": ("PlanePositionSequence", "ImagePositionPatient", "numbers"),
    "orientation": ("PlaneOrientationSequence", "ImageOrientationPatient", "numbers"),
    "pixel_spacing": ("PixelMeasuresSequence", "PixelSpacing", "numbers"),
    "slice_thickness_mm": ("PixelMeasuresSequence", "SliceThickness", "number"),
    "slice_spacing_mm": ("PixelMeasuresSequence", "SpacingBetweenSlices", "number"),
    "te_ms": ("MREchoSequence", "EffectiveEchoTime", "number"),
    "tr_ms": ("MRTimingAndRelatedParametersSequence", "RepetitionTime", "number"),
    "flip_deg": ("MRTimingAndRelatedParametersSequence", "FlipAngle", "number"),
    "echo_train_length": ("MRTimingAndRelatedParametersSequence", "EchoTrainLength", "number"),
    "ti_ms": ("MRModifierSequence", "InversionTimes", "number"),
    "is_inversion": ("MRModifierSequence", "InversionRecovery", "text"),
    "fat_suppression": ("MRModifierSequence", "SpectrallySelectedSuppression", "text"),
    "stack": ("FrameContentSequence", "StackID", "text"),
    "instance": ("FrameContentSequence", "InStackPositionNumber", "number"),
    "temporal": ("FrameContentSequence", "TemporalPositionIndex", "number"),
    "acquisition_datetime": ("FrameContentSequence", "FrameAcquisitionDateTime", "text"),
    "b_value": ("MRDiffusionSequence", "DiffusionBValue", "number"),
    "slope": ("PixelValueTransformationSequence", "RescaleSlope", "number"),
    "intercept": ("PixelValueTransformationSequence", "RescaleIntercept", "number"),
}
_TOP = {
    "echo_pulse_sequence": "EchoPulseSequence",
    "steady_state": "SteadyStatePulseSequence",
    "spoiling": "Spoiling",
    "is_inversion": "InversionRecovery",
    "is_echo_planar": "EchoPlanarPulseSequence",
    "is_phase_contrast": "PhaseContrast",
    "is_time_of_flight": "TimeOfFlightContrast",
    "fat_suppression": "SpectrallySelectedSuppression",
    "acquisition_contrast": "AcquisitionContrast",
    "acquisition_type": "MRAcquisitionType",
    "sequence_name": "PulseSequenceName",
    "field_t": "MagneticFieldStrength",
}
_TOP_KINDS = {"field_t": "number"}
_CLASSIC = {
    "te_ms": ("EchoTime", "number"),
    "tr_ms": ("RepetitionTime", "number"),
    "ti_ms": ("InversionTime", "number"),
    "flip_deg": ("FlipAngle", "number"),
    "echo_train_length": ("EchoTrainLength", "number"),
    "scanning_sequence": ("ScanningSequence", "texts"),
    "sequence_variant": ("SequenceVariant", "texts"),
    "scan_options": ("ScanOptions", "texts"),
    "sequence_name": ("SequenceName", "text"),
}
"""What archives that convert classic files to multi-frame ones keep in items for the unassigned."""
_UNASSIGNED = ("UnassignedSharedConvertedAttributesSequence", "UnassignedPerFrameConvertedAttributesSequence")
_PHILIPS_CLASSIC = 0x2005140F
"""Philips repeats the classic header of a frame here; before release 12 only it names the parts of a Dixon set."""
_PHILIPS_SCALE_SLOPE = 0x2005100E


def quiet_pydicom() -> None:
    """Keep pydicom from logging: its messages quote header values, which may be identifiers."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


def read_frames(source: str | BinaryIO) -> list[Values]:
    """Read the values of every frame of a file, given by path or open.

    Returns an empty list when it has no frame descriptions or they cannot be read; raises OSError.
    """
    quiet_pydicom()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote header values too
            dataset = pydicom.dcmread(source, stop_before_pixels=True, force=True)
            shared = dataset.get("SharedFunctionalGroupsSequence") or [None]
            frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
            top = {name: _plain(dataset.get(keyword), _TOP_KINDS.get(name, "text")) for name, keyword in _TOP.items()}
            region = dataset.get("AnatomicRegionSequence")
            top["anatomic_code"] = _plain(region[0].get("CodeValue"), "text") if region else None
            common = {**_keep(top), **_group(shared[0])}
            return [{**common, **_group(frame)} for frame in frames]
    except OSError:
        raise
    except Exception:
        # Whatever a damaged functional group makes the library raise: the frames are simply not described.
        return []


def _group(item: Any) -> Values:
    if item is None:
        return {}
    found: Values = {}
    for name, (sequence, keyword, kind) in _FIELDS.items():
        inner = item.get(sequence)
        if inner:
            found[name] = _plain(inner[0].get(keyword), kind)
    for inner in filter(None, map(item.get, _UNASSIGNED)):
        found |= {name: _plain(inner[0].get(keyword), kind) for name, (keyword, kind) in _CLASSIC.items()}
    return _keep(found | _philips(item) | _anatomy(item))


def _philips(item: Any) -> Values:
    """Read image type, pulse sequence and scale from the classic header inside a frame."""
    classic = item.get(_PHILIPS_CLASSIC)
    if classic is None or classic.VR != "SQ" or not classic.value:
        return {}
    names = ("scanning_sequence", "sequence_variant", "scan_options")
    found = {name: _plain(classic.value[0].get(_CLASSIC[name][0]), "texts") for name in names}
    found["scale_slope"] = _float(classic.value[0].get(_PHILIPS_SCALE_SLOPE))
    return {**found, "classic_type": _plain(classic.value[0].get("ImageType"), "texts")}


def _float(element: Any) -> float | None:
    """Read a private number, whose kind an implicit encoding does not state."""
    value = None if element is None else element.value
    if isinstance(value, bytes):
        return float(struct.unpack("<f", value)[0]) if len(value) == 4 else None
    return _plain(value, "number")  # type: ignore[no-any-return]


def _anatomy(item: Any) -> Values:
    """Read the code of the anatomic region; its meaning is free text and stays behind."""
    anatomy = item.get("FrameAnatomySequence")
    region = anatomy[0].get("AnatomicRegionSequence") if anatomy else None
    return {"anatomic_code": _plain(region[0].get("CodeValue"), "text")} if region else {}


def _keep(values: Values) -> Values:
    return {name: value for name, value in values.items() if value not in (None, "", [])}


def _plain(value: Any, kind: str) -> Any:
    if value is None or value == "":
        return None
    many = list(value) if not isinstance(value, str | bytes | int | float) else [value]
    if kind == "text":
        return str(many[0]).strip() if many else None
    if kind == "texts":
        return [str(part).strip().upper() for part in many]
    numbers = [float(part) for part in many]
    return numbers if kind == "numbers" else (numbers[0] if numbers else None)
