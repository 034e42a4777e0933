"""The bad inputs of the catalogue: each writes the files of one person and says what must become of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.vocab import DixonPart, Plane
from paraspinal.phantom.contrast import Weighting
from paraspinal.phantom.dicom import (
    Series,
    as_ct,
    as_document,
    as_report,
    as_secondary_capture,
    duplicate_file,
    empty_file,
    truncate_file,
    without_slice,
)
from paraspinal.phantom.dixon_exports import Export, dixon, files
from paraspinal.phantom.encodings import in_syntax
from paraspinal.phantom.parameters import AnatomyParameters
from paraspinal.phantom.vendors import SCANNERS, Protocol, Vendor, localizer, plain_series, spin_echo

from .bench import N_SLICES, PIXEL_MM, Bench, Person, axial_grid, moved

N = N_SLICES
OK, WARN, FAILED, EXCLUDED = "ok", "warn", "failed", "excluded"
Stack = tuple[str, str | None, int]
"""Status, reason and number of files of a row of the inventory."""


@dataclass(frozen=True)
class Scan:
    """What must become of a scan. ``area``, ``volume``, ``fi``: whether any metric row has one."""

    sequence: str = "T2w"
    role: str = "muscles"
    status: str = OK
    reason: str | None = None
    fi_reason: str | None = None
    area: bool = True
    volume: bool = True
    fi: bool = True
    flags: frozenset[str] = frozenset()
    """Reasons among the flags of the scan."""


SPINE = Scan(role="spine", area=False, volume=False, fi=False)
SIZE_ONLY = Scan(fi=False)


@dataclass(frozen=True)
class Expected:
    """The rows a person must have; ``loose`` are rows of files that belong to nobody."""

    stacks: list[Stack]
    scans: list[Scan] = field(default_factory=list)
    loose: list[Stack] = field(default_factory=list)


Case = Callable[[Person], Expected]


def clean(person: Person) -> Expected:
    """The bystander: nothing wrong, with levels."""
    person.save(person.sagittal(), "sag")
    person.save(person.axial(), "ax")
    return Expected([(OK, None, N), (OK, None, 13)], [Scan(), SPINE])


# empty folder; only garbage; README/DICOMDIR/hidden files among slices


def litter(person: Person) -> Expected:
    person.save(person.axial())
    (person.folder / "README").write_text("hello")
    (person.folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"no directory")
    (person.folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (person.folder / "broken.dcm").write_bytes(b"nothing of the kind")
    loose = [(EXCLUDED, "NOT_AN_IMAGE", 2), (EXCLUDED, "NOT_AN_IMAGE", 1), (FAILED, "DICOM_UNREADABLE", 1)]
    return Expected([(WARN, "DICOM_TRUNCATED", N)], [Scan(status=WARN, reason="DICOM_TRUNCATED")], loose)


def links(person: Person) -> Expected:
    """A loop, a link to nowhere, a pipe, and a file that is only a link."""
    saved = person.save(person.axial())
    (person.folder / "loop").symlink_to(person.folder)
    (person.folder / "nowhere.dcm").symlink_to(person.folder / "gone")
    os.mkfifo(person.folder / "pipe.dcm")
    target = person.folder.parent.parent / "stored elsewhere"
    saved[2].rename(target)
    saved[2].symlink_to(target)
    loose = [(FAILED, "DICOM_UNREADABLE", 1)]
    return Expected([(WARN, "DICOM_TRUNCATED", N)], [Scan(status=WARN, reason="DICOM_TRUNCATED")], loose)


# truncated slice; 10 bytes short; zero-byte slice; header cut


def truncated(person: Person) -> Expected:
    truncate_file(person.save(person.axial())[2])
    return Expected([(FAILED, "DICOM_TRUNCATED", N)])


def ten_bytes_short(person: Person) -> Expected:
    path = person.save(person.axial())[N - 1]
    path.write_bytes(path.read_bytes()[:-10])
    return Expected([(FAILED, "DICOM_TRUNCATED", N)])


def empty_slice(person: Person) -> Expected:
    empty_file(person.save(person.axial())[2])
    return Expected([(FAILED, "SLICE_MISSING", N - 1)], loose=[(FAILED, "DICOM_TRUNCATED", 1)])


def header_cut(person: Person) -> Expected:
    path = person.save(person.axial())[2]
    path.write_bytes(path.read_bytes()[:400])
    return Expected([(FAILED, "SLICE_MISSING", N - 1)], loose=[(FAILED, "DICOM_TRUNCATED", 1)])


# missing middle slice; irregular spacing; missing first or last slice


def middle_missing(person: Person) -> Expected:
    person.save(without_slice(person.images(person.axial()), 2))
    return Expected([(FAILED, "SLICE_MISSING", N - 1)])


def irregular(person: Person) -> Expected:
    items = person.images(person.axial())
    x, y, z = items[2].ImagePositionPatient
    items[2].ImagePositionPatient = [x, y, float(z) + 2.0]
    person.save(items)
    return Expected([(FAILED, "SLICE_IRREGULAR", N)])


def last_missing(person: Person) -> Expected:
    """Only what the others of the protocol have tells."""
    person.save(person.images(person.axial())[:-1])
    return Expected([(WARN, "SLICE_MISSING", N - 1)], [Scan(status=WARN, reason="SLICE_MISSING")])


# same file twice; series re-sent with new UIDs; same position with other pixels


def file_twice(person: Person) -> Expected:
    duplicate_file(person.save(person.axial())[1])
    return Expected([(WARN, "DUP_IDENTICAL", N + 1)], [Scan(status=WARN, reason="DUP_IDENTICAL")])


def resent(person: Person) -> Expected:
    person.save(person.axial(), "first")
    person.save(person.images(person.axial(), replace(person.visit, key="sent again")), "again")
    return Expected([(OK, None, N), (EXCLUDED, "DUP_IDENTICAL", N)], [Scan()])


def conflict(person: Person) -> Expected:
    items = person.images(person.axial())
    other = person.images(person.axial())[2]
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = person.visit.uid("other")
    other.PixelData = other.PixelData[::-1]
    person.save([*items, other])
    return Expected([(FAILED, "DUP_CONFLICT", N + 1)])


# five oblique disc stacks in one series; parallel groups with gaps

DISCS = ("L1_L2", "L2_L3", "L3_L4", "L4_L5", "L5_S1")
DISC_SCAN = Scan(volume=False)


def disc_grid(point_mm: np.ndarray, normal: np.ndarray) -> Grid:
    """Three slices in the plane of a disc, rows from right to left."""
    row = np.array([1.0, 0.0, 0.0])
    row -= (row @ normal) * normal
    row /= np.linalg.norm(row)
    axes = np.stack([row, np.cross(normal, row), normal], axis=1)
    columns, rows = 152, 112
    corner = point_mm - axes @ np.array([(columns - 1) * PIXEL_MM / 2, 128.0, 4.0])
    x, y, z = (float(v) for v in corner)
    return Grid((columns, rows, 3), (PIXEL_MM, PIXEL_MM, 4.0), (x, y, z), tuple(axes.ravel()))


def _groups(person: Person, grids: list[Grid]) -> Expected:
    person.save(person.sagittal(), "sag")
    items = []
    for number, grid in enumerate(grids):
        (image,) = person.bench.render(grid, Weighting.T2W)
        series = replace(moved(person.axial(), image, grid), first_instance=1 + 3 * number, thickness_mm=4.0)
        items += person.images(series)
    person.save(items, "discs")
    count = len(grids)
    return Expected([(OK, None, 13), *[(OK, None, 3)] * count], [SPINE, *[DISC_SCAN] * count])


def five_discs(person: Person) -> Expected:
    planes = person.bench.anatomy.disc_planes()
    return _groups(person, [disc_grid(planes[level].point_mm, planes[level].normal) for level in DISCS])


def parallel_groups(person: Person) -> Expected:
    planes = person.bench.anatomy.disc_planes()
    common = planes["L3_L4"].normal  # the discs beside it are tilted to it by less than the limit
    return _groups(person, [disc_grid(planes[level].point_mm, common) for level in DISCS[1:4]])


# 3-plane localizer; sagittal instead of axial


def three_planes(person: Person) -> Expected:
    views = {
        Plane.AXIAL: ((1, 0, 0), (0, 1, 0)),
        Plane.SAGITTAL: ((0, 1, 0), (0, 0, -1)),
        Plane.CORONAL: ((1, 0, 0), (0, 0, -1)),
    }
    planes = {}
    for plane, (row, column) in views.items():
        axes = np.stack([row, column, np.cross(row, column)], axis=1).astype(float)
        grid = Grid((32, 32, 1), (8.0, 8.0, 8.0), (0.0, 0.0, 0.0), tuple(axes.ravel()))
        planes[plane] = (grid, np.full((1, 32, 32), 0.5))
    person.save([ds for series in localizer(1, planes, person.vendor) for ds in person.images(series)])
    return Expected([(EXCLUDED, "LOCALIZER", 1)] * 3)


def sagittal_only(person: Person) -> Expected:
    person.save(person.sagittal())
    return Expected([(OK, None, 13)], [SPINE])


# two patients in one folder


def two_people(person: Person) -> Expected:
    """In one series of one study: refused, and nobody's."""
    items = person.images(person.axial())
    for ds in items[3:]:
        ds.PatientID, ds.PatientName = "CAT-other", "Case^other"
    person.save(items)
    return Expected([], loose=[(FAILED, "MIXED_PATIENTS", N)])


