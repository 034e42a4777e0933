"""From the files of one series to stacks: what belongs together by what the pixels mean, each with a disposition."""

# ruff: noqa: PTH123
# Paths are bytes here, for a file name need not be text.

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from paraspinal.core.imaging.geometry import Grid, plane_of, plane_tilt_deg
from paraspinal.core.vocab import Plane, Reason, Status
from paraspinal.stages.ingest.kinds.echoes import EchoImage, by_echo
from paraspinal.stages.ingest.kinds.image_kind import is_localizer, is_reformat
from paraspinal.stages.ingest.kinds.region import Region, region_of
from paraspinal.stages.ingest.kinds.sequence import Contrast, contrast_of
from paraspinal.stages.ingest.reading.record import DICOM, FileRecord, Values
from paraspinal.stages.ingest.stacking.acquired import common_values
from paraspinal.stages.ingest.stacking.grids import Block, Slice, axes_of, has_geometry, runs_around, split

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SCREENS = frozenset({"SCREEN SAVE", "SCREENSHOT", "SCREEN_SAVE", "VIDEO"})
ORPHAN_FRAC = 1 / 3
"""Slices of another matrix or orientation are strays of a series, not a stack, below this share of the main stack."""
HASH_CHUNK = 1 << 20


@dataclass
class Stack:
    """One stack: its slices in order, what they show, and what is to become of them."""

    key: str
    values: Values
    contrast: Contrast
    plane: Plane
    slices: list[Slice]
    n_files: int
    grid: Grid | None = None
    status: Status = Status.OK
    reason: Reason | None = None
    detail: str = ""
    source: str = DICOM
    content: str | None = None
    paths: set[bytes] = field(default_factory=set)
    region: Region = field(init=False)
    _before: tuple[Status, Reason | None, str] | None = None

    def __post_init__(self) -> None:
        self.region = region_of(self.values)

    @property
    def plane_tilt_deg(self) -> float | None:
        """Angle between slice normal and nearest patient axis, if the slices state where they lie."""
        if self.grid is not None:
            return plane_tilt_deg(self.grid.normal)
        return plane_tilt_deg(axes_of(self.slices[0])[:, 2]) if has_geometry(self.slices[0]) else None

    def decide(self, status: Status, reason: Reason, detail: str) -> None:
        """Set the disposition."""
        self.status, self.reason, self.detail = status, reason, detail

    def set_aside(self, reason: Reason, detail: str) -> None:
        """Exclude by judgement: a user who knows better may have it taken back."""
        self._before = self.status, self.reason, self.detail
        self.decide(Status.EXCLUDED, reason, detail)

    def take_back(self) -> None:
        """Return to the disposition before a judgement, be it a fault; without one nothing changes."""
        if self._before:
            self.status, self.reason, self.detail = self._before
            self._before = None


def stacks_of(files: list[tuple[bytes, FileRecord]], max_files: int) -> list[Stack]:
    """Group the DICOM images of one series into stacks; every file ends up in at least one of them."""
    first = files[0][1].values
    if len(files) > max_files:
        return [_lump(files, "too-many", Status.EXCLUDED, Reason.FOURD_UNEXPECTED, "more files than a series may have")]
    other = [item for item in files if item[1].values.get("modality", "MR") != "MR"]
    screens = [item for item in files if item not in other and _is_screen(item[1].values)]
    empty = [i for i in files if i not in other and i not in screens and i[1].reason is Reason.DICOM_NO_PIXELS]
    images = [i for i in files if i not in other and i not in screens and i not in empty]
    stacks = []
    if other:
        stacks.append(_lump(other, "not-mr", Status.EXCLUDED, Reason.NOT_MR, "another modality"))
    if screens:
        stacks.append(_lump(screens, "screen", Status.EXCLUDED, Reason.SECONDARY_CAPTURE, "a screen capture"))
    if empty:
        stacks.append(_lump(empty, "empty", Status.FAILED, Reason.DICOM_NO_PIXELS, "no pixel data"))
    stacks += _image_stacks(images)
    _note_incomplete(stacks, first)
    counted: set[bytes] = set()
    for stack in stacks:  # a multi-frame file may hold several stacks; it counts once
        stack.n_files = len(stack.paths - counted)
        counted |= stack.paths
    return stacks


def _is_screen(values: Values) -> bool:
    return (
        str(values.get("sop_class", "")).startswith(SECONDARY_CAPTURE)
        or bool(SCREENS & set(values.get("image_type", [])))
        or values.get("samples", 1) > 1
    )


