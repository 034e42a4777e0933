"""From a native image to numbered vertebrae and back, with a network that reads the truth out of the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from spine_factory import LATERAL_MM, PIXEL_MM, SHAPE, SLICE_CODE, Truth, model_of, network_of

from paraspinal.core.errors import DataError, ModelError
from paraspinal.core.files import sha256_file
from paraspinal.core.imaging.images import read_volumes, write_image
from paraspinal.core.imaging.slice_grid import SAGITTAL_FRAME, slice_grid
from paraspinal.core.labels import vertebra_labels
from paraspinal.core.vocab import LevelNumbering, Reason
from paraspinal.models.spine_inference import SpineNetwork
from paraspinal.vertebrae.spine import NumberedSpine, number_spine


def numbered(network: SpineNetwork, image: sitk.Image) -> NumberedSpine:
    """Take both steps."""
    return number_spine(network.answer(image), image)


def test_a_model_of_another_input_is_refused() -> None:
    with pytest.raises(ModelError, match=r"spine@0\.0\.0 was made for another input"):
        SpineNetwork(model_of(2))


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth()


@pytest.fixture
def network(truth: Truth, monkeypatch: pytest.MonkeyPatch) -> SpineNetwork:
    return network_of(truth, monkeypatch)


def test_centres_and_labels_are_those_of_the_painted_subject(truth: Truth, network: SpineNetwork) -> None:
    result = numbered(network, truth.image)
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
def test_the_grid_does_not_change_the_answer(truth: Truth, network: SpineNetwork, orientation: str) -> None:
    straight = numbered(network, truth.image)
    turned_image = sitk.DICOMOrient(truth.image, orientation)
    turned = numbered(network, turned_image)
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


def test_an_oblique_stack_gives_turned_centres(truth: Truth, network: SpineNetwork) -> None:
    turn = sitk.Euler3DTransform((0, 0, 0), 0.15, 0.1, -0.12)
    matrix = np.array(turn.GetMatrix()).reshape(3, 3)
    oblique = sitk.Image(truth.image)
    direction = matrix @ np.array(truth.image.GetDirection()).reshape(3, 3)
    oblique.SetDirection(direction.ravel().tolist())
    oblique.SetOrigin((matrix @ np.array(truth.image.GetOrigin())).tolist())
    straight, turned = numbered(network, truth.image), numbered(network, oblique)
    assert [x.level for x in turned.levels] == [x.level for x in straight.levels]
    for one, other in zip(straight.levels, turned.levels, strict=True):
        assert matrix @ one.centre_mm == pytest.approx(other.centre_mm, abs=1e-3)


def test_thin_slices_are_skipped_and_filled_in(truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    fine = sitk.Resample(
        truth.image, [4 * (n - 1) + 1 if i == 2 else n for i, n in enumerate(truth.image.GetSize())], sitk.Transform(),
        sitk.sitkNearestNeighbor, truth.image.GetOrigin(), (PIXEL_MM, PIXEL_MM, 1.0), truth.image.GetDirection(),
    )  # fmt: skip
    grid = slice_grid(fine, SAGITTAL_FRAME)
    assert grid.native_shape[0] == 33
    shown: list[int] = []
    result = numbered(network_of(truth, monkeypatch, shown), fine)
    assert shown == [11]
    assert result.label_map.GetSize() == fine.GetSize()
    body = np.isin(sitk.GetArrayFromImage(result.label_map), list(vertebra_labels().values()))
    assert body.any(axis=(1, 2)).sum() > 25


def test_of_a_wide_volume_only_the_middle_is_looked_at(truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = float(SLICE_CODE + 1)  # background of the outermost slice
    wide = sitk.ConstantPad(truth.image, (0, 0, 30), (0, 0, 40), nothing)
    shown: list[int] = []
    network = network_of(truth, monkeypatch, shown)
    found, narrow = numbered(network, wide), numbered(network, truth.image)
    assert shown[0] + shown[1] < 60  # of 79
    assert shown[2] == len(LATERAL_MM)
    assert [x.level for x in found.levels] == [x.level for x in narrow.levels]
    for one, other in zip(found.levels, narrow.levels, strict=True):
        assert one.centre_mm == pytest.approx(other.centre_mm, abs=1.0)
    labels = sitk.GetArrayFromImage(found.label_map)
    assert labels.shape == (79, *SHAPE)
    assert not labels[:15].any()
    assert not labels[-15:].any()


def test_the_answer_is_all_that_numbering_needs(truth: Truth, network: SpineNetwork, tmp_path: Path) -> None:
    """Through the disk, byte for byte the same each time, and laid in the patient as the slices are."""
    answer = network.answer(truth.image)
    for name in ("a.nii.gz", "b.nii.gz"):
        write_image(network.answer(truth.image), tmp_path / name)
    assert sha256_file(tmp_path / "a.nii.gz") == sha256_file(tmp_path / "b.nii.gz")
    stored = read_volumes(tmp_path / "a.nii.gz")
    assert stored.GetPixelID() == sitk.sitkUInt8
    assert stored.GetSize()[2:] == (len(LATERAL_MM), 8)
    here, there = number_spine(answer, truth.image), number_spine(stored, truth.image)
    assert np.array_equal(sitk.GetArrayFromImage(here.label_map), sitk.GetArrayFromImage(there.label_map))
    assert here.disc_areas_mm2 == there.disc_areas_mm2
    for one, other in zip(here.levels, there.levels, strict=True):
        assert one.centre_mm == pytest.approx(other.centre_mm, abs=1e-4)


def test_an_answer_to_a_part_of_the_image_numbers_the_whole(truth: Truth, network: SpineNetwork) -> None:
    """As in an axial scan that must find its own levels and is cut around the midline."""
    whole = sitk.ConstantPad(truth.image, (0, 0, 3), (0, 0, 5), float(SLICE_CODE + 1))
    cut = numbered(network, truth.image)
    found = number_spine(network.answer(truth.image), whole)
    assert found.label_map.GetSize() == whole.GetSize()
    labels = sitk.GetArrayFromImage(found.label_map)
    assert np.array_equal(labels[3:-5], sitk.GetArrayFromImage(cut.label_map))
    assert not labels[:3].any()
    assert not labels[-5:].any()
    assert found.disc_areas_mm2 == pytest.approx(cut.disc_areas_mm2)


def test_the_same_image_gives_the_same_answer(truth: Truth, network: SpineNetwork) -> None:
    one, again = numbered(network, truth.image), numbered(network, truth.image)
    assert np.array_equal(sitk.GetArrayFromImage(one.label_map), sitk.GetArrayFromImage(again.label_map))
    assert one.entropy == again.entropy
    assert all(0 <= value <= 1 for value in one.entropy.values())


def test_images_that_show_nothing_are_refused(network: SpineNetwork) -> None:
    flat = sitk.Image((64, 64, 64), sitk.sitkFloat32)
    flat.SetSpacing((2, 2, 4))
    with pytest.raises(DataError) as caught:
        numbered(network, flat)
    assert caught.value.reason is Reason.CONSTANT_IMAGE
    broken = sitk.GetImageFromArray(np.full((64, 64, 64), np.nan, np.float32))
    with pytest.raises(DataError) as caught:
        numbered(network, broken)
    assert caught.value.reason is Reason.CONSTANT_IMAGE
    small = sitk.GetImageFromArray(np.random.default_rng(0).uniform(0, 1, (9, 8, 8)).astype(np.float32))
    with pytest.raises(DataError) as caught:
        numbered(network, small)
    assert caught.value.reason is Reason.TOO_FEW_SLICES
