"""From a native image to the canonical slices that networks see, and exactly back.

Canonical means: array axes (slice, row, column) along a chosen anatomical frame, in-plane pixels of
``PIXEL_MM``, padded with zeros. The way there is an axis permutation with flips (no interpolation)
followed by separable in-plane resampling; the way back interpolates probabilities in-plane and undoes
the permutation, so label maps land on the native grid voxel by voxel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from paraspinal.core.errors import DataError
from paraspinal.core.vocab import Reason

Array = npt.NDArray[np.float32]
Box = tuple[slice, slice]
"""Rows and columns."""

WHOLE: Box = (slice(None), slice(None))

PIXEL_MM = 2.0
"""In-plane pixel size the networks work at; a vertebral body is 12 to 17 pixels, a disc 3 to 6."""

# Anatomical direction (LPS: x left, y posterior, z superior) each canonical array axis follows.
AXIAL_FRAME = ((0, 0, 1), (0, 1, 0), (1, 0, 0))  # slices go up, rows to the back, columns to the left
SAGITTAL_FRAME = ((1, 0, 0), (0, 0, -1), (0, 1, 0))  # slices go left, rows down, columns to the back

STRIDE = 16  # canvases are multiples of the networks' coarsest pixel
MIN_SHAPE = (112, 144)  # smaller canvases are padded to what the networks were trained on


@dataclass(frozen=True)
class AxisMap:
    """Lossless map between native array axes (k, j, i) and canonical ones."""

    order: tuple[int, int, int]  # native array axis of each canonical axis
    flipped: tuple[bool, bool, bool]  # per canonical axis

    def forward(self, native: npt.NDArray) -> npt.NDArray:
        """Reorder a native array into the canonical frame (a view)."""
        return native.transpose(self.order)[self._directions()]

    def backward(self, canonical: npt.NDArray) -> npt.NDArray:
        """Undo :meth:`forward` (a view)."""
        return canonical[self._directions()].transpose([self.order.index(axis) for axis in range(3)])

    def _directions(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if is_flipped else 1) for is_flipped in self.flipped)


def axis_map(direction: tuple[float, ...], frame: tuple[tuple[int, ...], ...]) -> AxisMap:
    """Find the axes of an image that run closest to ``frame``.

    ``direction`` is SimpleITK's 3x3 cosine matrix (columns are the axes i, j, k in LPS). Of all
    permutations the one with the largest sum of |cosines| wins, so oblique images work.
    """
    cosines = np.array(frame, dtype=float) @ np.array(direction, dtype=float).reshape(3, 3)
    permutations = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    best = max(permutations, key=lambda p: sum(abs(cosines[a, p[a]]) for a in range(3)))
    # Image axis i, j, k is array axis 2, 1, 0.
    order = (2 - best[0], 2 - best[1], 2 - best[2])
    flipped = tuple(bool(cosines[a, best[a]] < 0) for a in range(3))
    return AxisMap(order, (flipped[0], flipped[1], flipped[2]))


@dataclass(frozen=True)
class SliceGrid:
    """How canonical slices of one image relate to its native voxels."""

    axes: AxisMap
    native_shape: tuple[int, int, int]  # canonical axis order, before in-plane resampling
    spacing_mm: tuple[float, float, float]  # same axes
    inner: tuple[int, int]  # rows, columns at PIXEL_MM
    padding: tuple[int, int]  # zeros before the first row and column
    canvas: tuple[int, int]  # rows, columns the network sees

    def to_slices(self, image: sitk.Image) -> Array:
        """Resample a scalar image into canonical slices (N, H, W) float32, zero outside."""
        volume = self.axes.forward(sitk.GetArrayViewFromImage(image)).astype(np.float32)
        rows = resampling_matrix(self.native_shape[1], self.spacing_mm[1], self.inner[0], PIXEL_MM)
        columns = resampling_matrix(self.native_shape[2], self.spacing_mm[2], self.inner[1], PIXEL_MM)
        slices = np.zeros((self.native_shape[0], *self.canvas), dtype=np.float32)
        slices[(slice(None), *self._window())] = rows @ volume @ columns.T
        return slices

    def to_native_planes(self, canvas: Array, box: Box = WHOLE) -> Array:
        """Interpolate fields (C, H, W) of a canonical slice to its native pixels in ``box`` (C, rows, columns)."""
        rows, columns = self._back
        return np.asarray(rows[box[0]] @ canvas[(slice(None), *self._window())] @ columns[box[1]].T, dtype=np.float32)

    def native_box(self, marked: npt.NDArray[np.bool_]) -> Box:
        """Smallest box of native pixels outside of which nothing depends on a ``marked`` pixel (H, W) of the canvas."""
        inner = marked[self._window()]
        spans = []
        for axis, matrix in enumerate(self._back):
            touched = np.flatnonzero((matrix[:, inner.any(axis=1 - axis)] > 0).any(axis=1))
            spans.append(slice(int(touched[0]), int(touched[-1]) + 1) if touched.size else slice(0, 0))
        return spans[0], spans[1]

    @cached_property
    def _back(self) -> tuple[Array, Array]:
        """Matrices that interpolate rows and columns of the network's grid to native pixels, in every slice."""
        rows = resampling_matrix(self.inner[0], PIXEL_MM, self.native_shape[1], self.spacing_mm[1], smooth=False)
        columns = resampling_matrix(self.inner[1], PIXEL_MM, self.native_shape[2], self.spacing_mm[2], smooth=False)
        return rows, columns

    def pixel_to_native(self, row: float, column: float) -> tuple[float, float]:
        """Map a canvas position (pixels) to the canonical-axis native index (row, column)."""
        result = []
        for axis, value in enumerate((row, column)):
            centred = (value - self.padding[axis] - (self.inner[axis] - 1) / 2) * PIXEL_MM
            result.append(centred / self.spacing_mm[axis + 1] + (self.native_shape[axis + 1] - 1) / 2)
        return result[0], result[1]

    def point_mm(self, image: sitk.Image, index: int, row: float, column: float) -> npt.NDArray[np.float64]:
        """Map a canvas position of slice ``index`` to LPS mm."""
        canonical = np.array([float(index), *self.pixel_to_native(row, column)])
        for axis in range(3):
            if self.axes.flipped[axis]:
                canonical[axis] = self.native_shape[axis] - 1 - canonical[axis]
        array_index = np.empty(3)
        array_index[list(self.axes.order)] = canonical
        return np.array(image.TransformContinuousIndexToPhysicalPoint([float(v) for v in array_index[::-1]]))

    def native_position(self, image: sitk.Image, point_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Map LPS mm to the canonical-axis native index (slice, row, column)."""
        index = image.TransformPhysicalPointToContinuousIndex(point_mm.tolist())
        position = np.array(index)[::-1][list(self.axes.order)]
        last = np.array(self.native_shape) - 1
        return np.asarray(np.where(self.axes.flipped, last - position, position), dtype=np.float64)

    def part(self, image: sitk.Image, first: int, stop: int) -> sitk.Image:
        """Cut an image on this grid to canonical slices ``first`` to ``stop - 1``; they keep their place."""
        if self.axes.flipped[0]:
            first, stop = self.native_shape[0] - stop, self.native_shape[0] - first
        kept = [slice(None)] * 3
        kept[2 - self.axes.order[0]] = slice(first, stop)
        part: sitk.Image = image[tuple(kept)]
        return part

    def _window(self) -> tuple[slice, slice]:
        (top, left), (height, width) = self.padding, self.inner
        return slice(top, top + height), slice(left, left + width)


def slice_grid(image: sitk.Image, frame: tuple[tuple[int, ...], ...] = AXIAL_FRAME, stride: int = STRIDE) -> SliceGrid:
    """Plan the canonical slices of a 3-D scalar image; another dimension or pixel type raises DataError."""
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise DataError(Reason.FOURD_UNEXPECTED, "the network needs one scalar volume")
    axes = axis_map(image.GetDirection(), frame)
    shape, spacing = image.GetSize()[::-1], image.GetSpacing()[::-1]
    native_shape = tuple(int(shape[a]) for a in axes.order)
    spacing_mm = tuple(float(spacing[a]) for a in axes.order)
    inner = tuple(max(1, int(np.ceil(native_shape[a] * spacing_mm[a] / PIXEL_MM))) for a in (1, 2))
    canvas = tuple(-(-max(n, low) // stride) * stride for n, low in zip(inner, MIN_SHAPE, strict=True))
    padding = tuple((c - n) // 2 for c, n in zip(canvas, inner, strict=True))
    return SliceGrid(
        axes,
        (native_shape[0], native_shape[1], native_shape[2]),
        (spacing_mm[0], spacing_mm[1], spacing_mm[2]),
        (inner[0], inner[1]),
        (padding[0], padding[1]),
        (canvas[0], canvas[1]),
    )


def resampling_matrix(n_from: int, mm_from: float, n_to: int, mm_to: float, smooth: bool = True) -> Array:
    """Build the (n_to, n_from) matrix that resamples a line of pixels onto another with the same centre.

    Linear interpolation; with ``smooth`` the triangle widens to the coarser pixel, which averages
    instead of skipping pixels when going down. Rows sum to one; outside, the edge pixel is repeated.
    """
    source = (np.arange(n_from) - (n_from - 1) / 2) * mm_from
    target = (np.arange(n_to) - (n_to - 1) / 2) * mm_to
    target = np.clip(target, source[0], source[-1])
    reach = max(mm_from, mm_to) if smooth else mm_from
    weights = np.maximum(0.0, 1.0 - np.abs(target[:, None] - source[None, :]) / reach)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)
