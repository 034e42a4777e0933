"""Outline a single image with a named model, outside any workflow."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from paraspinal.core.errors import ModelError
from paraspinal.models.inference import MuscleSegmenter, load_model
from paraspinal.models.registry import find, list_models
from paraspinal.models.spine_inference import SpineSegmenter


def segment_image(image: sitk.Image, model: str, resources: Path, device: str, threads: int) -> sitk.Image:
    """Return the label map (uint16) of a 3-D image on exactly its grid.

    ``model`` is ``name@version``, or ``name`` where only one version is registered. Raises ModelError if there is no
    such model or more than one, DataError if the image cannot be processed.
    """
    identifier = _identifier(model, resources)
    loaded = load_model(identifier, device, threads, resources)
    task = find(identifier, resources).task
    segmenter = MuscleSegmenter(loaded) if task == "muscles" else SpineSegmenter(loaded)
    return segmenter.segment(image).label_map


def _identifier(model: str, resources: Path) -> str:
    if "@" in model:
        return model
    known = [entry.identifier for entry in list_models(resources) if entry.name == model]
    if len(known) != 1:
        every = ", ".join(entry.identifier for entry in list_models(resources))
        what = "no version" if not known else "more than one version"
        raise ModelError(f"there is {what} of model {model!r}", hint=f"registered: {every or 'none'}")
    return known[0]
