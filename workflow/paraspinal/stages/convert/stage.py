"""The convert stage: reads stacks through the private index, writes images that name nobody."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from paraspinal.core.errors import INPUT_HINT, DataError, InputError, MachineError
from paraspinal.core.files import write_json
from paraspinal.core.identity import BidsName
from paraspinal.core.imaging.geometry import Grid, same_grid
from paraspinal.core.imaging.images import read_image
from paraspinal.core.records.columns import GRID_NAMES
from paraspinal.core.records.items import per_item
from paraspinal.core.records.registry import shard_path
from paraspinal.core.records.schemas import CONVERT, SESSION_STACKS
from paraspinal.core.records.stage import Stage
from paraspinal.core.records.tables import Row
from paraspinal.core.records.work import Work
from paraspinal.core.vocab import Plane, Reason, Sequence, Status
from paraspinal.stages.convert.dcm2niix_tool import FLAGS, run_dcm2niix, tool_versions
from paraspinal.stages.convert.sources import StackFiles, read_index
from paraspinal.stages.convert.split import write_slices
from paraspinal.stages.convert.unpack import Unpacked
from paraspinal.stages.convert.values import check_values, is_unevenly_scaled

AGREEMENT_FRAC = 0.5
"""The converted grid may differ from the headers' by this share of the in-plane spacing; a wrong order, flip or slice
distance is off by a whole voxel at least."""
NIFTI_SOURCE = "nifti"
GZIP_CHUNK = 1 << 22
PLANE_LABELS = {
    Plane.AXIAL: "ax",
    Plane.SAGITTAL: "sag",
    Plane.CORONAL: "cor",
    Plane.OBLIQUE: "obl",
    Plane.UNKNOWN: "unk",
}
SUFFIXES = {
    Sequence.T1W: "T1w",
    Sequence.T2W: "T2w",
    Sequence.PDW: "PDw",
    Sequence.STIR: "T2w",
    Sequence.FLAIR: "FLAIR",
    Sequence.DIXON: "dixon",
    Sequence.OTHER: "MR",
    Sequence.UNKNOWN: "MR",
}
SIDECAR_NUMBERS = (
    "EchoTrainLength",
    "PixelBandwidth",
    "SpacingBetweenSlices",
    "SAR",
    "NumberOfAverages",
    "PercentSampling",
)
"""What is taken from dcm2niix's sidecar: plain numbers only, for text may hold anything."""
SIDECAR_COLUMNS = {
    "RepetitionTime": ("repetition_time_ms", 1e-3),
    "EchoTime": ("echo_time_ms", 1e-3),
    "InversionTime": ("inversion_time_ms", 1e-3),
    "FlipAngle": ("flip_angle_deg", 1.0),
    "MagneticFieldStrength": ("field_strength_t", 1.0),
    "SliceThickness": ("slice_thickness_mm", 1.0),
}
"""BIDS field, our column, and the factor to the BIDS unit (seconds)."""


