"""Outline a single image with a named model, outside any workflow."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from paraspinal.core.errors import ModelError
from paraspinal.models.engine import load_muscles
from paraspinal.models.inference import load_model
from paraspinal.models.registry import find, known_models
from paraspinal.models.spine_inference import SpineNetwork
from paraspinal.vertebrae.spine import number_spine


def segment_image(image: sitk.Image, model: str, resources: Path, device: str, threads: int) -> sitk.Image:
    """Return the label map (uint16) of a 3-D image on exactly its grid.

    ``model`` is ``name@version``, or ``name`` where only one version is registered. Raises ModelError if there is no
    such model or more than one, DataError if the image cannot be processed.
    """
    identifier = _identifier(model, resources)
    if find(identifier, resources).task == "muscles":
        return load_muscles(identifier, device, threads, resources).segment(image).label_map
    answer = SpineNetwork(load_model(identifier, device, threads, resources)).answer(image)
    return number_spine(answer, image).label_map


def _identifier(model: str, resources: Path) -> str:
    if "@" in model:
        return model
    known = [entry.identifier for entry in known_models(resources) if entry.name == model]
    if len(known) != 1:
        every = ", ".join(entry.identifier for entry in known_models(resources))
        what = "no version" if not known else "more than one version"
        raise ModelError(f"there is {what} of model {model!r}", hint=f"registered: {every or 'none'}")
    return known[0]