def flatmate(person: Person) -> Expected:
    """In the folder of another, each with a series: told apart."""
    person.folder = person.folder.with_name("clean") / "ax"
    person.save(person.axial())
    return Expected([(OK, None, N)], [Scan()])


# mixed matrix; one slice with reversed orientation


def mixed_matrix(person: Person) -> Expected:
    items = person.images(person.axial())
    grid = axial_grid(60.0, 1, (40, 30))
    odd = replace(moved(person.axial(), np.full((1, 30, 40), 0.5), grid), first_instance=N + 1)
    person.save([*items, *person.images(odd)])
    stacks = [(WARN, "MIXED_STACKS", N), (EXCLUDED, "MIXED_STACKS", 1)]
    return Expected(stacks, [Scan(status=WARN, reason="MIXED_STACKS")])


def reversed_slice(person: Person) -> Expected:
    items = person.images(person.axial())
    items[N - 1].ImageOrientationPatient = [-1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    person.save(items)
    stacks = [(WARN, "MIXED_STACKS", N - 1), (EXCLUDED, "MIXED_STACKS", 1)]
    return Expected(stacks, [Scan(status=WARN, reason="MIXED_STACKS")])


# Dixon

PARTS = (DixonPart.WATER, DixonPart.FAT, DixonPart.IN_PHASE, DixonPart.OPPOSED_PHASE)


def _dixon(person: Person, images: dict[DixonPart, np.ndarray], export: Export | None = None) -> list[Series]:
    return dixon(person.vendor, 5, axial_grid(), images, SCANNERS[person.vendor].field_strength_t, export)


def _save_dixon(person: Person, images: dict[DixonPart, np.ndarray], export: Export) -> None:
    series = _dixon(person, images, export)
    person.save(files(person.vendor, series, person.visit, SCANNERS[person.vendor], export))


DIXON = Scan("dixon")


def dixon_series_by_series(person: Person) -> Expected:
    _save_dixon(person, person.bench.dixon, Export.SEPARATE)
    return Expected([(OK, None, N)] * 4, [DIXON])


def dixon_in_one_series(person: Person) -> Expected:
    person.vendor = Vendor.PHILIPS
    _save_dixon(person, person.bench.dixon, Export.ONE_SERIES)
    return Expected([(OK, None, N)] * 4, [DIXON])


def dixon_multi_frame(person: Person) -> Expected:
    person.vendor = Vendor.PHILIPS
    _save_dixon(person, person.bench.dixon, Export.ENHANCED)
    return Expected([(OK, None, 0)] * 3 + [(OK, None, 1)], [DIXON])


def _doubtful(reason: str) -> Scan:
    return Scan("dixon", status=WARN, reason=reason, fi_reason=reason, fi=False)


def _pair(person: Person) -> dict[DixonPart, np.ndarray]:
    return {part: person.bench.dixon[part] for part in (DixonPart.WATER, DixonPart.FAT)}


def dixon_without_fat(person: Person) -> Expected:
    _save_dixon(person, {DixonPart.WATER: person.bench.dixon[DixonPart.WATER]}, Export.SEPARATE)
    return Expected([(OK, None, N)], [_doubtful("DIXON_INCOMPLETE")])


def dixon_on_two_grids(person: Person) -> Expected:
    water, fat = _dixon(person, _pair(person), Export.SEPARATE)
    grid = axial_grid()
    x, y, z = grid.origin_mm
    person.save(water)
    person.save(replace(fat, grid=replace(grid, origin_mm=(x + 6.0, y, z))))
    return Expected([(OK, None, N)] * 2, [_doubtful("DIXON_GRID_MISMATCH")])


def dixon_swapped(person: Person) -> Expected:
    pair = _pair(person)
    swapped = {DixonPart.WATER: pair[DixonPart.FAT], DixonPart.FAT: pair[DixonPart.WATER]}
    _save_dixon(person, swapped, Export.SEPARATE)
    return Expected([(OK, None, N)] * 2, [_doubtful("DIXON_SWAP_SUSPECTED")])


def dixon_slope_on_one_part(person: Person) -> Expected:
    water, fat = _dixon(person, _pair(person), Export.SEPARATE)
    person.save(water)
    person.save(replace(fat, parts=(replace(fat.parts[0], slope=1.6),)))
    return Expected([(OK, None, N)] * 2, [_doubtful("DIXON_SCALE_MISMATCH")])


# STIR / fat-suppressed T2


def stir(person: Person) -> Expected:
    person.save(person.axial(weight=Weighting.STIR))
    return Expected([(OK, None, N)], [Scan("STIR", fi_reason="FATSUP_NO_FI", fi=False)])


def fat_saturated(person: Person) -> Expected:
    image = person.bench.axial[Weighting.STIR]
    person.save(plain_series(person.vendor, Protocol.T2_FATSAT, Plane.AXIAL, 3, axial_grid(), image))
    return Expected([(OK, None, N)], [Scan(fi_reason="FATSUP_NO_FI", fi=False)])


# two echoes; 4D dynamic; single slice


def two_echoes(person: Person) -> Expected:
    early = spin_echo(person.vendor, Weighting.T2W, Plane.AXIAL, 3, axial_grid(), person.bench.axial[Weighting.T1W])
    part = replace(early.parts[0], te_ms=20.0)
    late = person.axial().parts[0]
    person.save(replace(early, parts=(part, late)))
    return Expected([(OK, None, N)] * 2, [Scan(), Scan("PDw", fi=False)])


def dynamic(person: Person) -> Expected:
    items = []
    for time in range(6):
        for ds in person.images(replace(person.axial(), first_instance=1 + N * time)):
            ds.TemporalPositionIdentifier = time + 1
            ds.PixelData = np.roll(np.frombuffer(ds.PixelData, np.uint16), time).tobytes()
            items.append(ds)
    person.save(items)
    return Expected([(EXCLUDED, "FOURD_UNEXPECTED", 6 * N)])


def single_slice(person: Person) -> Expected:
    person.save(person.images(person.axial())[:1])
    return Expected([(EXCLUDED, "TOO_FEW_SLICES", 1)])


# no position/orientation; spacing 0; constant image; CT, screenshot, PDF, SR


def no_place(person: Person) -> Expected:
    items = person.images(person.axial())
    for ds in items:
        del ds.ImagePositionPatient
    person.save(items)
    return Expected([(FAILED, "NO_GEOMETRY", N)])


def no_spacing(person: Person) -> Expected:
    items = person.images(person.axial())
    for ds in items:
        ds.PixelSpacing = [0, 0]
    person.save(items)
    return Expected([(FAILED, "BAD_SPACING", N)])


def constant(person: Person) -> Expected:
    person.save(moved(person.axial(), np.full((N, 112, 152), 0.5), axial_grid()))
    return Expected([(FAILED, "CONSTANT_IMAGE", N)])


def no_images_of_mr(person: Person) -> Expected:
    person.save([as_ct(ds) for ds in person.images(person.axial(3))], "ct")
    person.save([as_secondary_capture(person.images(person.axial(4))[0])], "screen")
    person.save([as_document(person.images(person.axial(5))[0])], "pdf")
    person.save([as_report(person.images(person.axial(6))[0])], "sr")
    stacks = [(EXCLUDED, "NOT_MR", N), (EXCLUDED, "NOT_MR", 1)]
    return Expected(stacks, loose=[(EXCLUDED, "NOT_AN_IMAGE", 1)] * 2)


def screenshot_of_mr(person: Person) -> Expected:
    shot = as_secondary_capture(person.images(person.axial())[0])
    shot.Modality = "MR"
    person.save([shot])
    return Expected([(EXCLUDED, "SECONDARY_CAPTURE", 1)])


# RLE, J2K, JPEG-LS, deflated, big-endian; hostile PatientIDs


def _encoded(syntax: str) -> Case:
    def case(person: Person) -> Expected:
        items = person.images(person.axial())
        for ds in items:
            assert isinstance(ds, FileDataset)
            ds.SpecificCharacterSet = "ISO_IR 192"
            in_syntax(ds, syntax)
        person.save(items)
        return Expected([(OK, None, N)], [Scan()])

    return case


def unreadable_compression(person: Person) -> Expected:
    items = person.images(person.axial())
    for ds in items:
        assert isinstance(ds, FileDataset)
        in_syntax(ds, "1.2.840.10008.1.2.4.201")
        ds.PixelData = b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\x00\xe0\x04\x00\x00\x00abcd\xfe\xff\xdd\xe0\0\0\0\0"
        ds["PixelData"].is_undefined_length = True
    person.save(items)
    return Expected([(FAILED, "DICOM_UNSUPPORTED_TS", N)])


# cervical spine, knee, scoliosis, transitional vertebra, metal, cropped field of view


def elsewhere(person: Person) -> Expected:
    """By what the header says: of the neck in the coded region, of the knee in words alone."""
    visit = replace(person.visit, study_description="MRI")
    neck = replace(person.axial(3), body_part="CSPINE", description="t2_tse_tra", protocol="t2_tse_tra")
    person.save(person.images(neck, visit), "neck")
    knee = replace(person.axial(4, Weighting.T1W), body_part="", description="t1_tse_tra", protocol="Knee routine")
    person.save(person.images(knee, visit), "knee")
    return Expected([(EXCLUDED, "WRONG_BODY_PART", N)] * 2)


def metal(person: Person) -> Expected:
    """A void around a screw, with a bright rim."""
    grid = axial_grid()
    image = person.bench.axial[Weighting.T2W].copy()
    x = (np.arange(grid.size[0]) * PIXEL_MM + grid.origin_mm[0])[None, :]
    y = (np.arange(grid.size[1]) * PIXEL_MM + grid.origin_mm[1])[:, None]
    distance = np.hypot(x - 18, y - 45)
    image[1:4, distance < 33] = 2.0
    image[1:4, distance < 28] = 0.0
    person.save(moved(person.axial(), image, grid))
    return Expected([(OK, None, N)], [Scan(flags=frozenset({"OUTLIER"}))])


def cropped(person: Person) -> Expected:
    grid = axial_grid()
    x, y, z = grid.origin_mm
    cut = replace(grid, size=(50, 60, N), origin_mm=(x + 51 * PIXEL_MM, y + 35 * PIXEL_MM, z))
    person.save(moved(person.axial(), person.bench.axial[Weighting.T2W][:, 35:95, 51:101], cut))
    return Expected([(OK, None, N)], [Scan(flags=frozenset({"FOV_TRUNCATED"}))])


def scoliosis(person: Person) -> Expected:
    person.save(person.sagittal(), "sag")
    person.save(person.axial(), "ax")
    return Expected([(OK, None, N), (OK, None, 13)], [Scan(flags=frozenset({"OUTLIER"})), SPINE])


def transitional(person: Person) -> Expected:
    """Six lumbar vertebrae above a sound sacrum: without ribs in view nothing tells them from five and a T12."""
    person.save(person.sagittal(), "sag")
    person.save(person.axial(), "ax")
    return Expected([(OK, None, N), (OK, None, 13)], [Scan(), SPINE])


ROWS: dict[str, tuple[Case, ...]] = {
    "empty folder; only garbage; README/DICOMDIR/hidden files among slices": (litter, links),
    "truncated slice; 10 bytes short; zero-byte slice; header cut": (
        truncated, ten_bytes_short, empty_slice, header_cut,
    ),
    "missing middle slice; irregular spacing": (middle_missing, irregular),
    "missing first or last slice": (last_missing,),
    "same file twice; series re-sent with new UIDs; same position with other pixels": (file_twice, resent, conflict),
    "five oblique disc stacks in one series; parallel groups with gaps": (five_discs, parallel_groups),
    "3-plane localizer; sagittal instead of axial": (three_planes, sagittal_only),
    "two patients in one folder": (two_people, flatmate),
    "mixed matrix; one slice with reversed orientation": (mixed_matrix, reversed_slice),
    "Dixon in every form, and with a part missing, on two grids, swapped, scaled": (
        dixon_series_by_series, dixon_in_one_series, dixon_multi_frame, dixon_without_fat, dixon_on_two_grids,
        dixon_swapped, dixon_slope_on_one_part,
    ),
    "STIR / fat-suppressed T2": (stir, fat_saturated),
    "two echoes; 4D dynamic; single slice": (two_echoes, dynamic, single_slice),
    "no position/orientation; spacing 0; constant image; CT, screenshot, PDF, SR": (
        no_place, no_spacing, constant, no_images_of_mr, screenshot_of_mr,
    ),
    "RLE, J2K, JPEG-LS, deflated, big-endian": (unreadable_compression,),
    "cervical spine, knee, scoliosis, transitional vertebra, metal, cropped field of view": (
        elsewhere, metal, cropped, scoliosis, transitional,
    ),
}  # fmt: skip
"""The bad inputs by their row in the table."""

HOSTILE = {
    "../../evil": RLELossless,
    "a;rm -rf ~; $(id)": JPEG2000Lossless,
    "Zoë 山": DeflatedExplicitVRLittleEndian,
    "Q" * 200: ExplicitVRBigEndian,
    "": ImplicitVRLittleEndian,
}
"""Identifiers that try something, each in an encoding of its own: two rows of the table at once."""

OTHER_BODIES = {
    scoliosis: AnatomyParameters(scoliosis_deg=25.0),
    transitional: AnatomyParameters(n_lumbar=6),
}
"""Cases that need an anatomy of their own."""


@dataclass
class Catalogue:
    """Everybody of the catalogue with what must become of them."""

    people: dict[str, tuple[Person, Expected]] = field(default_factory=dict)

    def add(self, name: str, case: Case, folder: Path, bench: Bench, patient_id: str | None = None) -> None:
        """Write one person's files."""
        person = Person(name, folder / name, bench)
        if patient_id is not None:
            person.patient_id = patient_id
        self.people[name] = (person, case(person))


NAMES = ("clean", *(case.__name__ for cases in ROWS.values() for case in cases), *(f"hostile{k}" for k in range(5)))


def write_catalogue(folder: Path) -> Catalogue:
    """Write everybody below a folder."""
    made, bench = Catalogue(), Bench()
    for case in (clean, *(case for cases in ROWS.values() for case in cases)):
        body = OTHER_BODIES.get(case)
        made.add(case.__name__, case, folder, Bench(body) if body else bench)
    for number, (patient_id, syntax) in enumerate(HOSTILE.items()):
        made.add(f"hostile{number}", _encoded(syntax), folder, bench, patient_id)
    return made


def write_bystander(folder: Path) -> None:
    """Write the one sound person alone, with the same images."""
    clean(Person("clean", folder / "clean", Bench()))
