"""Run a network over an image larger than its patch, overlapping and weighted as nnU-Net does it.

One patch at a time in float32, always in the same order: the result depends on nothing but image and weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from paraspinal.models.device import on_device

Array = npt.NDArray[np.float32]

STEP_FRAC = 0.5
"""Patches advance by at most this share of their length."""

SIGMA_FRAC = 0.125
"""Width of the weight's Gaussian, as a share of the patch."""


def patch_starts(size: Sequence[int], patch: Sequence[int]) -> list[tuple[int, ...]]:
    """List the first voxels of evenly spread patches that cover ``size``, which is nowhere smaller than a patch."""
    starts = []
    for whole, part in zip(size, patch, strict=True):
        count = int(np.ceil((whole - part) / (part * STEP_FRAC))) + 1
        step = (whole - part) / (count - 1) if count > 1 else 0.0
        starts.append([int(np.round(step * i)) for i in range(count)])
    return list(product(*starts))


def patch_weight(patch: Sequence[int]) -> Array:
    """Weigh the middle of a patch above its rim: a Gaussian with its maximum 1, nowhere 0."""
    weight = np.zeros(tuple(patch))
    weight[tuple(n // 2 for n in patch)] = 1.0
    weight = ndimage.gaussian_filter(weight, [n * SIGMA_FRAC for n in patch], mode="constant", cval=0.0)
    weight /= weight.max()
    return np.asarray(np.maximum(weight, weight[weight > 0].min()), dtype=np.float32)


def sliding_logits(
    predict: Callable[[Tensor], Tensor], image: Array, patch: Sequence[int], n_classes: int, device: str
) -> Array:
    """Compute logits (L, *spatial) of an image (C, *spatial).

    A patch with one axis less than the image slides over every index of the first axis. Smaller images are padded
    with zeros on both sides. ``predict`` maps (1, C, *patch) to (1, L, *patch).
    """
    n_flat = image.ndim - 1 - len(patch)
    spatial = image.shape[1 + n_flat :]
    missing = [max(0, part - n) for n, part in zip(spatial, patch, strict=True)]
    margins = [(n // 2, n - n // 2) for n in missing]
    padded = np.pad(image, [(0, 0)] * (1 + n_flat) + margins)
    weight = torch.from_numpy(patch_weight(patch))
    total = torch.zeros(padded.shape[1 + n_flat :])
    logits = torch.zeros((n_classes, *padded.shape[1:]))
    windows = [
        tuple(slice(first, first + n) for first, n in zip(starts, patch, strict=True))
        for starts in patch_starts(padded.shape[1 + n_flat :], patch)
    ]
    with on_device(), torch.inference_mode():
        for window in windows:
            total[window] += weight
            for flat in product(*(range(n) for n in padded.shape[1 : 1 + n_flat])):
                where: tuple[Any, ...] = (slice(None), *flat, *window)
                part = torch.from_numpy(np.ascontiguousarray(padded[where]))[None]
                logits[where] += predict(part.to(device))[0].float().cpu() * weight
    inner = tuple(slice(before, before + n) for (before, _), n in zip(margins, spatial, strict=True))
    found: Array = (logits / total)[(slice(None),) * (1 + n_flat) + inner].numpy()
    return found