def _lump(files: list[tuple[bytes, FileRecord]], kind: str, status: Status, reason: Reason, detail: str) -> Stack:
    """Put files that are not sorted further into one stack."""
    values = files[0][1].values
    slices = [_slice(path, record, plane) for path, record in files for plane in record.planes()]
    plane = _plane(slices[0])
    stack = Stack(kind, values, contrast_of(values), plane, slices, len(files), None, status, reason, detail)
    stack.paths = {path for path, _ in files}
    return stack


def _slice(path: bytes, record: FileRecord, plane: Values) -> Slice:
    def numbers(name: str) -> tuple[float, ...] | None:
        found = plane.get(name)
        return tuple(found) if found else None

    return Slice(
        path=path,
        frame=plane.get("frame"),
        position=numbers("position"),
        orientation=numbers("orientation"),
        pixel_spacing=numbers("pixel_spacing"),
        shape=(int(plane.get("rows", 0)), int(plane.get("columns", 0))),
        instance=plane.get("instance"),
        acquisition=plane.get("acquisition"),
        temporal=plane.get("temporal"),
        pixel_digest=f"{plane.get('pixel_digest', '')}{plane.get('frame', '')}",
        pixel_offset=int(plane.get("pixel_offset", 0)),
        digest=record.digest or "",
        uid=str(plane.get("sop_uid", "")),
        syntax=str(plane.get("transfer_syntax", "")),
        is_broken=record.reason is not None,
        pixel_sha256=plane.get("pixel_sha256"),
    )


def _plane(piece: Slice) -> Plane:
    return plane_of(axes_of(piece)[:, 2]) if has_geometry(piece) else Plane.UNKNOWN


def _contrast_key(values: Values) -> tuple[str, ...]:
    """What tells images of one series apart besides their place: kind of image, echo, inversion."""
    numbers = [f"{values.get(name, -1):.2f}" for name in ("te_ms", "ti_ms", "ge_image_type")]
    kinds = [*values.get("image_type", []), *values.get("classic_type", [])]
    return (*kinds, *([values["component"]] if "component" in values else []), *numbers)


def _image_stacks(files: list[tuple[bytes, FileRecord]]) -> list[Stack]:
    contrasts: dict[tuple[str, ...], dict[tuple[str, ...], list[tuple[Slice, Values, FileRecord]]]] = {}
    for path, record in files:
        for plane in record.planes():
            spacing = [f"{x:.3f}" for x in plane.get("pixel_spacing", [])]
            matrix = (str(plane.get("rows")), str(plane.get("columns")), *spacing)
            groups = contrasts.setdefault(_contrast_key(plane), {})
            groups.setdefault(matrix, []).append((_slice(path, record, plane), plane, record))
    stacks: list[Stack] = []
    for contrast_key, groups in sorted(contrasts.items()):
        of_contrast: list[Stack] = []
        for matrix, members in sorted(groups.items()):
            by_slice = {id(piece): (values, record) for piece, values, record in members}
            for number, block in enumerate(split([piece for piece, _, _ in members], _is_identical)):
                key = f"{contrast_key}|{matrix}|{number}"
                of_contrast.append(_stack(key, block, by_slice))
        stacks += _settle_orphans(of_contrast)
    echoes = [EchoImage(stack.values, stack.grid, stack.contrast) for stack in stacks]
    for stack, contrast in zip(stacks, by_echo(echoes), strict=True):
        stack.contrast = contrast
    orientations = {_orientation(s) for s in stacks if s.plane is not Plane.UNKNOWN}
    for stack in stacks:
        _exclude(stack, is_three_plane=len(orientations) >= 3 and _are_all_small(stacks))
    return stacks


def _stack(key: str, block: Block, by_slice: dict[int, tuple[Values, FileRecord]]) -> Stack:
    planes = [by_slice[id(piece)][0] for piece in block.slices]
    values = {**planes[0], **common_values(planes)}
    everything = [*block.slices, *block.copies]
    stack = Stack(
        key, values, contrast_of(values), _plane(block.slices[0]), block.slices,
        len({piece.path for piece in everything}), block.grid, block.status, block.reason, block.detail,
    )  # fmt: skip
    stack.paths = {piece.path for piece in everything}
    faults = [by_slice[id(piece)][1] for piece in block.slices if by_slice[id(piece)][1].reason]
    if faults and faults[0].reason:
        stack.grid = None
        stack.decide(
            Status.FAILED, faults[0].reason, f"{len(faults)} of {len(block.slices)} slices: {faults[0].detail}"
        )
    elif values.get("rows", 0) <= 0 or values.get("columns", 0) <= 0:
        stack.decide(Status.FAILED, Reason.DICOM_NO_PIXELS, "no image matrix")
    return stack


