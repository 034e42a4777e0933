"""Inference: exact grids, sides that follow the patient, and nothing that depends on the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from paraspinal.core.errors import DataError, ModelError
from paraspinal.models.card import ModelCard, card_labels
from paraspinal.models.device import check_device
from paraspinal.models.evaluation.muscles import MUSCLES_MODEL
from paraspinal.models.inference import (
    LoadedModel,
    MuscleSegmenter,
    load_model,
    predict_slices,
    remove_stray_pieces,
)
from paraspinal.models.network import NetworkSpec, build_network
from paraspinal.models.synthesis.muscles.layout import MUSCLE_CLASSES
from paraspinal.models.training.checkpoint import Checkpoint, write_checkpoint
from paraspinal.models.training.muscles_card import NAME, VERSION, muscles_card
from paraspinal.models.weights import export_model
from paraspinal.phantom.anatomy import Anatomy, Tissue

SPEC = NetworkSpec(n_inputs=2, n_classes=len(MUSCLE_CLASSES), channels=(4, 8))
SIGNAL = {Tissue.AIR: 0.0, Tissue.MUSCLE: 180.0, Tissue.OTHER_MUSCLE: 180.0, Tissue.CSF: 900.0, Tissue.BOWEL_GAS: 5.0}
FAT = {Tissue.SUBCUTANEOUS_FAT, Tissue.FASCIA, Tissue.VISCERAL_FAT, Tissue.EPIDURAL_FAT}


@pytest.fixture(scope="module")
def toy() -> LoadedModel:
    """Build an untrained network that at least answers with several labels."""
    torch.manual_seed(5)
    network = build_network(SPEC).eval()
    with torch.no_grad():
        network.head.weight.mul_(20.0)
    card = muscles_card(with_atlas=False)
    return LoadedModel(network, card, "0" * 64, "cpu")


@pytest.fixture(scope="module")
def image() -> sitk.Image:
    """Make a symmetric canvas (its middle lies between two pixels) with lumpy content."""
    rng = np.random.default_rng(1)
    values = np.zeros((4, 112, 144), dtype=np.float32)
    values[:, 20:92, 22:122] = rng.uniform(50, 100, (4, 18, 25)).repeat(4, axis=1).repeat(4, axis=2)
    result = sitk.GetImageFromArray(values)
    result.SetSpacing((2.0, 2.0, 4.0))
    result.SetOrigin((-143.0, -90.0, 31.0))
    return result


def labels_of(model: LoadedModel, image: sitk.Image) -> np.ndarray:
    return np.asarray(sitk.GetArrayFromImage(MuscleSegmenter(model).segment(image).label_map))


def test_prediction_does_not_depend_on_the_batch(toy: LoadedModel) -> None:
    inputs = np.random.default_rng(0).normal(size=(5, 2, 32, 48)).astype(np.float32)
    together, _ = predict_slices(toy, inputs)
    alone = np.concatenate([predict_slices(toy, inputs[i : i + 1])[0] for i in range(5)])
    assert np.array_equal(together, alone)
    assert together.sum(axis=1) == pytest.approx(np.ones((5, 32, 48)), abs=1e-5)


def test_label_map_has_the_native_grid(toy: LoadedModel, image: sitk.Image) -> None:
    oblique = sitk.Image(image)
    oblique.SetDirection((0.96, 0.28, 0.0, 0.28, -0.96, 0.0, 0.0, 0.0, -1.0))
    result = MuscleSegmenter(toy).segment(oblique)
    assert result.label_map.GetPixelID() == sitk.sitkUInt16
    assert result.label_map.GetSize() == oblique.GetSize()
    assert result.label_map.GetSpacing() == oblique.GetSpacing()
    assert result.label_map.GetOrigin() == oblique.GetOrigin()
    assert result.label_map.GetDirection() == oblique.GetDirection()
    found = set(np.unique(sitk.GetArrayViewFromImage(result.label_map))) - {0}
    assert len(found) >= 2
    assert found == set(result.entropy) == set(result.flip_disagreement)
    assert all(0.0 < value <= 1.0 for value in result.entropy.values())
    assert found == set(result.slice_disagreement)
    for code, values in result.slice_disagreement.items():
        assert len(values) == image.GetSize()[2]
        assert all(value is None or 0.0 <= value <= 1.0 for value in values)
        assert 0.0 <= result.flip_disagreement[code] <= 1.0


def test_the_way_an_image_is_stored_does_not_matter(toy: LoadedModel, image: sitk.Image) -> None:
    expected = MuscleSegmenter(toy).segment(image).label_map
    for order, flips in [((0, 1, 2), (True, False, False)), ((1, 0, 2), (False, True, True)), ((2, 0, 1), (True,) * 3)]:
        stored = sitk.Flip(sitk.PermuteAxes(image, order), flips)
        assert stored.GetDirection() != image.GetDirection()
        found = MuscleSegmenter(toy).segment(stored).label_map
        back = sitk.Resample(found, expected, sitk.Transform(), sitk.sitkNearestNeighbor)
        assert np.array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(expected))


def test_a_mirrored_person_has_mirrored_sides(toy: LoadedModel, image: sitk.Image) -> None:
    mirrored = sitk.GetImageFromArray(sitk.GetArrayFromImage(image)[:, :, ::-1])
    mirrored.CopyInformation(image)
    left_right = {5101: 5102, 5111: 5112, 5121: 5122, 5131: 5132}
    swap = left_right | {right: left for left, right in left_right.items()} | {0: 0}
    expected = np.vectorize(swap.__getitem__)(labels_of(toy, image))[:, :, ::-1]
    inside = (slice(None), slice(36, 76), slice(40, 104))  # in empty air left and right tie
    found = labels_of(toy, mirrored)
    assert np.mean(found[inside] == expected[inside]) > 0.9999
    assert len(np.unique(found[inside])) >= 3


def test_the_same_image_gives_the_same_labels(toy: LoadedModel, image: sitk.Image) -> None:
    assert np.array_equal(labels_of(toy, image), labels_of(toy, image))


def test_scale_and_type_of_the_image_do_not_matter(toy: LoadedModel, image: sitk.Image) -> None:
    scaled = sitk.Cast(image * 16.0, sitk.sitkFloat64)
    assert np.mean(labels_of(toy, scaled) == labels_of(toy, image)) > 0.9999


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_constant_image_is_a_data_error(toy: LoadedModel, value: float) -> None:
    flat = sitk.Image([40, 40, 3], sitk.sitkFloat32) + value
    with pytest.raises(DataError, match="CONSTANT_IMAGE"):
        MuscleSegmenter(toy).segment(flat)


def test_not_a_number_is_a_data_error(toy: LoadedModel, image: sitk.Image) -> None:
    broken = sitk.Image(image)
    broken[3, 3, 1] = float("nan")
    with pytest.raises(DataError, match="CONSTANT_IMAGE"):
        MuscleSegmenter(toy).segment(broken)


def test_an_enormous_image_is_a_data_error(
    toy: LoadedModel, monkeypatch: pytest.MonkeyPatch, image: sitk.Image
) -> None:
    monkeypatch.setattr("paraspinal.models.input.volume.MAX_VOXELS", image.GetNumberOfPixels() - 1)
    with pytest.raises(DataError, match="million voxels"):
        MuscleSegmenter(toy).segment(image)


def test_asking_for_a_missing_gpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="no usable GPU"):
        check_device("cuda")
    with pytest.raises(ModelError, match="unknown device"):
        check_device("auto")


def test_small_and_distant_pieces_go_and_near_ones_stay() -> None:
    classes = np.zeros((3, 40, 40), dtype=np.uint8)
    classes[:, 2:12, 2:12] = 1  # 300 voxels
    classes[:, 14:18, 6:10] = 1  # 48 voxels, 12 %, beside it
    classes[1, 2:4, 14:16] = 1  # 4 voxels, 1 %
    classes[:, 30:34, 30:34] = 1  # 48 voxels, 12 %, but 18 mm away
    classes[0, 30, 2] = 2  # all there is of class 2
    remove_stray_pieces(classes, (4.0, 1.0, 1.0), 4)
    assert np.count_nonzero(classes == 1) == 348
    assert np.count_nonzero(classes == 2) == 1


def export(tmp_path: Path, card: ModelCard, names: tuple[str, ...]) -> None:
    network = build_network(SPEC)
    weights = network.state_dict()
    description = {
        "class_names": list(names),
        "heatmap_names": [],
        "spec": SPEC.to_json(),
        "step": 1,
        "schedule": {},
        "precision": "float32",
    }
    write_checkpoint(tmp_path / "checkpoint", Checkpoint(weights, build_network(SPEC).state_dict(), {}, description))
    export_model(tmp_path / "checkpoint", card, tmp_path)


def test_exported_model_loads_with_its_labels(tmp_path: Path) -> None:
    export(tmp_path, muscles_card(with_atlas=False), MUSCLE_CLASSES)
    model = load_model(MUSCLES_MODEL, resources=tmp_path)
    assert model.card.class_names == MUSCLE_CLASSES
    assert model.card.codes[1:3] == (5101, 5102)
    assert not model.network.training


def test_labels_reordered_against_the_weights_are_refused(tmp_path: Path) -> None:
    trained = ("background", "multifidus_right", "multifidus_left", *MUSCLE_CLASSES[3:])
    export(tmp_path, muscles_card(with_atlas=False), trained)
    with pytest.raises(ModelError, match="other outputs"):
        load_model(MUSCLES_MODEL, resources=tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    export(tmp_path, muscles_card(with_atlas=False), MUSCLE_CLASSES)
    card = tmp_path / f"models/{NAME}/{VERSION}/card.json"
    card.write_text(card.read_text().replace('"channels": [\n      4,\n      8\n    ]', '"channels": [4, 4]'))
    with pytest.raises(ModelError, match="do not fit"):
        load_model(MUSCLES_MODEL, resources=tmp_path)


def test_shipped_model_finds_the_muscles_of_a_phantom_on_their_sides() -> None:
    model = load_model(MUSCLES_MODEL)
    x = np.arange(-150.0, 150.0, 2.0)
    y = np.arange(-110.0, 110.0, 2.0)
    z = np.array([-42.0, -38.0, -34.0])
    zz, yy, xx = np.meshgrid(z, y, x, indexing="ij")
    tissue, label = Anatomy().tissue_and_label(np.stack([xx, yy, zz], axis=-1))
    signal = np.array([850.0 if t in FAT else SIGNAL.get(t, 350.0) for t in Tissue], dtype=np.float32)
    image = sitk.GetImageFromArray(signal[tissue])
    image.SetSpacing((2.0, 2.0, 4.0))
    image.SetOrigin((x[0], y[0], z[0]))
    result = MuscleSegmenter(model).segment(image)
    assert result.objection is None
    assert max(result.flip_disagreement.values()) < 0.3
    found = sitk.GetArrayFromImage(result.label_map)
    for entry in card_labels(MUSCLE_CLASSES)[1:]:
        truth, mine = label == entry.code, found == entry.code
        assert mine.any()
        assert (np.mean(xx[mine]) > 0) == entry.name.endswith("_left")
        if "quadratus" not in entry.name:
            assert 2.0 * np.count_nonzero(truth & mine) / (truth.sum() + mine.sum()) > 0.6
