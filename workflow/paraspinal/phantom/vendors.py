"""Vendors' habits: how each maker names and types the same examination; Dixon sets stand in `dixon_exports`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.vocab import Plane
from paraspinal.phantom.contrast import Weighting
from paraspinal.phantom.dicom import Part, Scanner, Series, Timing

PHILIPS_SLOPE = 1.25
"""A rescale slope as Philips writes it; the same for all parts of a Dixon set."""


class Vendor(StrEnum):
    """Makers whose habits are imitated."""

    SIEMENS = "siemens"
    GE = "ge"
    PHILIPS = "philips"
    CANON = "canon"
    UNITED_IMAGING = "united_imaging"


class Protocol(StrEnum):
    """What a spine protocol is made of besides Dixon sets."""

    T1 = "t1"
    T2 = "t2"
    PD = "pd"
    STIR = "stir"
    T1_FLAIR = "t1_flair"
    T2_FLAIR = "t2_flair"
    T1_FATSAT = "t1_fatsat"
    T2_FATSAT = "t2_fatsat"
    T2_3D = "t2_3d"  # SPACE, CUBE, VISTA, MPV, MATRIX
    T1_GRADIENT = "t1_gradient"  # VIBE, LAVA, THRIVE, FE3D, quick 3D


PROTOCOL_OF = {Weighting.T1W: Protocol.T1, Weighting.T2W: Protocol.T2, Weighting.STIR: Protocol.STIR}
"""The protocol that shows a contrast of the phantom."""


@dataclass(frozen=True)
class Habits:
    """How a maker writes one examination; the description takes `{weight}` and `{plane}`.

    `fatsat_options` are the scan options of a fat-saturated image; empty where the maker states it in the name only.
    """

    spin_type: tuple[str, ...]
    inverted_type: tuple[str, ...]
    gradient_type: tuple[str, ...]
    reformat_type: tuple[str, ...]
    description: str
    planes: Mapping[Plane, str]
    words: Mapping[Protocol, str]
    spin_name: str
    gradient_name: str
    gradient_variant: str
    localizer_text: str
    localizer_type: tuple[str, ...]
    body_part: str
    is_signed: bool = False
    is_reversed: bool = False
    slope: float | None = None
    options: str = ""
    fatsat_options: str = ""
    more_options: Mapping[Protocol, str] = field(default_factory=dict)


_SHORT_PLANES = {Plane.AXIAL: "tra", Plane.SAGITTAL: "sag", Plane.CORONAL: "cor"}
_LONG_PLANES = {Plane.AXIAL: "Ax", Plane.SAGITTAL: "Sag", Plane.CORONAL: "Cor"}
_UPPER_PLANES = {Plane.AXIAL: "TRA", Plane.SAGITTAL: "SAG", Plane.CORONAL: "COR"}
_CANON_PLANES = {Plane.AXIAL: "AX", Plane.SAGITTAL: "SG", Plane.CORONAL: "CO"}


def _words(*words: str) -> dict[Protocol, str]:
    return dict(zip(Protocol, words, strict=True))


_GE_TYPE = ("ORIGINAL", "PRIMARY", "OTHER")
_UIH_TYPE = ("ORIGINAL", "PRIMARY", "M", "UCA", "IF")

HABITS: dict[Vendor, Habits] = {
    Vendor.SIEMENS: Habits(
        spin_type=("ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"),
        inverted_type=("ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"),
        gradient_type=("ORIGINAL", "PRIMARY", "M", "NORM", "DIS3D"),
        reformat_type=("DERIVED", "SECONDARY", "MPR", "CSA MPR", "CSAPARALLEL"),
        description="{weight}_{plane}_lws",
        planes=_SHORT_PLANES,
        words=_words(
            "t1_tse", "t2_tse", "pd_tse", "stir_tse", "t1_tirm", "t2_tirm_dark-fluid", "t1_tse_fs", "t2_tse_fs",
            "t2_spc_3d", "t1_vibe",
        ),
        spin_name="*tse2d1_15",
        gradient_name="*fl3d1",
        gradient_variant="SK\\SP\\OSP",
        localizer_text="localizer",
        localizer_type=("ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"),
        body_part="LSPINE",
        options="PFP",
        fatsat_options="FS",
    ),
    Vendor.GE: Habits(
        spin_type=_GE_TYPE,
        inverted_type=_GE_TYPE,
        gradient_type=_GE_TYPE,
        reformat_type=("DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"),
        description="{plane} {weight}",
        planes=_LONG_PLANES,
        words=_words(
            "T1 FSE", "T2 FSE", "PD FSE", "STIR", "T1 FLAIR", "T2 FLAIR", "T1 FSE FS", "T2 FRFSE FS", "T2 CUBE", "LAVA",
        ),
        spin_name="",
        gradient_name="",
        gradient_variant="SS\\SP\\SK",
        localizer_text="3-Plane Loc",
        localizer_type=_GE_TYPE,
        body_part="LSPINE",
        is_signed=True,
        is_reversed=True,
        options="FAST_GEMS\\NPW\\FILTERED_GEMS",
        fatsat_options="FS",
        more_options={Protocol.T1_FLAIR: "T1FLAIR_GEMS", Protocol.T2_FLAIR: "T2FLAIR_GEMS"},
    ),
    Vendor.PHILIPS: Habits(
        spin_type=("ORIGINAL", "PRIMARY", "M_SE", "M", "SE"),
        inverted_type=("ORIGINAL", "PRIMARY", "M_IR", "M", "IR"),
        gradient_type=("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"),
        reformat_type=("DERIVED", "SECONDARY", "MPR"),
        description="{weight}_{plane}",
        planes=_UPPER_PLANES,
        words=_words(
            "T1W_TSE", "T2W_TSE", "PDW_TSE", "STIR_TSE", "T1W_FLAIR", "T2W_FLAIR", "T1W_TSE_SPIR", "T2W_TSE_SPAIR",
            "T2W_VISTA", "e-THRIVE",
        ),
        spin_name="TSE",
        gradient_name="T1TFE",
        gradient_variant="MP",
        localizer_text="Survey",
        localizer_type=("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"),
        body_part="SPINE",
        slope=PHILIPS_SLOPE,
        options="FC",
    ),
    Vendor.CANON: Habits(
        spin_type=_GE_TYPE,
        inverted_type=_GE_TYPE,
        gradient_type=_GE_TYPE,
        reformat_type=("DERIVED", "SECONDARY", "MPR"),
        description="{weight}_{plane}",
        planes=_CANON_PLANES,
        words=_words(
            "T1W_FSE", "T2W_FSE", "PDW_FSE", "STIR", "T1W_FLAIR", "T2W_FLAIR", "T1W_FatSat", "T2W_FatSat", "T2W_MPV3D",
            "T1_Quick3D",
        ),
        spin_name="FSE2D",
        gradient_name="FE3D",
        gradient_variant="NONE",
        localizer_text="LOCATOR scout",
        localizer_type=_GE_TYPE,
        body_part="LSPINE",
        is_signed=True,
    ),
    Vendor.UNITED_IMAGING: Habits(
        spin_type=_UIH_TYPE,
        inverted_type=_UIH_TYPE,
        gradient_type=_UIH_TYPE,
        reformat_type=("DERIVED", "SECONDARY", "MPR"),
        description="{weight}_{plane}_lspine",
        planes=_SHORT_PLANES,
        words=_words(
            "t1_fse", "t2_fse", "pd_fse", "stir_fse", "t1_flair", "t2_flair", "t1_fse_fs", "t2_fse_fs", "t2_matrix_3d",
            "t1_quick3d",
        ),
        spin_name="fse",
        gradient_name="gre_quick",
        gradient_variant="NONE",
        localizer_text="gre_scout",
        localizer_type=_UIH_TYPE,
        body_part="LUMBAR SPINE",
        is_reversed=True,
        fatsat_options="FS",
    ),
}  # fmt: skip

SCANNERS: dict[Vendor, Scanner] = {
    Vendor.SIEMENS: Scanner("SIEMENS", "Skyra", 3.0, "syngo MR E11"),
    Vendor.GE: Scanner("GE MEDICAL SYSTEMS", "SIGNA Artist", 1.5, "29\\LX\\MR Software release:MR29.1"),
    Vendor.PHILIPS: Scanner("Philips Medical Systems", "Ingenia", 3.0, "5.6.1"),
    Vendor.CANON: Scanner("CANON_MEC", "Vantage Galan", 3.0, "V6.0"),
    Vendor.UNITED_IMAGING: Scanner("UIH", "uMR 790", 3.0, "V10"),
}

_TIMES: dict[Protocol, tuple[float, float, float | None, int]] = {
    Protocol.T1: (620.0, 11.0, None, 3),
    Protocol.T2: (4100.0, 98.0, None, 17),
    Protocol.PD: (2800.0, 24.0, None, 9),
    Protocol.STIR: (4800.0, 52.0, 190.0, 11),
    Protocol.T1_FLAIR: (2300.0, 12.0, 860.0, 7),
    Protocol.T2_FLAIR: (9000.0, 110.0, 2500.0, 19),
    Protocol.T1_FATSAT: (640.0, 11.0, None, 3),
    Protocol.T2_FATSAT: (4300.0, 76.0, None, 15),
    Protocol.T2_3D: (1300.0, 120.0, None, 65),
    Protocol.T1_GRADIENT: (5.4, 2.1, None, 1),
}
"""TR, TE, TI (ms) and echo train."""
_FATSAT = (Protocol.T1_FATSAT, Protocol.T2_FATSAT)


def spin_echo(vendor: Vendor, weight: Weighting, plane: Plane, number: int, grid: Grid, array: np.ndarray) -> Series:
    """Describe a turbo spin echo series (T1w, T2w or STIR) as the vendor would."""
    return plain_series(vendor, PROTOCOL_OF[weight], plane, number, grid, array)


def plain_series(
    vendor: Vendor, protocol: Protocol, plane: Plane, number: int, grid: Grid, array: np.ndarray
) -> Series:
    """Describe a series with one image per place as the vendor would."""
    habits = HABITS[vendor]
    text = habits.description.format(weight=habits.words[protocol], plane=habits.planes[plane])
    tr, te, ti, train = _TIMES[protocol]
    more = (habits.options, habits.fatsat_options if protocol in _FATSAT else "", habits.more_options.get(protocol, ""))
    options = "\\".join(filter(None, more))
    if protocol is Protocol.T1_GRADIENT:
        timing = Timing("GR", habits.gradient_variant, habits.gradient_name, tr, te, 10.0, ti, train, options, True)
        kind = habits.gradient_type
    else:
        kinds = "SE\\IR" if ti else "SE"
        is_3d = protocol is Protocol.T2_3D
        timing = Timing(kinds, "SK", habits.spin_name, tr, te, 150.0, ti, train, options, is_3d)
        kind = habits.inverted_type if ti else habits.spin_type
    part = Part(array, kind, slope=habits.slope)
    return Series(
        number, text, text, grid, (part,), timing, body_part=habits.body_part, is_signed=habits.is_signed,
        is_reversed=habits.is_reversed and plane is Plane.AXIAL,
    )  # fmt: skip


def reformat(vendor: Vendor, series: Series, number: int) -> Series:
    """Describe a series as one the vendor's viewer resampled from another."""
    parts = tuple(replace(part, image_type=HABITS[vendor].reformat_type) for part in series.parts)
    return replace(series, number=number, description=f"{series.description} MPR", parts=parts)


def localizer(
    number: int, planes: Mapping[Plane, tuple[Grid, np.ndarray]], vendor: Vendor | None = None
) -> list[Series]:
    """Describe a three-plane localizer: one series number, one single-slice stack per plane.

    Without a vendor the image type says what it is; vendors leave that to the name.
    """
    timing = Timing("GR", "SP", "*fl2d1", 8.6, 4.0, 20.0)
    kind: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "LOCALIZER")
    text, part_of_body = "localizer", "LSPINE"
    if vendor is not None:
        habits = HABITS[vendor]
        kind, text, part_of_body = habits.localizer_type, habits.localizer_text, habits.body_part
    return [
        Series(
            number, text, text, grid, (Part(array, kind),), timing, thickness_mm=8.0, body_part=part_of_body,
            first_instance=k + 1,
        )
        for k, (grid, array) in enumerate(planes.values())
    ]  # fmt: skip
