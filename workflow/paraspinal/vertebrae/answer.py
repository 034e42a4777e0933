"""What the spine network says of a scan, as one image: the last thing that needs the network, and all numbering needs.

A 4-D image of bytes: sagittal slices on the network's grid where they lie in the patient, and along the fourth axis
the probabilities of `SpineClass`, then the heatmaps of `Heatmap`, 255 being 1.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from paraspinal.core.imaging.slice_grid import PIXEL_MM, SliceGrid

Field = NDArray[np.float32]

FULL = 255
"""The byte that means 1. Of 446 end plates in 34 real volumes, rounding to bytes moves half by less than 0.001 mm, one
in a hundred by more than 0.13 mm and none by more than 0.31 mm; it changes no number."""


class SpineClass(IntEnum):
    """Classes of the segmentation head."""

    BACKGROUND = 0
    VERTEBRAL_BODY = 1
    DISC = 2
    SACRUM = 3
    CANAL = 4


class Heatmap(IntEnum):
    """Heatmaps of centres: of all lumbar bodies, of the last one above the sacrum, and of S1."""

    LUMBAR = 0
    LAST_LUMBAR = 1
    S1 = 2


def packed(probabilities: Field, heatmaps: Field) -> NDArray[np.uint8]:
    """Round probabilities (n, 5, H, W) and heatmaps (n, 3, H, W), both in [0, 1], to bytes (n, 8, H, W)."""
    return np.asarray(np.rint(np.concatenate([probabilities, heatmaps], axis=1) * FULL), dtype=np.uint8)


def unpacked(answer: NDArray[np.uint8]) -> tuple[Field, Field]:
    """Undo :func:`packed`: probabilities (n, 5, H, W) and heatmaps (n, 3, H, W)."""
    values = answer.astype(np.float32) / np.float32(FULL)
    return values[:, : len(SpineClass)], values[:, len(SpineClass) :]


def answer_image(
    grid: SliceGrid, image: sitk.Image, probabilities: Field, heatmaps: Field, first: int, step: int
) -> sitk.Image:
    """Lay the answer to slices ``first``, ``first + step``, ... of ``image``, cut sagittally, in the patient."""
    corner = grid.point_mm(image, first, 0, 0)
    ends = [grid.point_mm(image, first + k, j, i) for k, j, i in ((0, 0, 1), (0, 1, 0), (1, 0, 0))]
    direction = np.eye(4)
    direction[:3, :3] = np.stack([(end - corner) / np.linalg.norm(end - corner) for end in ends], axis=1)
    answer = sitk.GetImageFromArray(packed(probabilities, heatmaps).swapaxes(0, 1), isVector=False)
    answer.SetSpacing((PIXEL_MM, PIXEL_MM, grid.spacing_mm[0] * step, 1.0))
    answer.SetOrigin((*corner.tolist(), 0.0))
    answer.SetDirection(direction.ravel().tolist())
    return answer
