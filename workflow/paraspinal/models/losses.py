"""What training minimises."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

DICE_SMOOTHING = 1.0
"""Pixels added to both sides of the Dice ratio so that an absent class costs nothing when left empty."""

HEATMAP_PEAK_WEIGHT = 30.0
"""How much more a pixel at a heatmap's peak counts than one in the empty background."""

HEATMAP_WEIGHT = 10.0
"""Weight of the heatmap term, which is a mean over mostly empty pixels, against the class terms."""


def segmentation_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Add cross-entropy and soft Dice (over the whole batch, background left out).

    ``logits`` (N, L, H, W) float32, ``classes`` (N, H, W) int64.
    """
    entropy = functional.cross_entropy(logits, classes)
    probabilities = logits.softmax(dim=1)
    truth = functional.one_hot(classes, logits.shape[1]).permute(0, 3, 1, 2).to(probabilities.dtype)
    axes = (0, 2, 3)
    overlap = (probabilities * truth).sum(axes)
    total = probabilities.sum(axes) + truth.sum(axes)
    dice = (2.0 * overlap + DICE_SMOOTHING) / (total + DICE_SMOOTHING)
    return entropy + 1.0 - dice[1:].mean()


def heatmap_loss(logits: Tensor, heatmaps: Tensor) -> Tensor:
    """Mean squared error of the sigmoid, pixels near a peak weighing more; both (N, K, H, W)."""
    if heatmaps.shape[1] == 0:
        return logits.new_zeros(())
    weight = 1.0 + HEATMAP_PEAK_WEIGHT * heatmaps
    return HEATMAP_WEIGHT * torch.mean(weight * (logits.sigmoid() - heatmaps) ** 2)
