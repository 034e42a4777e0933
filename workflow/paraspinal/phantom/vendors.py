"""Vendors' habits: how each maker names, types and splits the same examination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from paraspinal.core.geometry import Grid
from paraspinal.core.vocab import DixonPart, Plane
from paraspinal.phantom.contrast import Weighting
from paraspinal.phantom.dicom import Part, Scanner, Series, Timing

PHILIPS_SLOPE = 1.25
"""A rescale slope as Philips writes it; the same for all parts of a Dixon set."""

_IN_OPP_TE_MS = {3.0: (2.46, 1.23), 1.5: (4.76, 2.38)}
"""Echo times of in-phase and opposed-phase images by field strength."""


class Vendor(StrEnum):
    """Makers whose habits are imitated."""

    SIEMENS = "siemens"
    GE = "ge"
    PHILIPS = "philips"
    CANON = "canon"
    UNITED_IMAGING = "united_imaging"


@dataclass(frozen=True)
class Habits:
    """How a maker writes one examination; templates take `{weight}`, `{plane}`, `{part}`."""

    spin_echo_type: tuple[str, ...]
    description: str
    planes: Mapping[Plane, str]
    weights: Mapping[Weighting, str]
    spin_echo_name: str
    dixon_description: str
    dixon_types: Mapping[DixonPart, tuple[str, ...]]
    dixon_words: Mapping[DixonPart, str]
    dixon_name: str
    body_part: str
    is_one_dixon_series: bool = False
    is_signed: bool = False
    is_reversed: bool = False
    slope: float | None = None
    options: str = ""


_SHORT_PLANES = {Plane.AXIAL: "tra", Plane.SAGITTAL: "sag"}
_LONG_PLANES = {Plane.AXIAL: "Ax", Plane.SAGITTAL: "Sag"}
_LOWER = {Weighting.T1W: "t1", Weighting.T2W: "t2", Weighting.STIR: "stir"}
_UPPER = {Weighting.T1W: "T1", Weighting.T2W: "T2", Weighting.STIR: "STIR"}
_PHILIPS_WEIGHTS = {Weighting.T1W: "T1W", Weighting.T2W: "T2W", Weighting.STIR: "STIR"}
_PARTS = (DixonPart.WATER, DixonPart.FAT, DixonPart.IN_PHASE, DixonPart.OPPOSED_PHASE)


def _types(prefix: tuple[str, ...], words: tuple[str, ...]) -> dict[DixonPart, tuple[str, ...]]:
    return {part: (*prefix, word) for part, word in zip(_PARTS, words, strict=True)}


def _words(*words: str) -> dict[DixonPart, str]:
    return dict(zip(_PARTS, words, strict=True))


HABITS: dict[Vendor, Habits] = {
    Vendor.SIEMENS: Habits(
        spin_echo_type=("ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"),
        description="{weight}_tse_{plane}_lws",
        planes=_SHORT_PLANES,
        weights=_LOWER,
        spin_echo_name="*tse2d1_15",
        dixon_description="t1_vibe_dixon_tra_lws_{part}",
        dixon_types=_types(("DERIVED", "PRIMARY", "DIXON"), ("WATER", "FAT", "IN_PHASE", "OPP_PHASE")),
        dixon_words=_words("W", "F", "in", "opp"),
        dixon_name="*fl3d2",
        body_part="LSPINE",
        options="PFP",
    ),
    Vendor.GE: Habits(
        spin_echo_type=("ORIGINAL", "PRIMARY", "OTHER"),
        description="{plane} {weight} FSE",
        planes=_LONG_PLANES,
        weights=_UPPER,
        spin_echo_name="",
        dixon_description="{part}: Ax LAVA-Flex L-SPINE",
        dixon_types=_types(("DERIVED", "PRIMARY", "DIXON"), ("WATER", "FAT", "IN_PHASE", "OUT_PHASE")),
        dixon_words=_words("WATER", "FAT", "InPhase", "OutPhase"),
        dixon_name="",
        body_part="LSPINE",
        is_signed=True,
        is_reversed=True,
        options="FAST_GEMS\\NPW\\FILTERED_GEMS",
    ),
    Vendor.PHILIPS: Habits(
        spin_echo_type=("ORIGINAL", "PRIMARY", "M_SE", "M", "SE"),
        description="{weight}_TSE_{plane}",
        planes={Plane.AXIAL: "TRA", Plane.SAGITTAL: "SAG"},
        weights=_PHILIPS_WEIGHTS,
        spin_echo_name="TSE",
        dixon_description="mDIXON_TRA_LSPINE",
        dixon_types={
            part: ("DERIVED", "PRIMARY", word, word, "DERIVED")
            for part, word in zip(_PARTS, ("W", "F", "IP", "OP"), strict=True)
        },
        dixon_words=_words("W", "F", "IP", "OP"),
        dixon_name="FFE",
        body_part="SPINE",
        is_one_dixon_series=True,
        slope=PHILIPS_SLOPE,
        options="FC",
    ),
    Vendor.CANON: Habits(
        spin_echo_type=("ORIGINAL", "PRIMARY", "OTHER"),
        description="{weight}W_FSE_{plane}",
        planes={Plane.AXIAL: "AX", Plane.SAGITTAL: "SG"},
        weights=_UPPER,
        spin_echo_name="FSE2D",
        dixon_description="WFS_AX_{part}",
        dixon_types=_types(("DERIVED", "PRIMARY"), ("WATER", "FAT", "IN_PHASE", "OUT_OF_PHASE")),
        dixon_words=_words("WATER", "FAT", "IN", "OUT"),
        dixon_name="FE3D",
        body_part="LSPINE",
        is_signed=True,
    ),
    Vendor.UNITED_IMAGING: Habits(
        spin_echo_type=("ORIGINAL", "PRIMARY", "M", "NONE"),
        description="{weight}_fse_{plane}_lspine",
        planes=_SHORT_PLANES,
        weights=_LOWER,
        spin_echo_name="fse",
        dixon_description="gre_quick_3d_wfi_tra_{part}",
        dixon_types=_types(("DERIVED", "PRIMARY", "WFI"), ("WATER", "FAT", "IN_PHASE", "OUT_PHASE")),
        dixon_words=_words("water", "fat", "in_phase", "out_phase"),
        dixon_name="gre_quick",
        body_part="LUMBAR SPINE",
        is_reversed=True,
    ),
}

SCANNERS: dict[Vendor, Scanner] = {
    Vendor.SIEMENS: Scanner("SIEMENS", "Skyra", 3.0, "syngo MR E11"),
    Vendor.GE: Scanner("GE MEDICAL SYSTEMS", "SIGNA Artist", 1.5, "29\\LX\\MR Software release:MR29.1"),
    Vendor.PHILIPS: Scanner("Philips Medical Systems", "Ingenia", 3.0, "5.6.1"),
    Vendor.CANON: Scanner("CANON_MEC", "Vantage Galan", 3.0, "V6.0"),
    Vendor.UNITED_IMAGING: Scanner("UIH", "uMR 790", 3.0, "V10"),
}

_SPIN_ECHO: dict[Weighting, tuple[float, float, float | None, int]] = {
    Weighting.T1W: (620.0, 11.0, None, 3),
    Weighting.T2W: (4100.0, 98.0, None, 17),
    Weighting.STIR: (4800.0, 52.0, 190.0, 11),
}
"""TR, TE, TI (ms) and echo train of the turbo spin echoes."""


def spin_echo(vendor: Vendor, weight: Weighting, plane: Plane, number: int, grid: Grid, array: np.ndarray) -> Series:
    """Describe a turbo spin echo series (T1w, T2w or STIR) as the vendor would."""
    habits = HABITS[vendor]
    text = habits.description.format(weight=habits.weights[weight], plane=habits.planes[plane])
    tr, te, ti, train = _SPIN_ECHO[weight]
    kind = "SE\\IR" if ti else "SE"
    timing = Timing(kind, "SK", habits.spin_echo_name, tr, te, 150.0, ti, train, habits.options)
    part = Part(array, habits.spin_echo_type, slope=habits.slope)
    return Series(
        number, text, text, grid, (part,), timing, body_part=habits.body_part, is_signed=habits.is_signed,
        is_reversed=habits.is_reversed and plane is Plane.AXIAL,
    )  # fmt: skip


def dixon(
    vendor: Vendor, number: int, grid: Grid, images: Mapping[DixonPart, np.ndarray], field_strength_t: float = 3.0
) -> list[Series]:
    """Describe a two-point Dixon set as the vendor would: one series with all parts, or one series per part.

    Series are numbered upwards from `number`.
    """
    habits = HABITS[vendor]
    in_phase, opposed = _IN_OPP_TE_MS[field_strength_t]
    parts = [
        Part(
            array, habits.dixon_types[part], slope=habits.slope, dixon=part,
            te_ms=in_phase if part is DixonPart.IN_PHASE else opposed,
        )
        for part, array in images.items()
    ]  # fmt: skip
    timing = Timing("GR", "SK\\SP\\OSP", habits.dixon_name, 5.6, opposed, 9.0, None, 1, habits.options, True)
    protocol = habits.dixon_description.format(part="").strip("_: ")

    def series(offset: int, members: tuple[Part, ...], words: str) -> Series:
        text = habits.dixon_description.format(part=words)
        return Series(
            number + offset, text, protocol, grid, members, timing, body_part=habits.body_part,
            is_signed=habits.is_signed, is_reversed=habits.is_reversed,
        )  # fmt: skip

    if habits.is_one_dixon_series:
        return [series(0, tuple(parts), "")]
    return [
        series(k, (part,), habits.dixon_words[part.dixon]) for k, part in enumerate(parts) if part.dixon is not None
    ]


def localizer(number: int, planes: Mapping[Plane, tuple[Grid, np.ndarray]]) -> list[Series]:
    """Describe a three-plane localizer: one series number, one single-slice stack per plane."""
    timing = Timing("GR", "SP", "*fl2d1", 8.6, 4.0, 20.0)
    kind = ("ORIGINAL", "PRIMARY", "LOCALIZER")
    return [
        Series(
            number, "localizer", "localizer", grid, (Part(array, kind),), timing, thickness_mm=8.0, first_instance=k + 1
        )
        for k, (grid, array) in enumerate(planes.values())
    ]  # fmt: skip
