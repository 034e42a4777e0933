"""Flags from the shape of the muscles in the label map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from paraspinal.core.imaging.geometry import Grid
from paraspinal.core.labels import muscles_among
from paraspinal.core.settings import QualitySettings
from paraspinal.core.vocab import Light, Muscle, Reason, Side
from paraspinal.stages.quality.flags import Flag

END_MM = 15.0
"""At both ends of a muscle its cross-section changes fast by nature; jumps are looked for farther inside."""


@dataclass(frozen=True)
class Shape:
    """One muscle in the label map: voxels per slice, the share of its largest component, centroid, contact."""

    voxels_per_slice: NDArray[np.int64]
    second_component_frac: float
    centroid_mm: NDArray[np.float64]
    touches_border: bool

    @classmethod
    def of(cls, labels: NDArray[np.unsignedinteger], grid: Grid, code: int, box: tuple[slice, ...]) -> Shape:
        """Look at the voxels of a label (z, y, x) inside its bounding box."""
        mask = labels[box] == code
        parts, _ = ndimage.label(mask, np.ones((3, 3, 3)))
        sizes = np.sort(np.bincount(parts.ravel())[1:])[::-1]
        start = np.array([s.start for s in box])
        centre = np.argwhere(mask).mean(axis=0) + start
        per_slice = np.zeros(labels.shape[0], dtype=np.int64)
        per_slice[box[0]] = mask.sum(axis=(1, 2))
        return cls(
            voxels_per_slice=per_slice,
            second_component_frac=float(sizes[1] / sizes.sum()) if sizes.size > 1 else 0.0,
            centroid_mm=grid.to_world(centre[::-1]),
            touches_border=any(s.start == 0 or s.stop == n for s, n in zip(box[1:], labels.shape[1:], strict=True)),
        )


def flags_of_shape(
    labels: NDArray[np.unsignedinteger], grid: Grid, codes: Iterable[int], settings: QualitySettings
) -> Iterator[Flag]:
    """Flag muscles that are missing, in pieces, on the wrong side, cut by the image or jumping between slices.

    ``labels`` is the muscle label map (z, y, x) on ``grid``, ``codes`` those of the muscles its model can draw.
    """
    shapes = {}
    for (muscle, side), code in muscles_among(codes).items():
        box = next(iter(ndimage.find_objects((labels == code).astype(np.uint8))), None)
        if box is None:
            yield Flag(Light.AMBER, Reason.SEG_EMPTY, "not found", muscle, side)
        else:
            shapes[muscle, side] = Shape.of(labels, grid, code, box)
    yield from _wrong_sides(shapes)
    for (muscle, side), shape in shapes.items():
        if shape.second_component_frac > settings.max_component_frac:
            detail = f"second piece {shape.second_component_frac:.0%}, limit {settings.max_component_frac:.0%}"
            yield Flag(Light.AMBER, Reason.SEG_IMPLAUSIBLE, detail, muscle, side)
        if shape.touches_border:
            yield Flag(Light.AMBER, Reason.FOV_TRUNCATED, "touches the border of the image", muscle, side)
        k, jump = largest_jump(shape.voxels_per_slice, grid.spacing_mm[2])
        if jump > settings.max_csa_jump_frac:
            detail = f"cross-section jumps {jump:.0%} at slice {k}, limit {settings.max_csa_jump_frac:.0%}"
            yield Flag(Light.AMBER, Reason.SEG_IMPLAUSIBLE, detail, muscle, side)


def largest_jump(areas: NDArray, spacing_mm: float) -> tuple[int, float]:
    """Find the largest change of cross-section between neighbouring slices, ends of the muscle left out.

    Returns the number (from 0) of the slice after the change and the change as a share of the mean of the two.
    """
    found = np.flatnonzero(areas)
    end = int(np.ceil(END_MM / spacing_mm))
    inner = areas[found[0] + end : found[-1] + 1 - end].astype(np.float64)
    if inner.size < 2:
        return 0, 0.0
    change = np.abs(np.diff(inner)) / np.maximum((inner[1:] + inner[:-1]) / 2, 0.5)
    worst = int(change.argmax())
    return int(found[0]) + end + worst + 1, float(change[worst])


def _wrong_sides(shapes: dict[tuple[Muscle, Side], Shape]) -> Iterator[Flag]:
    """A left muscle must lie to the left (LPS +x) of the middle of all pairs, and a right one to the right."""
    paired = [m for m in Muscle if all((m, side) in shapes for side in Side)]
    if not paired:
        return
    middle_x_mm = float(np.mean([shapes[m, side].centroid_mm[0] for m in paired for side in Side]))
    for (muscle, side), shape in shapes.items():
        offset_mm = (shape.centroid_mm[0] - middle_x_mm) * (1 if side is Side.LEFT else -1)
        if offset_mm <= 0:
            detail = f"centroid {-offset_mm:.0f} mm on the wrong side of the middle"
            yield Flag(Light.AMBER, Reason.SEG_IMPLAUSIBLE, detail, muscle, side)
