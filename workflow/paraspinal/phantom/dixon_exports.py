"""One Dixon acquisition in the three forms it arrives in: series by series, as one series, as multi-frame files.

The words are those that public tools and files show; where none shows them, the comment says what is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from pydicom.dataset import Dataset

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.vocab import DixonPart
from paraspinal.phantom.dicom import Part, Scanner, Series, Timing, Visit, datasets
from paraspinal.phantom.enhanced import FrameHabits, enhanced, one_volume_per_file
from paraspinal.phantom.vendors import HABITS, Vendor

ECHO_TIMES_MS = {3.0: (2.46, 1.23), 1.5: (4.76, 2.38)}
"""Echo times of in-phase and opposed-phase images by field strength (T)."""


class Export(StrEnum):
    """How a Dixon set leaves the scanner or the archive."""

    SEPARATE = "separate_series"
    ONE_SERIES = "one_series"
    ENHANCED = "enhanced"


class Extra(StrEnum):
    """Maps that come with quantitative Dixon sets and are none of their parts."""

    R2_STAR = "r2star"
    FIELD = "field"


_Kind = DixonPart | Extra
_Type = tuple[str, ...]
_KINDS: tuple[_Kind, ...] = (
    DixonPart.WATER,
    DixonPart.FAT,
    DixonPart.IN_PHASE,
    DixonPart.OPPOSED_PHASE,
    DixonPart.FAT_FRACTION,
    Extra.R2_STAR,
    Extra.FIELD,
)
_LONG = ("WATER", "FAT", "IN_PHASE", "OUT_PHASE", "FAT_FRACTION", "R2_STAR", "FIELD_MAP")
_SIEMENS = ("WATER", "FAT", "IN_PHASE", "OPP_PHASE", "FAT_FRACTION", "R2_STAR", "FIELD_MAP")
_OF_PHASE = ("WATER", "FAT", "IN_PHASE", "OUT_OF_PHASE", "FAT_FRACTION", "R2_STAR", "FIELD_MAP")


@dataclass(frozen=True)
class DixonHabits:
    """How a Dixon set is written in one form; `{part}` in the description takes the part's word.

    `types` and `words` are in the order of `_KINDS`; `classic_types` are repeated inside multi-frame files.
    """

    description: str
    types: tuple[_Type, ...]
    words: tuple[str, ...] = ()
    frames: FrameHabits | None = None
    is_one_volume_per_file: bool = False
    classic_types: tuple[_Type, ...] = ()

    @property
    def is_one_series(self) -> bool:
        """Whether all parts share a series."""
        return not self.words


def _types(prefix: tuple[str, ...], words: tuple[str, ...], suffix: tuple[str, ...] = ()) -> tuple[_Type, ...]:
    return tuple((*prefix, word, *suffix) for word in words)


_PHILIPS_TYPES = (
    *(("DERIVED", "PRIMARY", letter, letter, "DERIVED") for letter in ("W", "F", "IP", "OP", "FF")),
    ("ORIGINAL", "PRIMARY", "T2_STAR_UNSPECIF", "T2_STAR", "UNSPECIFIED"),
    ("ORIGINAL", "PRIMARY", "B0 MAP", "B0", "UNSPECIFIED"),
)
_CONVERTED = FrameHabits(is_converted=True)

DIXON: dict[tuple[Vendor, Export], DixonHabits] = {
    (Vendor.SIEMENS, Export.SEPARATE): DixonHabits(
        "t1_vibe_dixon_tra_lws_{part}",
        _types(("DERIVED", "PRIMARY", "DIXON"), _SIEMENS),
        ("W", "F", "in", "opp", "FP", "R2star", "B0"),
    ),
    # Siemens splits the parts itself; one series is what an archive makes of them when it merges re-sent series.
    # The fifth value instead of the fourth is what releases VD and VE write.
    (Vendor.SIEMENS, Export.ONE_SERIES): DixonHabits(
        "t1_vibe_dixon_tra_lws", _types(("DERIVED", "PRIMARY", "M", "DIXON"), _SIEMENS)
    ),
    # XA: one file per volume, still one series per part.
    (Vendor.SIEMENS, Export.ENHANCED): DixonHabits(
        "t1_vibe_dixon_tra_lws_{part}",
        _types(("DERIVED", "PRIMARY", "DIXON"), _SIEMENS),
        ("W", "F", "in", "opp", "FP", "R2star", "B0"),
        FrameHabits(),
        is_one_volume_per_file=True,
    ),
    (Vendor.GE, Export.SEPARATE): DixonHabits(
        "{part}: Ax LAVA-Flex L-SPINE",
        _types(("DERIVED", "PRIMARY", "DIXON"), _LONG),
        ("WATER", "FAT", "InPhase", "OutPhase", "FatFrac", "R2*", "B0"),
    ),
    # GE writes a series per part; merged by an archive as above. Release 28 on ends the type with MAGNITUDE.
    (Vendor.GE, Export.ONE_SERIES): DixonHabits(
        "Ax LAVA-Flex L-SPINE", _types(("DERIVED", "PRIMARY", "DIXON"), _LONG, ("MAGNITUDE",))
    ),
    # GE writes no enhanced files: an archive converts each series.
    (Vendor.GE, Export.ENHANCED): DixonHabits(
        "{part}: Ax LAVA-Flex L-SPINE",
        _types(("DERIVED", "PRIMARY", "DIXON"), _LONG),
        ("WATER", "FAT", "InPhase", "OutPhase", "FatFrac", "R2*", "B0"),
        _CONVERTED,
    ),
    # Philips keeps the set in one series; apart only after its own or the archive's splitting.
    (Vendor.PHILIPS, Export.SEPARATE): DixonHabits(
        "mDIXON_TRA_LSPINE_{part}", _PHILIPS_TYPES, ("W", "F", "IP", "OP", "FF", "T2S", "B0")
    ),
    (Vendor.PHILIPS, Export.ONE_SERIES): DixonHabits("mDIXON_TRA_LSPINE", _PHILIPS_TYPES),
    # Release 12 on: words in the frame type; the letters stay in the private item of each frame.
    (Vendor.PHILIPS, Export.ENHANCED): DixonHabits(
        "mDIXON_TRA_LSPINE",
        _types(("DERIVED", "PRIMARY", "DIXON"), (*_OF_PHASE[:5], "T2_STAR", "B0")),
        (),
        FrameHabits(is_by_place=True, has_classic_types=True, is_all_per_frame=True),
        classic_types=_PHILIPS_TYPES,
    ),
    # No public file shows Canon's types: the plainest one, so that the series name alone tells.
    (Vendor.CANON, Export.SEPARATE): DixonHabits(
        "WFS_AX_{part}",
        _types(("DERIVED", "PRIMARY", "OTHER"), ("",) * 7),
        ("WATER", "FAT", "IN", "OUT", "FF", "R2star", "B0"),
    ),
    # Assumed: in one series only the type can tell, in the words of the standard.
    (Vendor.CANON, Export.ONE_SERIES): DixonHabits("WFS_AX", _types(("DERIVED", "PRIMARY"), _OF_PHASE)),
    # Canon's enhanced files hold a whole series (V6); types assumed as above.
    (Vendor.CANON, Export.ENHANCED): DixonHabits(
        "WFS_AX", _types(("DERIVED", "PRIMARY", "DIXON"), _OF_PHASE), (), FrameHabits()
    ),
    (Vendor.UNITED_IMAGING, Export.SEPARATE): DixonHabits(
        "gre_quick_3d_wfi_tra_{part}",
        _types(("DERIVED", "PRIMARY", "WFI"), _LONG),
        ("water", "fat", "in_phase", "out_phase", "fat_fraction", "r2star", "b0"),
    ),
    # Merged by an archive, as above.
    (Vendor.UNITED_IMAGING, Export.ONE_SERIES): DixonHabits(
        "gre_quick_3d_wfi_tra", _types(("DERIVED", "PRIMARY", "WFI"), _LONG)
    ),
    # No enhanced file of United Imaging is known: an archive converts each series.
    (Vendor.UNITED_IMAGING, Export.ENHANCED): DixonHabits(
        "gre_quick_3d_wfi_tra_{part}",
        _types(("DERIVED", "PRIMARY", "WFI"), _LONG),
        ("water", "fat", "in_phase", "out_phase", "fat_fraction", "r2star", "b0"),
        _CONVERTED,
    ),
}

USUAL = {vendor: Export.ONE_SERIES if vendor is Vendor.PHILIPS else Export.SEPARATE for vendor in Vendor}
"""The form in which most archives hold a maker's Dixon sets."""


