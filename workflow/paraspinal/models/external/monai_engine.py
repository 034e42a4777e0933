"""Segment with a MONAI bundle: its transforms, its network, and the way back by MONAI's own inverses."""

from __future__ import annotations

from typing import Any

import monai.networks.nets as nets
import monai.transforms as transforms
import numpy as np
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer, SliceInferer, SlidingWindowInferer

from paraspinal.core.errors import ModelError
from paraspinal.models.device import on_device
from paraspinal.models.external.external import ForeignModel, fit, result_of
from paraspinal.models.external.monai_bundle import NETWORKS, TRANSFORMS
from paraspinal.models.inference import SegmentationResult
from paraspinal.models.input.volume import require_anatomy

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

AXIS_LABELS = (("L", "R"), ("P", "A"), ("I", "S"))
"""Names of the directions of RAS axes; MONAI wants them said."""

_INFERERS = {"SlidingWindowInferer": SlidingWindowInferer, "SliceInferer": SliceInferer}


class BundleSegmenter:
    """Segments images of any orientation with the network of one bundle."""

    def __init__(self, model: ForeignModel) -> None:
        self.model = model
        said = model.card.network
        self._network = fit(build_bundle_network(said["network"]), model.tensors, model.device)
        self._transforms = [_transform(step) for step in said["transforms"]]
        self._inferer = _inferer(said["inferer"])

    def segment(self, image: sitk.Image) -> SegmentationResult:
        """Return labels in exactly the grid of ``image``; an image without contrast or anatomy raises DataError."""
        require_anatomy(image)
        return result_of(image, self.probabilities(image), self.model.card)

    def probabilities(self, image: sitk.Image) -> np.ndarray:
        """Compute class probabilities (L, z, y, x) float32 in the voxels of ``image``."""
        ready = meta_tensor(image)
        for step in self._transforms:
            ready = step(ready)
        with on_device(), torch.inference_mode():
            logits = self._inferer(ready.as_tensor()[None].to(self.model.device), self._network)
            shares = logits[0].float().softmax(dim=0).cpu()
        found = MetaTensor(shares.clone(), affine=ready.affine, applied_operations=ready.applied_operations)
        for step in reversed(self._transforms):
            if isinstance(step, transforms.InvertibleTransform):
                found = step.inverse(found)
        array: np.ndarray = found.as_tensor().numpy().transpose(0, 3, 2, 1)
        return np.ascontiguousarray(array, dtype=np.float32)


def meta_tensor(image: sitk.Image) -> MetaTensor:
    """Turn an image into (1, x, y, z) float32 with its affine in RAS mm, as MONAI's reader would."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    values = sitk.GetArrayFromImage(image).astype(np.float32).transpose(2, 1, 0)
    return MetaTensor(torch.from_numpy(np.ascontiguousarray(values))[None], affine=torch.tensor(LPS_TO_RAS @ affine))


def build_bundle_network(described: dict[str, Any]) -> torch.nn.Module:
    """Build one of the allowed networks; arguments it does not take raise ModelError."""
    if described["name"] not in NETWORKS:
        raise ModelError(f"network {described['name']!r} is not supported")
    try:
        network: torch.nn.Module = getattr(nets, described["name"])(**described["arguments"])
    except (TypeError, ValueError, KeyError) as error:
        raise ModelError(f"MONAI's {described['name']} does not take the bundle's arguments") from error
    return network


def _transform(step: dict[str, Any]) -> Any:
    if step["name"] not in TRANSFORMS:
        raise ModelError(f"preprocessing by {step['name']} is not supported")
    arguments = dict(step["arguments"])
    if step["name"] == "Orientationd":
        arguments["labels"] = AXIS_LABELS
    return getattr(transforms, step["name"].removesuffix("d"))(**arguments)


def _inferer(described: dict[str, Any]) -> Any:
    if described["name"] == "SimpleInferer":
        return SimpleInferer()
    # One window at a time: the result must not depend on how many fit into memory.
    return _INFERERS[described["name"]](sw_batch_size=1, **described["arguments"])
