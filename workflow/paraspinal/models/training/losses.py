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


def any_of(classes: tuple[int, ...]) -> int:
    """Encode "one of these classes" as a target: minus the sum of two to the power of each.

    For images in which some structures were never outlined: their background may be any of those.
    """
    return -sum(1 << index for index in classes)


def segmentation_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Add cross-entropy and soft Dice (over the whole batch, background left out).

    ``logits`` (N, L, H, W) float32, ``classes`` (N, H, W) int64. A target below zero stands for several classes (see
    `any_of`): the pixel then has to belong to any of them, and is left out of the Dice of those.
    ``classes`` may also be the share of each pixel every class fills, (N, L, H, W) floating point.
    """
    if classes.is_floating_point():
        return _share_loss(logits, classes.to(logits.dtype))
    is_known = classes >= 0
    has_sets = not bool(is_known.all())
    known = classes.clamp(min=0)
    probabilities = logits.softmax(dim=1)
    truth = functional.one_hot(known, logits.shape[1]).permute(0, 3, 1, 2).to(probabilities.dtype)
    if has_sets:
        allowed = _members(classes, logits.shape[1])
        log_shares = logits.log_softmax(dim=1)
        entropy = -torch.where(allowed, log_shares, -torch.inf).logsumexp(dim=1).mean()
        is_open = allowed & ~is_known[:, None]
        truth = torch.where(is_known[:, None], truth, 0.0)
        probabilities = torch.where(is_open, 0.0, probabilities)
    else:
        entropy = functional.cross_entropy(logits, classes)
    axes = (0, 2, 3)
    overlap = (probabilities * truth).sum(axes)
    total = probabilities.sum(axes) + truth.sum(axes)
    dice = (2.0 * overlap + DICE_SMOOTHING) / (total + DICE_SMOOTHING)
    return entropy + 1.0 - dice[1:].mean()


def _share_loss(logits: Tensor, shares: Tensor) -> Tensor:
    """Loss of shares; its Dice counts what prediction and truth have in common, so it is best where both are equal.

    The usual product of the two would be larger still for a prediction that rounds every share (Wang et al., MICCAI
    2023, "Dice semimetric losses").
    """
    entropy = -(shares * logits.log_softmax(dim=1)).sum(dim=1).mean()
    probabilities = logits.softmax(dim=1)
    axes = (0, 2, 3)
    overlap = torch.minimum(probabilities, shares).sum(axes)
    total = probabilities.sum(axes) + shares.sum(axes)
    dice = (2.0 * overlap + DICE_SMOOTHING) / (total + DICE_SMOOTHING)
    return entropy + 1.0 - dice[1:].mean()


def _members(classes: Tensor, n_classes: int) -> Tensor:
    """Which classes (N, L, H, W) a target allows: itself, or those of its set."""
    bits = torch.where(classes >= 0, 1 << classes.clamp(min=0), -classes)
    index = torch.arange(n_classes, device=classes.device).view(1, -1, 1, 1)
    return (bits[:, None] >> index) & 1 == 1


def heatmap_loss(logits: Tensor, heatmaps: Tensor) -> Tensor:
    """Mean squared error of the sigmoid, pixels near a peak weighing more; both (N, K, H, W)."""
    if heatmaps.shape[1] == 0:
        return logits.new_zeros(())
    weight = 1.0 + HEATMAP_PEAK_WEIGHT * heatmaps
    return HEATMAP_WEIGHT * torch.mean(weight * (logits.sigmoid() - heatmaps) ** 2)