def dixon(
    vendor: Vendor,
    number: int,
    grid: Grid,
    images: Mapping[DixonPart, np.ndarray],
    field_strength_t: float = 3.0,
    export: Export | None = None,
    extras: Mapping[Extra, np.ndarray] | None = None,
) -> list[Series]:
    """Describe a two-point Dixon set as the vendor would: one series with all parts, or one series per part.

    Series are numbered upwards from `number`. Without `export` it is the vendor's usual form.
    """
    habits, written = HABITS[vendor], DIXON[vendor, export or USUAL[vendor]]
    in_phase, opposed = ECHO_TIMES_MS[field_strength_t]
    wanted: dict[_Kind, np.ndarray] = {kind: array for part in (images, extras or {}) for kind, array in part.items()}
    timing = Timing("GR", "SK\\SP\\OSP", HABITS[vendor].gradient_name, 5.6, opposed, 9.0, None, 1, habits.options, True)
    made = []
    for kind, array in wanted.items():
        place = _KINDS.index(kind)
        made.append(
            Part(
                array,
                tuple(filter(None, written.types[place])),
                te_ms=in_phase if kind is DixonPart.IN_PHASE else opposed,
                slope=habits.slope,
                dixon=kind if isinstance(kind, DixonPart) else None,
                classic_type=written.classic_types[place] if written.classic_types else None,
            )
        )
    protocol = written.description.format(part="").strip("_: ")

    def series(offset: int, members: tuple[Part, ...], word: str) -> Series:
        text = written.description.format(part=word)
        return Series(
            number + offset, text, protocol, grid, members, timing, body_part=habits.body_part,
            is_signed=habits.is_signed, is_reversed=habits.is_reversed,
        )  # fmt: skip

    if written.is_one_series:
        return [series(0, tuple(made), "")]
    return [
        series(k, (part,), written.words[_KINDS.index(kind)])
        for k, (kind, part) in enumerate(zip(wanted, made, strict=True))
    ]


