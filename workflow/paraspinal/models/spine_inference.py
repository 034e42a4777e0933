"""Show the spine of one image to the network: canonical sagittal slices in, its answer in the patient out.

What vertebrae it shows is decided from the answer, in `vertebrae`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from paraspinal.core.errors import DataError, ModelError
from paraspinal.core.imaging.slice_grid import SAGITTAL_FRAME, slice_grid
from paraspinal.core.vocab import Reason
from paraspinal.models.inference import LoadedModel, predict_slices
from paraspinal.models.input.spine_input import N_CHANNELS, network_inputs
from paraspinal.vertebrae.answer import SpineClass, answer_image

MIN_SLICE_STEP_MM = 3.0
"""Thinner slices are skipped: neighbours that close tell the network nothing new."""

COLUMN_REACH_MM, PROBE_MM = 62.0, 12.0
"""Half the width of what is looked at in full, a body with its pedicles and a curve of the column, and the distance of
the slices that tell where that is."""

MIN_EXTENT_MM = 64.0
"""An image smaller than this in the sagittal plane shows no column of vertebrae."""


@dataclass(frozen=True)
class SpineNetwork:
    """Looks at the spine of images; build once, use for many scans."""

    model: LoadedModel

    def __post_init__(self) -> None:
        """Raise ModelError for a network that expects to see something else."""
        if self.model.network.spec.n_inputs != N_CHANNELS:
            raise ModelError(f"{self.model.identifier} was made for another input", hint="use the shipped spine model")

    def answer(self, image: sitk.Image) -> sitk.Image:
        """Look at one image; see :func:`look_at_spine`."""
        return look_at_spine(self.model, image)


def look_at_spine(model: LoadedModel, image: sitk.Image) -> sitk.Image:
    """Say what is where in a 3-D image of any orientation that shows the spine, from the side or cut so.

    Returns the answer as `vertebrae.answer` describes it. The device is the model's. Raises DataError for an image that
    is no scalar volume, constant, or too small.
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
    return answer_image(grid, image, probabilities, heatmaps, int(chosen[0]), step)


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
