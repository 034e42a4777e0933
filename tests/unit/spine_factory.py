"""A painted subject as an image that spells out its own classes, and a network that reads them out of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import SimpleITK as sitk

from paraspinal.models import spine_inference
from paraspinal.models.inference import LoadedModel
from paraspinal.models.input.spine_input import N_CHANNELS
from paraspinal.models.network import NetworkSpec
from paraspinal.models.spine_inference import SpineNetwork
from paraspinal.models.synthesis.spine.painter import paint
from paraspinal.models.synthesis.spine.scene import Scene, Slice, Tissue, gaussians, sample_scene

PIXEL_MM = 2.0
SHAPE = (170, 120)
LATERAL_MM = np.arange(-16.0, 17.0, 4.0)
FRONT_MM, TOP_MM = -130.0, 190.0
SLICE_CODE = 10
"""The image holds class + 1 + 10 x (slice + 1), so that the imitated network knows which slice it is shown."""


class Truth:
    """A painted subject as an image that spells out its own classes, and the heatmaps that belong to it."""

    def __init__(self) -> None:
        self.scene: Scene = sample_scene(np.random.default_rng(0))
        chain = self.scene.chain
        rows, cols = np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij")
        points = np.stack([FRONT_MM + cols.ravel() * PIXEL_MM, TOP_MM - rows.ravel() * PIXEL_MM], 1).astype(np.float32)
        cut = Slice(self.scene, points)
        value, noise = np.ones(len(Tissue), np.float32), np.zeros((3, len(points)), np.float32)
        groups = (chain.lumbar, chain.lumbar[:1], np.array([chain.first_sacral]))
        classes, heatmaps = [], []
        for lateral in LATERAL_MM:
            away = np.full(len(points), lateral, np.float32)
            classes.append(paint(self.scene, cut, away, value, noise).classes.reshape(SHAPE))
            column = away - cut.sway
            heatmaps.append([gaussians(points, column, chain.centre_mm[g]).reshape(SHAPE) for g in groups])
        self.heatmaps = np.array(heatmaps, np.float32)
        coded = np.array(classes) + 1 + SLICE_CODE * (np.arange(len(LATERAL_MM)) + 1)[:, None, None]
        # Slices run to the patient's left, rows down, columns to the back.
        self.image = sitk.GetImageFromArray(coded.astype(np.float32))
        self.image.SetSpacing((PIXEL_MM, PIXEL_MM, 4.0))
        self.image.SetOrigin((LATERAL_MM[0], FRONT_MM, TOP_MM))
        self.image.SetDirection((0, 0, 1, 1, 0, 0, 0, -1, 0))

    def predict(self, _: LoadedModel, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Stand in for the network: (N, 1, H, W) coded slices to probabilities and heatmaps."""
        code = np.rint(inputs[:, 0]).astype(int)
        classes = np.where(code > 0, code % SLICE_CODE - 1, 0)
        heatmaps = np.zeros((len(code), 3, *code.shape[1:]), np.float32)
        for target, one in zip(heatmaps, code, strict=True):
            which = one.max() // SLICE_CODE - 1
            rows, cols = np.nonzero(one)
            target[:, rows.min() : rows.max() + 1, cols.min() : cols.max() + 1] = self.heatmaps[which]
        probabilities = 0.92 * (classes[:, None] == np.arange(5)[None, :, None, None]) + 0.016
        return probabilities.astype(np.float32), heatmaps


def as_they_are(slices: np.ndarray, chosen: np.ndarray, step: int) -> np.ndarray:
    """In place of the channels: the slices themselves."""
    return np.maximum(slices[chosen], 0.0)[:, None]


def model_of(n_inputs: int) -> LoadedModel:
    """Stand in for a model with so many channels."""
    network = SimpleNamespace(spec=NetworkSpec(n_inputs, n_classes=5, n_heatmaps=3))
    return cast("LoadedModel", SimpleNamespace(network=network, identifier="spine@0.0.0", sha256="5" * 64))


def network_of(truth: Truth, patch: pytest.MonkeyPatch, shown: list[int] | None = None) -> SpineNetwork:
    """A network that knows the truth; ``shown`` gets the number of slices of every look."""

    def predict(model: LoadedModel, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if shown is not None:
            shown.append(len(inputs))
        return truth.predict(model, inputs)

    patch.setattr(spine_inference, "predict_slices", predict)
    patch.setattr(spine_inference, "network_inputs", as_they_are)
    return SpineNetwork(model_of(N_CHANNELS))