def _orientation(stack: Stack) -> tuple[int, ...]:
    """Which patient axis the normal follows most; localizers have all three in one series."""
    normal = axes_of(stack.slices[0])[:, 2]
    return tuple(int(abs(x) == max(abs(normal))) for x in normal)


def _are_all_small(stacks: list[Stack]) -> bool:
    most = 15  # a localizer has a few slices per plane, a diagnostic series in three planes has more
    return all(len(stack.slices) <= most for stack in stacks)


def _exclude(stack: Stack, is_three_plane: bool) -> None:
    """Set aside what is a sound image but none to measure; this goes before any fault of its geometry."""
    values = stack.values
    if values.get("burned_in", "").upper() == "YES":
        stack.decide(Status.EXCLUDED, Reason.PHI_DETECTED, "the header says that text is burned into the pixels")
    elif is_localizer(values) or is_three_plane:
        stack.set_aside(Reason.LOCALIZER, "a localizer")
    elif is_reformat(values):
        stack.set_aside(Reason.DERIVED_REFORMAT, "resampled from another image")
    elif stack.region.is_elsewhere:
        stack.set_aside(Reason.WRONG_BODY_PART, "the header states another body region")
    elif "MOSAIC" in values.get("image_type", []):
        stack.grid = None
        stack.decide(Status.EXCLUDED, Reason.FOURD_UNEXPECTED, "slices tiled into one image")
    elif not stack.contrast.is_anatomical and stack.status.is_usable:
        stack.set_aside(Reason.SEQ_UNKNOWN, stack.contrast.evidence)


def _settle_orphans(stacks: list[Stack]) -> list[Stack]:
    """Set stray slices aside and keep the main stack with a warning."""
    if len(stacks) < 2:
        return stacks
    main = max(stacks, key=lambda stack: len(stack.slices))
    limit = ORPHAN_FRAC * len(main.slices)
    orphans = [s for s in stacks if s is not main and len(s.slices) < limit and s.status is not Status.FAILED]
    if not orphans or (main.grid is None and main.reason is not Reason.SLICE_MISSING):
        return stacks
    detail = f"{sum(len(s.slices) for s in orphans)} stray slices of another matrix or orientation"
    kept = [main]
    if main.reason is Reason.SLICE_MISSING:
        numbers = count()
        kept = []
        for block in runs_around(Block(main.slices)):
            part = Stack(
                f"{main.key}|run{next(numbers)}", main.values, main.contrast, main.plane, block.slices,
                len({piece.path for piece in block.slices}), block.grid, block.status, block.reason, block.detail,
            )  # fmt: skip
            part.paths = {piece.path for piece in block.slices}
            kept.append(part)
    for stack in kept:
        if stack.status.is_usable:
            stack.decide(Status.WARN, Reason.MIXED_STACKS, detail)
    for stack in orphans:
        stack.decide(Status.EXCLUDED, Reason.MIXED_STACKS, "strays beside the main stack of the series")
    return [*kept, *(stack for stack in stacks if stack is not main)]


def _note_incomplete(stacks: list[Stack], values: Values) -> None:
    """Warn where the scanner announced more images than arrived."""
    announced = values.get("images_in_acquisition")
    n_slices = sum(len(stack.slices) for stack in stacks)
    usable = [stack for stack in stacks if stack.status is Status.OK]
    if announced and len(stacks) == 1 and usable and n_slices < announced and values.get("frame") is None:
        usable[0].decide(Status.WARN, Reason.SLICE_MISSING, f"{n_slices} of {announced:.0f} announced images are here")


def _is_identical(a: Slice, b: Slice) -> bool:
    """Compare all pixel bytes of two files; slices of one file are never copies of each other."""
    return a.path != b.path and pixel_hash(a) == pixel_hash(b)


class Pixels(Protocol):
    """Anything that says where pixels are."""

    @property
    def path(self) -> bytes:
        """The file."""

    @property
    def pixel_offset(self) -> int:
        """Where in it the pixels start (bytes)."""

    @property
    def pixel_sha256(self) -> str | None:
        """The hash of the pixels, if they were hashed when the file was read: in an archive, or deflated."""


def pixel_hash(piece: Pixels) -> str:
    """Hash everything from the start of the pixel data to the end of the file; an unreadable file matches none."""
    if piece.pixel_sha256 is not None:
        return piece.pixel_sha256
    hasher = hashlib.sha256()
    try:
        with open(piece.path, "rb") as handle:
            handle.seek(piece.pixel_offset)
            while chunk := handle.read(HASH_CHUNK):
                hasher.update(chunk)
    except OSError:
        return f"unreadable {piece.path.hex()}"
    return hasher.hexdigest()