def dual_echo(
    vendor: Vendor, number: int, grid: Grid, in_phase: np.ndarray, opposed: np.ndarray, field_strength_t: float = 3.0
) -> Series:
    """Describe an in- and opposed-phase gradient echo: one series, two echo times, no word that tells them apart."""
    habits = HABITS[vendor]
    times = ECHO_TIMES_MS[field_strength_t]
    parts = tuple(
        Part(array, habits.gradient_type, te_ms=te, slope=habits.slope)
        for array, te in zip((in_phase, opposed), times, strict=True)
    )
    timing = Timing("GR", "SP", habits.gradient_name, 140.0, times[0], 70.0, None, 2, habits.options)
    text = "dual echo"
    return Series(
        number, text, text, grid, parts, timing, body_part=habits.body_part, is_signed=habits.is_signed,
        is_reversed=habits.is_reversed,
    )  # fmt: skip


def files(vendor: Vendor, series: Sequence[Series], visit: Visit, scanner: Scanner, export: Export) -> list[Dataset]:
    """Build the files of the series of a Dixon set in a form."""
    written = DIXON[vendor, export]
    if written.frames is None:
        return [ds for one in series for ds in datasets(one, visit, scanner)]
    stacks = one_volume_per_file(series) if written.is_one_volume_per_file else series
    return [enhanced([one], visit, scanner, written.frames) for one in stacks]