def convert_stack(row: Row, work: Work) -> Row:
    """Turn one stack into a NIfTI image on the grid its headers state.

    Raises DataError when it cannot be converted or comes out on another grid, MachineError when files are gone.
    """
    index = work.once("index", lambda: read_index(work.results, work.settings.private_path, work.shard))
    files = index.get(row["stack_id"])
    if files is None:
        raise MachineError("the private index does not know this stack", hint=INPUT_HINT)
    grid = grid_of(row)
    folder = Path(tempfile.mkdtemp(prefix="paraspinal-"))
    try:
        files = work.once("unpacked", lambda: _unpacked(index, work)).lay_out(files, folder / "members")
        source_sha256 = files.sha256()
        array, sidecar = _voxels(files, grid, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    array = _checked(array)
    name = bids_name(row)
    sha256 = work.save_image(grid.image(array), name.path())
    write_json(work.results / name.path(".json"), _allowed(row, sidecar))
    work.record(name.path(".json"))
    return {**row, "image_path": name.path(), "image_sha256": sha256, "source_sha256": source_sha256}


def _unpacked(index: dict[str, StackFiles], work: Work) -> Unpacked:
    rows = SESSION_STACKS.read(shard_path(work.results, "ingest", work.shard))
    return Unpacked(index[row["stack_id"]] for row in rows if Status(row["status"]).is_usable)


def grid_of(row: Row) -> Grid:
    """Read the grid of a row; raises DataError if it has none."""
    if not row["size"]:
        raise DataError(Reason.NO_GEOMETRY, "the stack has no grid")
    size, spacing, origin, direction = (tuple(row[k]) for k in ("size", "spacing_mm", "origin_mm", "direction"))
    return Grid(size, spacing, origin, direction)


def bids_name(row: Row) -> BidsName:
    """Name the image of a stack: plane and stack in the acquisition label, what it shows in suffix and description."""
    sequence = Sequence(row["sequence"])
    description = row["dixon_part"] or ""
    if sequence is Sequence.STIR:
        description = "stir"
    elif row["is_fat_suppressed"]:
        description = "fatsat"
    acquisition = PLANE_LABELS[Plane(row["plane"])] + row["stack_id"]
    return BidsName(row["subject"], row["session"], acquisition, SUFFIXES[sequence], description)


def _voxels(files: StackFiles, grid: Grid, folder: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Read the voxels of a stack in the order of its grid, (z, y, x), with whatever sidecar the tool wrote."""
    if files.source == NIFTI_SOURCE:
        return onto(_read_nifti(files.paths[0], folder), grid), {}
    paths = files.paths
    if files.has_frames or is_unevenly_scaled(paths):
        paths = write_slices(files.slices, folder / "slices")
    image, sidecar = run_dcm2niix(paths, folder)
    array = onto(image, grid)
    check_values(paths, array)
    return array, sidecar


def _read_nifti(path: str, folder: Path) -> sitk.Image:
    """Read a NIfTI file through a link, so that no message of the library names it."""
    link = folder / ("image.nii.gz" if path.lower().endswith(".gz") else "image.nii")
    link.symlink_to(path)
    if not link.is_file():
        raise MachineError("an input file is gone", hint=INPUT_HINT)
    if link.suffix == ".gz":
        _check_gzip(link)
    try:
        return read_image(link)
    except InputError:
        raise DataError(Reason.DICOM_UNREADABLE, "the NIfTI file cannot be read") from None


def _check_gzip(path: Path) -> None:
    """Refuse a cut or damaged compressed file: the image library would fill the rest with zeros and say nothing."""
    try:
        with gzip.open(path, "rb") as packed:
            while packed.read(GZIP_CHUNK):
                pass
    except EOFError:
        raise DataError(Reason.DICOM_TRUNCATED, "the compressed file is cut") from None
    except (gzip.BadGzipFile, zlib.error):
        raise DataError(Reason.DICOM_UNREADABLE, "the compressed file is damaged") from None


def onto(image: sitk.Image, grid: Grid) -> np.ndarray:
    """Reorder the voxels of an image, by swapping and flipping axes only, to those of ``grid``; (z, y, x).

    Raises DataError (AFFINE_MISMATCH) when the image is not this grid up to axis order and direction.
    """
    found = Grid.of(image)
    cosines = grid.axes.T @ found.axes
    order = [int(axis) for axis in np.abs(cosines).argmax(axis=1)]
    if sorted(order) != [0, 1, 2]:
        raise DataError(Reason.AFFINE_MISMATCH, "the converted image is turned against its headers")
    array = sitk.GetArrayFromImage(image).transpose(2, 1, 0).transpose(order)
    first = [0, 0, 0]
    signs = []
    for axis, source in enumerate(order):
        sign = 1.0 if cosines[axis, source] > 0 else -1.0
        signs.append(sign)
        if sign < 0:
            array = np.flip(array, axis)
            first[source] = found.size[source] - 1
    moved = Grid(
        size=tuple(found.size[i] for i in order),  # type: ignore[arg-type]
        spacing_mm=tuple(found.spacing_mm[i] for i in order),  # type: ignore[arg-type]
        origin_mm=tuple(float(x) for x in found.to_world(np.array(first))),  # type: ignore[arg-type]
        direction=tuple(float(x) for x in (found.axes[:, order] * np.array(signs)).reshape(-1)),
    )
    if not same_grid(moved, grid, AGREEMENT_FRAC * min(grid.spacing_mm[:2])):
        raise DataError(Reason.AFFINE_MISMATCH, "the converted image lies elsewhere than its headers say")
    return np.ascontiguousarray(array.transpose(2, 1, 0))


def _checked(array: np.ndarray) -> np.ndarray:
    """Refuse an image without content; voxels without a number become 0, float64 becomes float32."""
    if array.dtype.kind == "f":
        array = np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
    if array.min() == array.max():
        raise DataError(Reason.CONSTANT_IMAGE, "every voxel has the same value")
    return array


def _allowed(row: Row, sidecar: dict[str, Any]) -> dict[str, Any]:
    """Pick the listed fields; everything else stays behind."""
    allowed: dict[str, Any] = {}
    for key in SIDECAR_NUMBERS:
        if isinstance(sidecar.get(key), int | float) and not isinstance(sidecar[key], bool):
            allowed[key] = sidecar[key]
    for key, (column, factor) in SIDECAR_COLUMNS.items():
        if row[column] is not None:
            allowed[key] = row[column] * factor
    allowed["Manufacturer"] = row["manufacturer"]
    allowed["ManufacturersModelName"] = row["scanner_model"]
    return {key: value for key, value in allowed.items() if value is not None}


STAGE = Stage(
    name="convert",
    module="paraspinal.stages.convert.stage",
    key=SESSION_STACKS.key,
    uses=(
        *("source", "content_digest", "plane", "sequence", "dixon_part", "is_fat_suppressed"),
        *("manufacturer", "scanner_model", *(column for column, _ in SIDECAR_COLUMNS.values())),
        *GRID_NAMES,
    ),
    makes=CONVERT,
    process=per_item(convert_stack),
    parameters=lambda settings: {"dcm2niix_arguments": " ".join(FLAGS)},
    tools=tool_versions,
)
