"""Run a network on images: load once, verify, predict; label maps in the exact native grid.

Deterministic: slices pass the network one at a time on the CPU and in batches of one size on a GPU, so the result
cannot depend on how many are asked for together. Device and precision are the ones asked for or an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import torch
from scipy import ndimage

from paraspinal.core.errors import DataError, ModelError
from paraspinal.core.imaging.slice_grid import AXIAL_FRAME, SliceGrid, slice_grid
from paraspinal.core.paths import RESOURCES
from paraspinal.core.vocab import Reason
from paraspinal.models.card import ModelCard, check_order, read_card
from paraspinal.models.device import check_device, on_device, put_weights
from paraspinal.models.input.batches import Batcher
from paraspinal.models.input.muscle_input import Convention, MuscleInput, neighbour_step
from paraspinal.models.input.volume import MIN_IN_PLANE_PIXELS, require_anatomy
from paraspinal.models.input.windows import Window, body_window
from paraspinal.models.network import NetworkSpec, UNet, build_network
from paraspinal.models.outline_disagreement import ClassMap, disagreement
from paraspinal.models.plausibility import judge, objection
from paraspinal.models.registry import resolve
from paraspinal.models.training.checkpoint import load_tensors
from paraspinal.models.weights import CLASS_NAMES_KEY, HEATMAP_NAMES_KEY, split_names

Array = npt.NDArray[np.float32]

SMOOTHING_SD_MM = 4.0
"""Probabilities are smoothed across slices with this Gaussian: muscles are longer than slices are apart."""

MIN_COMPONENT_FRAC = 0.05
"""Pieces of a label smaller than this share of it are noise and become background."""

MAX_STRAY_MM = 10.0
"""A piece this far outside the box around a muscle is not the muscle: bowel beside the psoas, a kidney."""

MIN_PROBABILITY = 1e-7  # keeps the logarithm finite


@dataclass(frozen=True)
class LoadedModel:
    """A verified network in evaluation mode, its card, device and precision; safe to use from many threads."""

    network: UNet
    card: ModelCard
    sha256: str
    device: str
    precision: str = "float32"
    batcher: Batcher | None = None

    @property
    def identifier(self) -> str:
        """``name@version``."""
        return f"{self.card.name}@{self.card.version}"


@dataclass(frozen=True)
class SegmentationResult:
    """Labels in the native grid and how sure the network was.

    ``entropy``: per label code present, mean softmax entropy over its voxels, 0 (sure) .. 1 (no
    idea). ``flip_disagreement``: 1 - Dice between the image and its mirror image, per label code.
    ``slice_disagreement``: the same slice by slice, caudal first, None where neither has the muscle.
    ``objection``: why this cannot be a lumbar back, None where nothing speaks against it.
    """

    label_map: sitk.Image
    entropy: dict[int, float]
    flip_disagreement: dict[int, float]
    slice_disagreement: dict[int, list[float | None]] = field(default_factory=dict)
    objection: str | None = None


def load_model(
    identifier: str,
    device: str = "cpu",
    threads: int = 1,
    resources: Path = RESOURCES,
    precision: str = "float32",
) -> LoadedModel:
    """Load ``name@version`` after checking sha256, card and label order.

    ``precision`` is float32, or bfloat16 for the convolutions alone. Raises ModelError for an unknown, missing or
    altered model, and for a device this machine lacks.
    """
    check_device(device)
    torch.set_num_threads(threads)
    entry = resolve(identifier, resources)
    card = read_card(entry.card)
    tensors, metadata = load_tensors(entry.weights)
    check_order(
        card,
        split_names(metadata.get(CLASS_NAMES_KEY, "")),
        split_names(metadata.get(HEATMAP_NAMES_KEY, "")),
    )
    network = build_network(NetworkSpec.from_json(card.network))
    put_weights(network, tensors, device, f"the weights of {identifier} do not fit the network of its card")
    model = LoadedModel(network, card, entry.sha256, device, precision)
    return model if device == "cpu" else replace(model, batcher=Batcher(partial(_forward, model)))


def predict_slices(model: LoadedModel, inputs: Array) -> tuple[Array, Array]:
    """Run the network on (N, C, H, W); returns class probabilities (N, L, H, W) and heatmaps (N, K, H, W)."""
    if model.batcher:
        return model.batcher.predict(inputs)
    spec = model.network.spec
    probabilities = np.empty((len(inputs), spec.n_classes, *inputs.shape[2:]), dtype=np.float32)
    heatmaps = np.empty((len(inputs), spec.n_heatmaps, *inputs.shape[2:]), dtype=np.float32)
    for index, one in enumerate(inputs):
        probabilities[index : index + 1], heatmaps[index : index + 1] = _forward(model, one[None])
    return probabilities, heatmaps


def _forward(model: LoadedModel, inputs: Array) -> tuple[Array, Array]:
    """Show the network one batch (N, C, H, W)."""
    kind = model.device.split(":")[0]
    with (
        on_device(),
        torch.inference_mode(),
        torch.autocast(kind, torch.bfloat16, enabled=model.precision == "bfloat16"),
    ):
        images = torch.from_numpy(np.ascontiguousarray(inputs)).to(model.device)
        class_logits, heatmap_logits = model.network(images.contiguous(memory_format=torch.channels_last))
        probabilities = class_logits.float().softmax(dim=1)
        return probabilities.cpu().numpy(), heatmap_logits.float().sigmoid().cpu().numpy()


class MuscleSegmenter:
    """Segments the paraspinal muscles of axial images; build once, use for many scans."""

    def __init__(self, model: LoadedModel, convention: Convention | None = None) -> None:
        """``convention`` says which fat belongs to the outlines; by default lean, where the model knows several.

        Raises ModelError for a convention asked of a model that knows but its own, and for a network with another
        number of inputs than its card describes.
        """
        self.model = model
        self._shown = MuscleInput.from_card(model.card.input)
        if model.network.spec.n_inputs != self._shown.n_channels:
            raise ModelError(f"the network of {model.identifier} takes other inputs than its card says")
        if convention is not None and not self._shown.has_convention:
            raise ModelError(
                f"{model.identifier} does not know the convention {convention.value!r}",
                hint="ask for none: it outlines by the one it was taught",
            )
        self._convention = convention or Convention.LEAN
        self._swap = _swap_sides(model.card.class_names)
        self._codes = np.array(model.card.codes, dtype=np.uint16)

    def segment(self, image: sitk.Image) -> SegmentationResult:
        """Segment a 3-D image of any orientation whose slices are roughly axial.

        For Dixon pass the water image. Returns labels in exactly the grid of ``image``. Raises
        DataError for an image that is constant, not a scalar volume, or too small to hold anatomy.
        """
        grid = _plan(image)
        slices = grid.to_slices(image)
        window = body_window(slices)
        step = neighbour_step(grid.spacing_mm[0])
        inputs = self._shown.inputs(slices[(slice(None), *window)], range(len(slices)), step, self._convention)
        probabilities, both = self._predict_both_ways(inputs)
        sigma = SMOOTHING_SD_MM / grid.spacing_mm[0]
        probabilities = ndimage.gaussian_filter1d(probabilities, sigma, axis=0, mode="nearest", truncate=3.0)
        n_classes = len(self._codes)
        classes, entropy = _to_native(grid, window, probabilities)
        remove_stray_pieces(classes, grid.spacing_mm, n_classes)
        counts = np.bincount(classes.ravel(), minlength=n_classes)
        totals = np.bincount(classes.ravel(), weights=entropy.ravel(), minlength=n_classes)
        present = {c: int(self._codes[c]) for c in range(1, n_classes) if counts[c]}
        whole, by_slice = disagreement(*both, n_classes)
        names = self.model.card.class_names
        finding = judge(classes, names, grid.spacing_mm, {names[c]: float(whole[c]) for c in present})
        label_map = sitk.GetImageFromArray(np.ascontiguousarray(grid.axes.backward(self._codes[classes])))
        label_map.CopyInformation(image)
        return SegmentationResult(
            label_map,
            {code: float(totals[c] / counts[c]) for c, code in present.items()},
            {code: float(whole[c]) for c, code in present.items()},
            {code: [None if np.isnan(v) else float(v) for v in by_slice[:, c]] for c, code in present.items()},
            objection(finding),
        )

    def _predict_both_ways(self, inputs: Array) -> tuple[Array, tuple[ClassMap, ClassMap]]:
        """Predict the slices (N, C, H, W) and their mirror images.

        Returns the mean class probabilities (N, L, H, W) and the class map (N, H, W) of each.
        """
        probabilities, _ = predict_slices(self.model, inputs)
        first = probabilities.argmax(axis=1).astype(np.uint8)
        mirrored, _ = predict_slices(self.model, inputs[..., ::-1])
        other = mirrored[:, self._swap, :, ::-1]
        second = other.argmax(axis=1).astype(np.uint8)
        probabilities += other
        probabilities *= 0.5
        return probabilities, (first, second)


def remove_stray_pieces(classes: npt.NDArray[np.uint8], spacing_mm: tuple[float, float, float], n_classes: int) -> None:
    """Turn stray pieces of every class into background, in place.

    ``classes`` (slice, row, column); pieces are 26-connected. Below ``MIN_COMPONENT_FRAC`` of its class a
    piece is noise; one whose middle lies more than ``MAX_STRAY_MM`` outside the in-plane box around the
    largest piece is another organ.
    """
    boxes = ndimage.find_objects(classes, max_label=n_classes - 1)
    for index, box in enumerate(boxes, start=1):
        if box is None:
            continue
        window = classes[box]
        pieces, count = ndimage.label(window == index, structure=np.ones((3, 3, 3)))
        if count < 2:
            continue
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        is_stray = sizes < MIN_COMPONENT_FRAC * sizes.sum()
        places = ndimage.find_objects(pieces)
        main = places[int(sizes.argmax()) - 1]
        for number, place in enumerate(places, start=1):
            for axis in (1, 2):
                margin = MAX_STRAY_MM / spacing_mm[axis]
                middle = 0.5 * (place[axis].start + place[axis].stop)
                is_stray[number] |= not main[axis].start - margin <= middle <= main[axis].stop + margin
        is_stray[0] = False
        window[is_stray[pieces]] = 0


def _plan(image: sitk.Image) -> SliceGrid:
    require_anatomy(image)
    grid = slice_grid(image, AXIAL_FRAME)
    if min(grid.native_shape[1:]) < MIN_IN_PLANE_PIXELS:
        raise DataError(Reason.TOO_FEW_SLICES, "too few pixels in the axial plane")
    return grid


def _to_native(grid: SliceGrid, window: Window, probabilities: Array) -> tuple[npt.NDArray[np.uint8], Array]:
    """Interpolate probabilities to native pixels, then argmax; also the normalised entropy where there is a muscle."""
    n_classes = probabilities.shape[1]
    canvas = np.zeros((n_classes + 1, *grid.canvas), dtype=np.float32)
    canvas[0] = 1.0  # outside the window there is only background
    classes = np.zeros(grid.native_shape, dtype=np.uint8)
    entropy = np.zeros(grid.native_shape, dtype=np.float32)
    for index, inner in enumerate(probabilities):
        # Entropy is smooth: computed on the network's grid and interpolated along with the rest.
        spread = -(inner * np.log(np.maximum(inner, MIN_PROBABILITY))).sum(axis=0) / np.log(n_classes)
        canvas[(slice(None), *window)] = np.concatenate([inner, spread[None]])
        # Between pixels that are all background no other class can win: only the rest is interpolated.
        box = grid.native_box(canvas[:-1].argmax(axis=0) > 0)
        planes = grid.to_native_planes(canvas, box)
        classes[(index, *box)] = planes[:-1].argmax(axis=0)
        entropy[(index, *box)] = planes[-1]
    return classes, entropy


def _swap_sides(class_names: tuple[str, ...]) -> list[int]:
    """Channel of the same class on the other side; classes without a side stay, one without its other is refused."""
    other = {"_left": "_right", "_right": "_left"}
    swapped = []
    for name in class_names:
        for end, replacement in other.items():
            if name.endswith(end):
                name = name.removesuffix(end) + replacement
                break
        if name not in class_names:
            raise ModelError(f"the model draws a muscle on one side only: {name} is missing", hint="mirrors need both")
        swapped.append(class_names.index(name))
    return swapped
