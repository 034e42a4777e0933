"""From the network's answer to the numbered spine of a scan: levels, and the label map in the grid of the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from paraspinal.core.imaging.slice_grid import SAGITTAL_FRAME, SliceGrid, slice_grid
from paraspinal.core.labels import label_by_name
from paraspinal.core.vocab import LevelNumbering
from paraspinal.vertebrae.answer import SpineClass
from paraspinal.vertebrae.discs import disc_areas_mm2
from paraspinal.vertebrae.numbering import DiscGeometry, LevelGeometry, SpineLevels, find_levels
from paraspinal.vertebrae.stack import stack_of

OWNER_REACH_MM = 34.0
"""A voxel of body or disc farther than this, within its slice, from the centre it is nearest to has no owner."""


@dataclass(frozen=True)
class NumberedSpine:
    """Vertebrae, discs, sacrum and canal of one scan.

    ``label_map``: uint16 codes of the label registry in exactly the grid of the scan; bodies and discs carry
    labels only where they have numbers. ``entropy``: per label code present, mean softmax entropy over its
    voxels, 0 (sure) .. 1 (no idea). ``disc_areas_mm2``: cross-section of every named disc by label code, None where
    it cannot be told. Everything else as in `SpineLevels` (LPS mm, caudal first).
    """

    label_map: sitk.Image
    spine: SpineLevels
    entropy: dict[int, float]
    disc_areas_mm2: dict[int, float | None]

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


def number_spine(answer: sitk.Image, image: sitk.Image) -> NumberedSpine:
    """Number what the network saw in a scan; ``answer`` as in `vertebrae.answer`, of ``image`` only the grid is used.

    The answer may be to a part of the image only. Finding no vertebra is not an error: the result then has no levels.
    """
    grid = slice_grid(image, SAGITTAL_FRAME)
    stack = stack_of(answer, grid)
    spine = find_levels(stack)
    first = round(float(grid.native_position(image, stack.origin_mm)[0]))
    step = round(float(stack.spacing_mm[0]) / grid.spacing_mm[0])
    seen = range(first, first + step * len(stack.probabilities), step)
    classes, entropy = _to_native(grid, stack.probabilities, seen)
    labels = _label(grid, image, classes, spine)
    codes = np.unique(labels[labels > 0])
    mean_entropy = {int(code): float(entropy[labels == code].mean()) for code in codes}
    label_map = sitk.GetImageFromArray(np.ascontiguousarray(grid.axes.backward(labels)))
    label_map.CopyInformation(image)
    near = _labelled(grid, seen)
    areas = disc_areas_mm2(grid.part(label_map, near.start, near.stop), spine.discs)
    return NumberedSpine(label_map, spine, mean_entropy, areas)


def _labelled(grid: SliceGrid, seen: range) -> range:
    """Native slices that get labels: those the network saw and, where it saw not every one, those beside them."""
    return range(max(0, seen.start - seen.step + 1), min(grid.native_shape[0], seen[-1] + seen.step))


def _to_native(
    grid: SliceGrid, probabilities: NDArray[np.float32], seen: range
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Interpolate probabilities to the native voxels, then take the largest; classes and entropy in canonical order."""
    classes = np.zeros(grid.native_shape, np.uint8)
    entropy = np.zeros(grid.native_shape, np.float32)
    for index in _labelled(grid, seen):
        position = float(np.clip((index - seen.start) / seen.step, 0, len(seen) - 1))
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


def _label(grid: SliceGrid, image: sitk.Image, classes: NDArray[np.uint8], spine: SpineLevels) -> NDArray[np.uint16]:
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
    in_plane_mm = np.array(grid.spacing_mm[1:])
    for kind, centres in ((SpineClass.VERTEBRAL_BODY, bodies), (SpineClass.DISC, discs)):
        index = np.argwhere(classes == kind)
        if len(index) == 0 or not centres:
            continue
        points = index[:, 1:] * in_plane_mm
        where = np.array([grid.native_position(image, point)[1:] for point, _ in centres]) * in_plane_mm
        distance = np.linalg.norm(points[:, None] - where[None], axis=2)
        nearest = distance.argmin(axis=1)
        codes = np.array([code or 0 for _, code in centres], np.uint16)[nearest]
        codes[distance.min(axis=1) > OWNER_REACH_MM] = 0
        labels[tuple(index.T)] = codes
    return labels
