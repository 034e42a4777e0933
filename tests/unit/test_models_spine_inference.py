"""From a native image to numbered vertebrae and back, with a network that reads the truth out of the image."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import SimpleITK as sitk

from paraspinal.core.errors import DataError, ModelError
from paraspinal.core.labels import vertebra_labels
from paraspinal.core.vocab import LevelNumbering, Reason
from paraspinal.models import spine_inference
from paraspinal.models.inference import LoadedModel
from paraspinal.models.input.preprocess import SAGITTAL_FRAME, slice_grid
from paraspinal.models.input.spine_input import N_CHANNELS
from paraspinal.models.network import NetworkSpec
from paraspinal.models.spine_inference import SpineSegmenter
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
    return cast("LoadedModel", SimpleNamespace(network=network, identifier="spine@0.0.0"))


SEES_NEIGHBOURS = model_of(N_CHANNELS)


def test_a_model_of_another_input_is_refused() -> None:
    with pytest.raises(ModelError, match=r"spine@0\.0\.0 was made for another input"):
        SpineSegmenter(model_of(2))


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth()


@pytest.fixture
def segmenter(truth: Truth, monkeypatch: pytest.MonkeyPatch) -> SpineSegmenter:
    monkeypatch.setattr(spine_inference, "predict_slices", truth.predict)
    monkeypatch.setattr(spine_inference, "network_inputs", as_they_are)
    return SpineSegmenter(SEES_NEIGHBOURS)


def test_centres_and_labels_are_those_of_the_painted_subject(truth: Truth, segmenter: SpineSegmenter) -> None:
    result = segmenter.segment(truth.image)
    assert result.numbering is LevelNumbering.COUNTED_FROM_SACRUM
    labels = sitk.GetArrayFromImage(result.label_map)
    chain = truth.scene.chain
    found = {x.level: x for x in result.levels}
    for i, name in enumerate(["L5", "L4", "L3", "L2", "L1"]):
        exact = chain.centre_mm[chain.first_sacral + 1 + i]
        assert np.linalg.norm(found[name].centre_mm[1:] - exact) < 4.0, name  # a kidney's centroid is not its middle
        x, y, z = truth.image.TransformPhysicalPointToIndex(found[name].centre_mm.tolist())
        assert labels[z, y, x] == vertebra_labels()[name]
    # Every body voxel of the five bodies carries a label, and the right class carries none of another's.
    classes = sitk.GetArrayFromImage(truth.image).astype(int) % SLICE_CODE - 1
    assert set(np.unique(labels[classes == 4])) == {2}
    assert set(np.unique(labels[classes == 3])) == {50}
    assert (labels[classes == 0] == 0).all()


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR", "ASL", "SRA", "IPL"])
def test_the_grid_does_not_change_the_answer(truth: Truth, segmenter: SpineSegmenter, orientation: str) -> None:
    straight = segmenter.segment(truth.image)
    turned_image = sitk.DICOMOrient(truth.image, orientation)
    turned = segmenter.segment(turned_image)
    assert turned.label_map.GetSize() == turned_image.GetSize()
    assert turned.label_map.GetDirection() == turned_image.GetDirection()
    assert turned.label_map.GetOrigin() == turned_image.GetOrigin()
    assert turned.label_map.GetPixelID() == sitk.sitkUInt16
    assert [x.level for x in turned.levels] == [x.level for x in straight.levels]
    for one, other in zip(straight.levels, turned.levels, strict=True):
        assert np.abs(one.centre_mm - other.centre_mm).max() < 1e-3
        assert one.superior is not None
        assert other.superior is not None
        assert one.superior.normal == pytest.approx(other.superior.normal, abs=1e-6)
        assert one.superior.normal[2] > 0.5
    back = sitk.DICOMOrient(turned.label_map, "PIR")
    assert np.array_equal(
        sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(sitk.DICOMOrient(straight.label_map, "PIR"))
    )


def test_an_oblique_stack_gives_turned_centres(truth: Truth, segmenter: SpineSegmenter) -> None:
    turn = sitk.Euler3DTransform((0, 0, 0), 0.15, 0.1, -0.12)
    matrix = np.array(turn.GetMatrix()).reshape(3, 3)
    oblique = sitk.Image(truth.image)
    direction = matrix @ np.array(truth.image.GetDirection()).reshape(3, 3)
    oblique.SetDirection(direction.ravel().tolist())
    oblique.SetOrigin((matrix @ np.array(truth.image.GetOrigin())).tolist())
    straight, turned = segmenter.segment(truth.image), segmenter.segment(oblique)
    assert [x.level for x in turned.levels] == [x.level for x in straight.levels]
    for one, other in zip(straight.levels, turned.levels, strict=True):
        assert matrix @ one.centre_mm == pytest.approx(other.centre_mm, abs=1e-3)


def test_thin_slices_are_skipped_and_filled_in(truth: Truth) -> None:
    fine = sitk.Resample(
        truth.image, [4 * (n - 1) + 1 if i == 2 else n for i, n in enumerate(truth.image.GetSize())], sitk.Transform(),
        sitk.sitkNearestNeighbor, truth.image.GetOrigin(), (PIXEL_MM, PIXEL_MM, 1.0), truth.image.GetDirection(),
    )  # fmt: skip
    grid = slice_grid(fine, SAGITTAL_FRAME)
    assert grid.native_shape[0] == 33
    shown: list[int] = []

    def predict(_: LoadedModel, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shown.append(len(inputs))
        return truth.predict(_, inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spine_inference, "predict_slices", predict)
        patch.setattr(spine_inference, "network_inputs", as_they_are)
        result = SpineSegmenter(SEES_NEIGHBOURS).segment(fine)
    assert shown == [11]
    assert result.label_map.GetSize() == fine.GetSize()
    body = np.isin(sitk.GetArrayFromImage(result.label_map), list(vertebra_labels().values()))
    assert body.any(axis=(1, 2)).sum() > 25


def test_of_a_wide_volume_only_the_middle_is_looked_at(truth: Truth) -> None:
    nothing = float(SLICE_CODE + 1)  # background of the outermost slice
    wide = sitk.ConstantPad(truth.image, (0, 0, 30), (0, 0, 40), nothing)
    shown: list[int] = []

    def predict(_: LoadedModel, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shown.append(len(inputs))
        return truth.predict(_, inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spine_inference, "predict_slices", predict)
        patch.setattr(spine_inference, "network_inputs", as_they_are)
        segmenter = SpineSegmenter(SEES_NEIGHBOURS)
        found, narrow = segmenter.segment(wide), segmenter.segment(truth.image)
    assert shown[0] + shown[1] < 60  # of 79
    assert shown[2] == len(LATERAL_MM)
    assert [x.level for x in found.levels] == [x.level for x in narrow.levels]
    for one, other in zip(found.levels, narrow.levels, strict=True):
        assert one.centre_mm == pytest.approx(other.centre_mm, abs=1.0)
    labels = sitk.GetArrayFromImage(found.label_map)
    assert labels.shape == (79, *SHAPE)
    assert not labels[:15].any()
    assert not labels[-15:].any()


def test_the_same_image_gives_the_same_answer(truth: Truth, segmenter: SpineSegmenter) -> None:
    one, again = segmenter.segment(truth.image), segmenter.segment(truth.image)
    assert np.array_equal(sitk.GetArrayFromImage(one.label_map), sitk.GetArrayFromImage(again.label_map))
    assert one.entropy == again.entropy
    assert all(0 <= value <= 1 for value in one.entropy.values())


def test_images_that_show_nothing_are_refused(segmenter: SpineSegmenter) -> None:
    flat = sitk.Image((64, 64, 64), sitk.sitkFloat32)
    flat.SetSpacing((2, 2, 4))
    with pytest.raises(DataError) as caught:
        segmenter.segment(flat)
    assert caught.value.reason is Reason.CONSTANT_IMAGE
    broken = sitk.GetImageFromArray(np.full((64, 64, 64), np.nan, np.float32))
    with pytest.raises(DataError) as caught:
        segmenter.segment(broken)
    assert caught.value.reason is Reason.CONSTANT_IMAGE
    small = sitk.GetImageFromArray(np.random.default_rng(0).uniform(0, 1, (9, 8, 8)).astype(np.float32))
    with pytest.raises(DataError) as caught:
        segmenter.segment(small)
    assert caught.value.reason is Reason.TOO_FEW_SLICES
