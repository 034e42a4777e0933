"""Segment and number the spine of one image: canonical sagittal slices, network, levels, and exactly back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from paraspinal.core.errors import DataError, ModelError
from paraspinal.core.labels import label_by_name
from paraspinal.core.vocab import LevelNumbering, Reason
from paraspinal.models.inference import LoadedModel, predict_slices
from paraspinal.models.input.preprocess import SAGITTAL_FRAME, SliceGrid, slice_grid
from paraspinal.models.input.spine_input import N_CHANNELS, PIXEL_MM, SpineClass, network_inputs
from paraspinal.vertebrae.bodies import SagittalStack
from paraspinal.vertebrae.numbering import DiscGeometry, LevelGeometry, SpineLevels, find_levels

MIN_SLICE_STEP_MM = 3.0
"""Thinner slices are skipped: neighbours that close tell the network nothing new."""

COLUMN_REACH_MM, PROBE_MM = 62.0, 12.0
"""Half the width of what is looked at in full, a body with its pedicles and a curve of the column, and the distance of
the slices that tell where that is."""

OWNER_REACH_MM = 34.0
"""A voxel of body or disc farther than this, within its slice, from the centre it is nearest to has no owner."""

MIN_EXTENT_MM = 64.0
"""An image smaller than this in the sagittal plane shows no column of vertebrae."""


@dataclass(frozen=True)
class SpineResult:
    """Vertebrae, discs, sacrum and canal of one image.

    ``label_map``: uint16 codes of the label registry in exactly the grid of the image; bodies and discs carry
    labels only where they have numbers. ``entropy``: per label code present, mean softmax entropy over its
    voxels, 0 (sure) .. 1 (no idea). Everything else as in `SpineLevels` (LPS mm, caudal first).
    """

    label_map: sitk.Image
    spine: SpineLevels
    entropy: dict[int, float]

    @property
    def levels(self) -> tuple[LevelGeometry, ...]:
        """Vertebrae from caudal to cranial."""
        return self.spine.levels

    @property
    def discs(self) -> tuple[DiscGeometry, ...]:
        """Discs from caudal to cranial."""
        return self.spine.discs

    @property
    def numbering(self) -> LevelNumbering:
        """How the vertebrae got their numbers."""
        return self.spine.numbering

    @property
    def lstv_suspected(self) -> bool:
        """Whether a lumbosacral transitional vertebra is suspected."""
        return self.spine.lstv_suspected


@dataclass(frozen=True)
class SpineSegmenter:
    """Segments and numbers the spine of sagittal images; build once, use for many scans."""

    model: LoadedModel

    def __post_init__(self) -> None:
        """Raise ModelError for a network that expects to see something else."""
        if self.model.network.spec.n_inputs != N_CHANNELS:
            raise ModelError(f"{self.model.identifier} was made for another input", hint="use the shipped spine model")

    def segment(self, image: sitk.Image) -> SpineResult:
        """Segment one image; see :func:`segment_spine`."""
        return segment_spine(self.model, image)


def segment_spine(model: LoadedModel, image: sitk.Image) -> SpineResult:
    """Segment a 3-D image of any orientation in which the spine is seen from the side or can be reformatted so.

    The device is the model's. Raises DataError for an image that is no scalar volume, constant, or too small.
    Finding no vertebra is not an error: the result then has no levels.
    """
    grid = slice_grid(image, SAGITTAL_FRAME)
    if min(n * mm for n, mm in zip(grid.native_shape[1:], grid.spacing_mm[1:], strict=True)) < MIN_EXTENT_MM:
        raise DataError(Reason.TOO_FEW_SLICES, "the image is too small in the sagittal plane")
    values = sitk.GetArrayViewFromImage(image)
    if not np.isfinite(values).all() or values.max() == values.min():
        raise DataError(Reason.CONSTANT_IMAGE, "the image has no contrast")
    slices = grid.to_slices(image)
    step = max(1, int(np.floor(MIN_SLICE_STEP_MM / grid.spacing_mm[0] + 1e-6)))
    chosen = np.arange((len(slices) - 1) % step // 2, len(slices), step)
    chosen = _near_column(model, slices, chosen, step, grid.spacing_mm[0])
    probabilities, heatmaps = predict_slices(model, network_inputs(slices, chosen, step))
    stack = sagittal_stack(grid, image, probabilities, heatmaps, int(chosen[0]), step)
    spine = find_levels(stack)
    classes, entropy = _to_native(grid, probabilities, chosen)
    labels = _label(grid, image, classes, spine)
    codes = np.unique(labels[labels > 0])
    mean_entropy = {int(code): float(entropy[labels == code].mean()) for code in codes}
    label_map = sitk.GetImageFromArray(np.ascontiguousarray(grid.axes.backward(labels)))
    label_map.CopyInformation(image)
    return SpineResult(label_map, spine, mean_entropy)


def _near_column(
    model: LoadedModel, slices: npt.NDArray[np.float32], chosen: npt.NDArray[np.int64], step: int, slice_mm: float
) -> npt.NDArray[np.int64]:
    """Of a volume much wider than the column, such as an axial stack, keep the slices around it.

    A look at few slices tells where: the middle is the median over what they show of bodies and sacrum. All slices are
    kept where they show none.
    """
    if (chosen[-1] - chosen[0]) * slice_mm <= 2 * COLUMN_REACH_MM:
        return chosen
    probe = chosen[:: max(1, round(PROBE_MM / (step * slice_mm)))]
    classes = predict_slices(model, network_inputs(slices, probe, step))[0].argmax(axis=1)
    bone = np.isin(classes, (SpineClass.VERTEBRAL_BODY, SpineClass.SACRUM)).sum(axis=(1, 2))
    if not bone.any():
        return chosen
    middle = probe[int(np.searchsorted(np.cumsum(bone), bone.sum() / 2))]
    near: npt.NDArray[np.int64] = chosen[np.abs(chosen - middle) * slice_mm <= COLUMN_REACH_MM]
    return near


def sagittal_stack(
    grid: SliceGrid,
    image: sitk.Image,
    probabilities: npt.NDArray[np.float32],
    heatmaps: npt.NDArray[np.float32],
    first: int,
    step: int,
) -> SagittalStack:
    """Place the network's answer in the patient: slices ``first``, ``first + step``, ... of the canonical grid."""
    corner = grid.point_mm(image, first, 0, 0)
    directions = []
    for point in (
        grid.point_mm(image, first + 1, 0, 0),
        grid.point_mm(image, first, 1, 0),
        grid.point_mm(image, first, 0, 1),
    ):
        directions.append((point - corner) / np.linalg.norm(point - corner))
    spacing = np.array([grid.spacing_mm[0] * step, PIXEL_MM, PIXEL_MM])
    rows = (grid.padding[0], grid.padding[0] + grid.inner[0] - 1)
    return SagittalStack(probabilities, heatmaps, spacing, np.stack(directions, axis=1), corner, rows)


