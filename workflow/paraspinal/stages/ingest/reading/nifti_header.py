"""Read the grid from a NIfTI-1 or NIfTI-2 header without a library, so that no library can print its path."""

# ruff: noqa: PTH123, PTH202
# Paths are bytes here, for a file name need not be text.

from __future__ import annotations

import gzip
import os
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from paraspinal.core.errors import DataError
from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.vocab import Reason

HEADER_BYTES = 552
GZIP_MAGIC = b"\x1f\x8b"
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
ORTHOGONAL_TOLERANCE = 1e-3
"""Axes count as perpendicular when their cosines are below this."""
AGREEMENT_MM = 0.5
"""The two transforms of a header agree when no corner of the image differs by more than this."""
COARSE_RATIO = 1.2
"""The slice axis is the one whose spacing is this much larger than the others' ..."""
FEW_RATIO = 0.5
"""... or, with equal spacings, the one with less than this share of the others' voxels."""


@dataclass(frozen=True)
class _Layout:
    """Formats and offsets of the fields of one header version; (code format, number format)."""

    dims: tuple[str, int]
    pixdim: tuple[str, int]
    codes: tuple[str, int]
    quaternion: tuple[str, int]
    rows: tuple[str, int]
    bits: tuple[str, int]
    offset: tuple[str, int]


_LAYOUTS = {
    348: _Layout(("8h", 40), ("8f", 76), ("2h", 252), ("6f", 256), ("12f", 280), ("h", 72), ("f", 108)),
    540: _Layout(("8q", 16), ("8d", 104), ("2i", 344), ("6d", 352), ("12d", 400), ("h", 14), ("q", 168)),
}


def read_grid(path: bytes) -> tuple[Grid, int]:
    """Read (grid, number of volumes), the grid's axes ordered so that the slice axis is last.

    Raises DataError for a cut, foreign, unoriented, sheared or self-contradicting header, OSError if unreadable.
    """
    raw = _raw(path)
    if len(raw) < 348:
        raise DataError(Reason.DICOM_TRUNCATED, "the NIfTI header is cut")
    order = next((o for o in "<>" if struct.unpack_from(o + "i", raw)[0] in _LAYOUTS), "")
    if not order:
        raise DataError(Reason.DICOM_UNREADABLE, "not a NIfTI header")
    layout = _LAYOUTS[struct.unpack_from(order + "i", raw)[0]]
    try:
        dims, pixdim, codes, quaternion, rows, (bits,), (offset,) = (
            struct.unpack_from(order + kind, raw, at) for kind, at in vars(layout).values()
        )
    except struct.error:
        raise DataError(Reason.DICOM_TRUNCATED, "the NIfTI header is cut") from None
    if not 2 <= dims[0] <= 7:
        raise DataError(Reason.DICOM_UNREADABLE, "not a NIfTI header")
    if dims[0] == 2 or dims[3] < 2:
        raise DataError(Reason.TOO_FEW_SLICES, "a single slice")
    size = tuple(int(x) for x in dims[1:4])
    affines = []
    if codes[1] > 0:
        affines.append(np.vstack([np.array(rows, dtype=np.float64).reshape(3, 4), [0, 0, 0, 1]]))
    if codes[0] > 0:
        affines.append(_from_quaternion(quaternion, pixdim))
    if not affines:
        raise DataError(Reason.NO_GEOMETRY, "the NIfTI header states no orientation")
    grids = [_grid(RAS_TO_LPS @ affine, size) for affine in affines]
    if np.abs(grids[0].corners_mm() - grids[-1].corners_mm()).max() > AGREEMENT_MM:
        raise DataError(Reason.AFFINE_MISMATCH, "the header's two orientations disagree")
    n_volumes = int(np.prod([max(1, x) for x in dims[4 : dims[0] + 1]]))
    is_packed = _start(path) == GZIP_MAGIC
    if not is_packed and os.path.getsize(path) < offset + int(np.prod(size)) * n_volumes * bits // 8:
        raise DataError(Reason.DICOM_TRUNCATED, "fewer voxels than the header states")
    return permuted(grids[0], slice_order(grids[0])), n_volumes


def slice_order(grid: Grid) -> tuple[int, int, int]:
    """Return the cyclic order of axes that puts the slice axis last."""
    spacing, size = np.array(grid.spacing_mm), np.array(grid.size)
    coarse, few = int(spacing.argmax()), int(size.argmin())
    axis = 2
    if spacing[coarse] > COARSE_RATIO * np.delete(spacing, coarse).max():
        axis = coarse
    elif size[few] < FEW_RATIO * np.delete(size, few).min():
        axis = few
    return ((axis + 1) % 3, (axis + 2) % 3, axis)


def permuted(grid: Grid, order: tuple[int, int, int]) -> Grid:
    """Return the grid with its axes in another order; the voxels stay where they are."""
    return Grid(
        size=tuple(grid.size[i] for i in order),  # type: ignore[arg-type]
        spacing_mm=tuple(grid.spacing_mm[i] for i in order),  # type: ignore[arg-type]
        origin_mm=grid.origin_mm,
        direction=tuple(float(x) for x in grid.axes[:, order].reshape(-1)),
    )


def _start(path: bytes) -> bytes:
    """Read the first two bytes of a file."""
    with open(path, "rb") as handle:
        return handle.read(2)


def _raw(path: bytes) -> bytes:
    if _start(path) != GZIP_MAGIC:
        with open(path, "rb") as handle:
            return handle.read(HEADER_BYTES)
    try:
        with gzip.open(path, "rb") as packed:
            return packed.read(HEADER_BYTES)
    except EOFError:
        raise DataError(Reason.DICOM_TRUNCATED, "the compressed file is cut") from None
    except (gzip.BadGzipFile, zlib.error):
        raise DataError(Reason.DICOM_UNREADABLE, "the compressed file is damaged") from None


def _from_quaternion(quaternion: tuple[float, ...], pixdim: tuple[float, ...]) -> np.ndarray:
    """Build the affine of the qform (NIfTI-1 standard, method 2)."""
    b, c, d, *offset = quaternion
    a = np.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    handedness = -1.0 if pixdim[0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.array([pixdim[1], pixdim[2], pixdim[3] * handedness])
    affine[:3, 3] = offset
    return affine


def _grid(affine: np.ndarray, size: tuple[int, ...]) -> Grid:
    axes = affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    if not np.isfinite(affine).all() or spacing.min() <= 0:
        raise DataError(Reason.BAD_SPACING, "a voxel spacing is zero")
    directions = axes / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > ORTHOGONAL_TOLERANCE:
        raise DataError(Reason.NO_GEOMETRY, "the axes are not perpendicular")
    return Grid(
        size=size,  # type: ignore[arg-type]
        spacing_mm=tuple(float(x) for x in spacing),  # type: ignore[arg-type]
        origin_mm=tuple(float(x) for x in affine[:3, 3]),  # type: ignore[arg-type]
        direction=tuple(float(x) for x in directions.reshape(-1)),
    )
