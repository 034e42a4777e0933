"""One door to every network that outlines muscles: the project's own, nnU-Net's, a MONAI bundle's.

The card says which kind a model is; whoever segments need not know.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import SimpleITK as sitk

from paraspinal.core.errors import ModelError
from paraspinal.core.paths import RESOURCES
from paraspinal.models.card import ModelCard, read_card
from paraspinal.models.external.external import load_foreign
from paraspinal.models.external.external_card import kind_of
from paraspinal.models.external.nnunet import NnUNetSegmenter
from paraspinal.models.inference import MuscleSegmenter, SegmentationResult, load_model
from paraspinal.models.input.muscle_input import Convention
from paraspinal.models.registry import find


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


def load_muscles(
    identifier: str,
    device: str = "cpu",
    threads: int = 1,
    resources: Path = RESOURCES,
    precision: str = "float32",
    convention: Convention | None = None,
) -> Segmenter:
    """Load any registered muscles model, verified, ready to segment; models of others compute in float32.

    ``convention`` says which fat belongs to the outlines, for models whose card lists conventions.
    Raises ModelError for one that is unknown, altered, meant for another task or does not fit its card.
    """
    entry = find(identifier, resources)
    if entry.task != "muscles":
        raise ModelError(f"{identifier} outlines no muscles", hint="name a model whose task is muscles")
    kind = kind_of(read_card(entry.card))
    if kind == "paraspinal":
        return MuscleSegmenter(load_model(identifier, device, threads, resources, precision), convention)
    if convention is not None:
        raise ModelError(f"{identifier} outlines by its own convention", hint="ask for none")
    model = load_foreign(identifier, device, threads, resources)
    if kind == "nnunet":
        return NnUNetSegmenter(model)
    from paraspinal.models.external.monai_engine import BundleSegmenter  # takes seconds to import

    return BundleSegmenter(model)
