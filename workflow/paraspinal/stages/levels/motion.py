"""Whether the patient moved between two scans: one image laid on the other where both show the same tissue.

Mutual information needs no common contrast. A spine slab a few centimetres thick holds bodies, discs, canal and the
skin behind them, enough to tell a shift in all three directions; turns are not looked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from paraspinal.core.imaging.geometry import Grid

SAMPLES = 20_000
"""Voxels of the spine scan that are compared, evenly spread."""
SEED = 1
"""Samples are scattered a little around their places; the same way every time."""
BINS = 32
MIN_OVERLAP_MM = 60.0
"""With less of the spine in both scans along the body's axis a level could fit several places."""
STEP_MM = (4.0, 0.05)
"""First and last step of the search."""
ROUNDS = 60
STEP_SHRINK = 0.6
MIN_GAIN_FRAC = 0.01
"""A shift must make the images fit better by this share, or there is nothing to tell it by."""


def shift_mm(spine: sitk.Image, scan: sitk.Image) -> NDArray[np.float64] | None:
    """How far (LPS mm, (3,)) what is seen in ``scan`` lies from where ``spine`` shows it; zero where they agree.

    Both images are in one frame of reference. None where they share too little.
    """
    ends = [np.sort(grid.corners_mm()[:, 2])[[0, -1]] for grid in (Grid.of(spine), Grid.of(scan))]
    if min(ends[0][1], ends[1][1]) - max(ends[0][0], ends[1][0]) < MIN_OVERLAP_MM:
        return None
    fixed, moving = (sitk.Cast(image, sitk.sitkFloat32) for image in (spine, scan))
    search = sitk.ImageRegistrationMethod()
    search.SetMetricAsMattesMutualInformation(BINS)
    search.SetMetricSamplingStrategy(search.REGULAR)
    search.SetMetricSamplingPercentage(min(1.0, SAMPLES / fixed.GetNumberOfPixels()), SEED)
    search.SetInterpolator(sitk.sitkLinear)
    search.MetricUseFixedImageGradientFilterOff()  # gradients of whole images, where those at the samples will do
    search.MetricUseMovingImageGradientFilterOff()
    search.SetOptimizerAsRegularStepGradientDescent(*STEP_MM, ROUNDS, relaxationFactor=STEP_SHRINK)
    search.SetInitialTransform(sitk.TranslationTransform(3), inPlace=False)
    try:
        with _one_thread():
            before = search.MetricEvaluate(fixed, moving)
            found = search.Execute(fixed, moving)
    except RuntimeError as error:  # too few samples of one image lie inside the other
        if "samples" not in str(error):
            raise
        return None
    gain = before - search.GetMetricValue()  # the metric is minus the mutual information
    return np.asarray(found.GetParameters()) if gain > MIN_GAIN_FRAC * abs(before) else np.zeros(3)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums over several threads differ in the last digits from run to run; the metric takes the library's default."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
