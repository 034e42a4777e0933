"""Networks of other frameworks: verified weights in memory, fitted into their layout, their answer as labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import torch
from torch import Tensor

from paraspinal.models.card import ModelCard, read_card
from paraspinal.models.device import check_device, put_weights
from paraspinal.models.external.external_card import check_foreign
from paraspinal.models.inference import SegmentationResult
from paraspinal.models.registry import resolve
from paraspinal.models.training.checkpoint import load_tensors

Array = npt.NDArray[np.float32]


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
    return put_weights(network, tensors, device, "the weights do not fit the network their description says")


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