def _to_native(
    grid: SliceGrid, probabilities: npt.NDArray[np.float32], chosen: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Interpolate probabilities to the native voxels, then take the largest; classes and entropy in canonical order."""
    classes = np.zeros(grid.native_shape, np.uint8)
    entropy = np.zeros(grid.native_shape, np.float32)
    step = int(chosen[1] - chosen[0]) if len(chosen) > 1 else 1
    for index in range(grid.native_shape[0]):
        if not chosen[0] - step < index < chosen[-1] + step:
            continue  # far from the column: background
        position = float(np.clip((index - chosen[0]) / step, 0, len(chosen) - 1))
        lower = int(position)
        share = np.float32(position - lower)
        canvas = probabilities[lower]
        if share > 0:
            canvas = (1 - share) * canvas + share * probabilities[lower + 1]
        spread = -(canvas * np.log(np.maximum(canvas, 1e-7))).sum(axis=0, keepdims=True) / np.log(len(canvas))
        box = grid.native_box(canvas.argmax(axis=0) > 0)  # between pixels of background no other class can win
        planes = grid.to_native_planes(np.concatenate([canvas, spread.astype(np.float32)]), box)
        classes[(index, *box)] = planes[:-1].argmax(axis=0)
        entropy[(index, *box)] = planes[-1]
    return classes, entropy


def _label(
    grid: SliceGrid, image: sitk.Image, classes: npt.NDArray[np.uint8], spine: SpineLevels
) -> npt.NDArray[np.uint16]:
    """Turn classes into codes: every body and disc voxel goes to the nearest centre within its slice.

    What lies nearest to S1 is sacrum, what lies nearest to a body beyond the names gets no code.
    """
    labels = np.zeros(classes.shape, np.uint16)
    labels[classes == SpineClass.CANAL] = label_by_name("spinal_canal").code
    if spine.numbering is LevelNumbering.UNRESOLVED:
        return labels
    labels[classes == SpineClass.SACRUM] = label_by_name("sacrum").code
    bodies = [(x.centre_mm, x.label) for x in spine.levels] + [(centre, None) for centre in spine.nameless_mm]
    discs = [(x.mid.point_mm, x.label) for x in spine.discs]
    for kind, centres in ((SpineClass.VERTEBRAL_BODY, bodies), (SpineClass.DISC, discs)):
        index = np.argwhere(classes == kind)
        if len(index) == 0 or not centres:
            continue
        points = index[:, 1:] * np.array(grid.spacing_mm[1:])
        where = np.array([_in_plane_mm(grid, image, point) for point, _ in centres])
        distance = np.linalg.norm(points[:, None] - where[None], axis=2)
        nearest = distance.argmin(axis=1)
        codes = np.array([code or 0 for _, code in centres], np.uint16)[nearest]
        codes[distance.min(axis=1) > OWNER_REACH_MM] = 0
        labels[tuple(index.T)] = codes
    return labels


def _in_plane_mm(grid: SliceGrid, image: sitk.Image, point_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Position of a point along the canonical rows and columns, mm from the first native pixel."""
    native = np.array(image.TransformPhysicalPointToContinuousIndex(point_mm.tolist()))[::-1][list(grid.axes.order)]
    for axis in range(3):
        if grid.axes.flipped[axis]:
            native[axis] = grid.native_shape[axis] - 1 - native[axis]
    position: npt.NDArray[np.float64] = native[1:] * np.array(grid.spacing_mm[1:])
    return position
