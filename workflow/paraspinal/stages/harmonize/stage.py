"""The harmonize stage: one row per scan, every usable stack in exactly one of them."""

from __future__ import annotations

import numpy as np

from paraspinal.core.identity import BidsName
from paraspinal.core.imaging.geometry import tilt_deg
from paraspinal.core.imaging.images import array_of, read_image
from paraspinal.core.records.columns import STATE_NAMES
from paraspinal.core.records.items import guarded
from paraspinal.core.records.schemas import CONVERT, HARMONIZE, SESSION_STACKS
from paraspinal.core.records.stage import Stage, versions
from paraspinal.core.records.tables import Row
from paraspinal.core.records.work import Work
from paraspinal.core.settings import Settings
from paraspinal.core.vocab import DixonPart, Plane, Reason, Sequence, Status
from paraspinal.stages.harmonize.integrity import Pair, check_pair
from paraspinal.stages.harmonize.pairing import DixonSet, dixon_sets, grid_of, is_one_grid
from paraspinal.stages.harmonize.scale import map_scale
from paraspinal.stages.harmonize.slopes import Slope

MIN_SLICES = 3
"""Fewer slices cover no level and give no spine."""
MAX_TILT_DEG = 45.0
"""Oblique slices closer than this to axial cut across the muscles."""
MAX_OWN_SPACING_MM = 5.0
MIN_OWN_EXTENT_MM = 100.0
"""Axial slices this close over this length show three vertebrae when looked at from the side."""
KEYS_AND_STATE = ("subject", "session", *STATE_NAMES)
KEPT = tuple(
    name for name in (*SESSION_STACKS.names, "image_path") if name in HARMONIZE.names and name not in KEYS_AND_STATE
)
"""Columns a scan shares with its main stack."""
MUSCLES, SPINE, NO_ROLE = "muscles", "spine", "none"
WEIGHTED = (Sequence.T1W, Sequence.T2W, Sequence.PDW, Sequence.FLAIR, Sequence.STIR)


def harmonize_session(rows: list[Row], work: Work) -> list[Row]:
    """Make the scans of a session from its converted stacks."""
    usable = [row for row in rows if Status(row["status"]).is_usable and row["image_path"]]
    dixon = [row for row in usable if row["sequence"] == Sequence.DIXON.value and row["dixon_part"]]
    scans: list[Row] = []
    for row in usable:
        if row not in dixon:
            scans.append(_single(row))
    for found in dixon_sets(dixon):
        scan = _dixon_scan(found)
        scans += guarded(lambda scan=scan, found=found: [_checked(scan, found, work)], [scan])  # type: ignore[misc]
    return [{**scan, "levels_from_same_image": levels_from_same_image(scan, scans)} for scan in scans]


def levels_from_same_image(scan: Row, scans: list[Row]) -> bool | None:
    """Whether a muscle scan has to find its vertebrae itself, and its slices lie close enough to show them."""
    if scan["role"] != MUSCLES:
        return None
    frame, n_slices, spacing_mm = scan["frame_of_reference_id"], scan["size"][2], scan["spacing_mm"][2]
    has_spine = frame is not None and any(
        other["role"] == SPINE and Status(other["status"]).is_usable and other["frame_of_reference_id"] == frame
        for other in scans
    )
    return not has_spine and spacing_mm <= MAX_OWN_SPACING_MM and n_slices * spacing_mm >= MIN_OWN_EXTENT_MM


def _base(row: Row, members: list[Row]) -> Row:
    """Fill the columns a scan shares with its main stack, its role, and what is known to be wrong so far."""
    kept = {name: row[name] for name in (*KEYS_AND_STATE, *KEPT)}
    name = BidsName.parse(row["image_path"].rsplit("/", 1)[-1].removesuffix(".nii.gz"))
    scan: Row = {
        **kept,
        "scan_id": name.derive(name.suffix, "").stem,
        "stack_ids": [member["stack_id"] for member in members],
        "image_path": row["image_path"],
        "image_sha256s": [member["image_sha256"] for member in members],
    }
    doubtful = [member for member in members if member["status"] == Status.WARN.value]
    if doubtful:
        scan.update({key: doubtful[0][key] for key in ("status", "reason_code", "detail")})
    role, reason, detail = _role(row)
    scan["role"] = role
    if reason:
        scan.update(status=Status.EXCLUDED.value, reason_code=reason.value, detail=detail)
    return scan


