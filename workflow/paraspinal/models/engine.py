"""One door to every network that outlines muscles: the project's own, nnU-Net's, a MONAI bundle's.

The card says which kind a model is; whoever segments need not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import torch
from torch import Tensor

from paraspinal.core.errors import ModelError
from paraspinal.core.paths import RESOURCES
from paraspinal.models.card import ModelCard, read_card
from paraspinal.models.checkpoint import load_tensors
from paraspinal.models.foreign_card import check_foreign, kind_of
from paraspinal.models.inference import MuscleSegmenter, SegmentationResult, check_device, load_model
from paraspinal.models.registry import find, resolve

Array = npt.NDArray[np.float32]


class Identity(Protocol):
    """Which model it is."""

    @property
    def identifier(self) -> str:
        """``name@version``."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of the weights file, which holds everything that decides the result."""
        ...

    @property
    def card(self) -> ModelCard:
        """What the model says of itself."""
        ...


class Segmenter(Protocol):
    """Outlines muscles; build once, use for many scans."""

    @property
    def model(self) -> Identity:
        """The model the labels come from."""
        ...

    def segment(self, image: sitk.Image) -> SegmentationResult:
        """Return labels in exactly the grid of ``image``; an image that cannot be processed raises DataError."""
        ...


@dataclass(frozen=True)
class ForeignModel:
    """A verified model of another framework: weights in memory, card and device."""

    tensors: dict[str, Tensor]
    card: ModelCard
    sha256: str
    device: str

    @property
    def identifier(self) -> str:
        """``name@version``."""
        return f"{self.card.name}@{self.card.version}"


def load_muscles(identifier: str, device: str = "cpu", threads: int = 1, resources: Path = RESOURCES) -> Segmenter:
    """Load any registered muscles model, verified, ready to segment.

    Raises ModelError for one that is unknown, altered, meant for another task or does not fit its card.
    """
    entry = find(identifier, resources)
    if entry.task != "muscles":
        raise ModelError(f"{identifier} outlines no muscles", hint="name a model whose task is muscles")
    kind = kind_of(read_card(entry.card))
    if kind == "paraspinal":
        return MuscleSegmenter(load_model(identifier, device, threads, resources))
    model = load_foreign(identifier, device, threads, resources)
    if kind == "nnunet":
        from paraspinal.models.nnunet import NnUNetSegmenter

        return NnUNetSegmenter(model)
    from paraspinal.models.monai_engine import BundleSegmenter

    return BundleSegmenter(model)


def load_foreign(identifier: str, device: str, threads: int, resources: Path) -> ForeignModel:
    """Read a model that was added from another framework, after checking sha256, card and label order."""
    check_device(device)
    torch.set_num_threads(threads)
    entry = resolve(identifier, resources)
    card = read_card(entry.card)
    tensors, metadata = load_tensors(entry.weights)
    check_foreign(card, metadata)
    return ForeignModel(tensors, card, entry.sha256, device)


def fit(network: torch.nn.Module, tensors: dict[str, Tensor], device: str) -> torch.nn.Module:
    """Put weights into a network and make it ready; weights of another network raise ModelError."""
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError("the weights do not fit the network their description says") from error
    return network.float().to(device).eval()


def result_of(image: sitk.Image, probabilities: Array, card: ModelCard) -> SegmentationResult:
    """Turn probabilities (L, z, y, x) in the grid of ``image`` into labels and their mean entropy."""
    codes = np.array(card.codes, dtype=np.uint16)
    labels = codes[probabilities.argmax(axis=0)]
    spread = np.zeros(labels.shape, dtype=np.float32)
    for share in probabilities:
        spread -= share * np.log(np.maximum(share, 1e-7))
    spread /= np.log(len(probabilities))
    label_map = sitk.GetImageFromArray(np.ascontiguousarray(labels))
    label_map.CopyInformation(image)
    present = [int(code) for code in np.unique(labels) if code]
    return SegmentationResult(label_map, {code: float(spread[labels == code].mean()) for code in present}, {})
