"""Read what differs between the frames of a multi-frame file."""

from __future__ import annotations

import logging
import warnings
from typing import Any, BinaryIO

import pydicom

from paraspinal.stages.ingest.record import Values

_FIELDS: dict[str, tuple[str, str, str]] = {
    "image_type": ("MRImageFrameTypeSequence", "FrameType", "texts"),
    "acquisition_contrast": ("MRImageFrameTypeSequence", "AcquisitionContrast", "text"),
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
    "fat_suppression": ("MRModifierSequence", "SpectrallySelectedSuppression", "text"),
    "stack": ("FrameContentSequence", "StackID", "text"),
    "instance": ("FrameContentSequence", "InStackPositionNumber", "number"),
    "temporal": ("FrameContentSequence", "TemporalPositionIndex", "number"),
    "b_value": ("MRDiffusionSequence", "DiffusionBValue", "number"),
    "slope": ("PixelValueTransformationSequence", "RescaleSlope", "number"),
    "intercept": ("PixelValueTransformationSequence", "RescaleIntercept", "number"),
}
_TOP = {
    "echo_pulse_sequence": "EchoPulseSequence",
    "steady_state": "SteadyStatePulseSequence",
    "spoiling": "Spoiling",
    "is_inversion": "InversionRecovery",
    "acquisition_contrast": "AcquisitionContrast",
    "acquisition_type": "MRAcquisitionType",
    "sequence_name": "PulseSequenceName",
    "field_t": "MagneticFieldStrength",
}
_TOP_KINDS = {"field_t": "number"}


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
    return _keep(found)


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