def _role(row: Row) -> tuple[str, Reason | None, str]:
    """What a scan is good for: (role, why for nothing, a few words)."""
    if row["size"][2] < MIN_SLICES:
        return NO_ROLE, Reason.TOO_FEW_SLICES, f"{row['size'][2]} slices"
    plane = Plane(row["plane"])
    if plane is Plane.SAGITTAL:
        return SPINE, None, ""
    if plane is Plane.AXIAL or (plane is Plane.OBLIQUE and tilt_deg(grid_of(row).normal) <= MAX_TILT_DEG):
        return MUSCLES, None, ""
    return NO_ROLE, Reason.WRONG_PLANE, f"{plane.value} slices show neither cross-sections nor levels"


def _warned(scan: Row, reason: Reason, detail: str) -> Row:
    """Withhold the fat infiltration of a scan for a reason; its size is measured all the same."""
    scan["fi_reason_code"] = reason.value
    if Status(scan["status"]).is_usable:
        scan.update(status=Status.WARN.value, reason_code=reason.value, detail=detail)
    return scan


def _single(row: Row) -> Row:
    scan = _base(row, [row])
    sequence = Sequence(row["sequence"])
    if row["is_fat_suppressed"]:
        scan["fi_reason_code"] = Reason.FATSUP_NO_FI.value
    elif sequence not in WEIGHTED:
        if scan["role"] == SPINE:
            scan["fi_reason_code"] = Reason.SEQ_UNKNOWN.value  # levels need no contrast class: nothing to warn of
        else:
            _warned(scan, Reason.SEQ_UNKNOWN, row["sequence_evidence"] or "the contrast is not known")
    return scan


def _dixon_scan(found: DixonSet) -> Row:
    main, parts = found.primary, found.parts
    members = [main, *(row for row in parts.values() if row is not main)]
    scan = _base(main, members)
    for part, column in (
        (DixonPart.WATER, "water_path"),
        (DixonPart.FAT, "fat_path"),
        (DixonPart.FAT_FRACTION, "fat_fraction_path"),
    ):
        scan[column] = parts[part]["image_path"] if part in parts else None
    return scan


def _checked(scan: Row, found: DixonSet, work: Work) -> Row:
    """Check the parts of a Dixon scan against each other; may read images."""
    main, parts = found.primary, found.parts
    if strays := [part.value for part, row in parts.items() if not is_one_grid(row, main)]:
        return _warned(
            scan, Reason.DIXON_GRID_MISMATCH, f"{', '.join(strays)} on another grid than {main['dixon_part']}"
        )
    images = {part: array_of(read_image(work.image_path(row["image_path"]))) for part, row in parts.items()}
    map_frac = None
    if DixonPart.FAT_FRACTION in images:
        scan["fat_fraction_scale"] = map_scale(images[DixonPart.FAT_FRACTION])
        map_frac = images[DixonPart.FAT_FRACTION] / np.float32(scan["fat_fraction_scale"])
    if absent := [part for part in (DixonPart.WATER, DixonPart.FAT) if part not in images]:
        if map_frac is not None:
            return scan
        return _warned(scan, Reason.DIXON_INCOMPLETE, _absence(absent, found))
    pair = Pair(
        images[DixonPart.WATER],
        images[DixonPart.FAT],
        tuple(main["spacing_mm"]),
        images.get(DixonPart.IN_PHASE),
        images.get(DixonPart.OPPOSED_PHASE),
        map_frac,
        Slope.of(parts[DixonPart.WATER]),
        Slope.of(parts[DixonPart.FAT]),
        main["repetition_time_ms"],
        main["flip_angle_deg"],
    )
    finding = check_pair(pair, work.settings.measure.min_subcutaneous_ff)
    scan |= finding.columns
    return _warned(scan, finding.reason, finding.detail) if finding.reason else scan


def _absence(absent: list[DixonPart], found: DixonSet) -> str:
    """Say which parts are missing, and which only because nobody can tell whose they are."""
    said = [
        f"no {part.value} image" + (": one fits this and another acquisition alike" if part in found.disputed else "")
        for part in absent
    ]
    return " and ".join(said)


def _parameters(settings: Settings) -> dict[str, float]:
    return {"min_subcutaneous_ff": settings.measure.min_subcutaneous_ff}


STAGE = Stage(
    name="harmonize",
    module="paraspinal.stages.harmonize.stage",
    key=CONVERT.key,
    uses=(
        *KEPT,
        *("image_sha256", "dixon_part", "acquisition_number", "acquisition_moment"),
        *("rescale_slope", "rescale_intercept", "rescale_varies", "scale_slope"),
    ),
    makes=HARMONIZE,
    process=harmonize_session,
    parameters=_parameters,
    tools=lambda: versions("SimpleITK", "scipy"),
)
