"""nnU-Net v2 result folders: read as data, converted once, and run as nnU-Net runs them.

Networks are compared with numbers recorded from dynamic_network_architectures 0.4.4.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from foreign_factory import SEED_LABELS, lumpy_image, nnunet_folder, nnunet_plans

from paraspinal.core.errors import DataError, ModelError
from paraspinal.core.labels import label_by_name
from paraspinal.models.engine import load_muscles
from paraspinal.models.external.adopt import add_model, read_source
from paraspinal.models.external.label_names import propose
from paraspinal.models.external.nnunet import NnUNetSegmenter, normalise
from paraspinal.models.external.nnunet_network import NnUNet, NnUNetSpec
from paraspinal.models.external.nnunet_resampling import resample, target_shape
from paraspinal.models.external.sliding_window import patch_starts, patch_weight, sliding_logits
from paraspinal.models.registry import find, resolve

SQUARE, FLAT = ((3, 3),) * 3, ((1, 3, 3), (3, 3, 3))
HALF, IN_PLANE = ((1, 1), (2, 2), (2, 2)), ((1, 1, 1), (1, 2, 2))
PLAIN_2D = NnUNetSpec("PlainConvUNet", 2, 1, 3, (4, 6, 8), SQUARE, HALF, (2, 2, 2), (2, 2))
PLAIN_3D = NnUNetSpec("PlainConvUNet", 3, 1, 3, (4, 6), FLAT, IN_PLANE, (2, 1), (2,))
RESIDUAL_2D = NnUNetSpec("ResidualEncoderUNet", 2, 1, 3, (4, 4, 8), SQUARE, HALF, (1, 3, 2), (1, 1))
RESIDUAL_3D = NnUNetSpec("ResidualEncoderUNet", 3, 1, 3, (4, 6), FLAT, IN_PLANE, (1, 2), (1,))

PLAIN_RESAMPLING = {"order": 3, "order_z": 0, "force_separate_z": None}


@pytest.mark.parametrize(
    ("spec", "size", "first_of_six", "mean"),
    [
        (PLAIN_2D, (16, 24), (0.0514363, 0.0761100, -0.2240017), 0.3221889),
        (PLAIN_3D, (4, 8, 8), (0.0901862, 0.0627941, -0.2145620), 0.3127781),
        (RESIDUAL_3D, (4, 8, 8), (0.0702752, 0.0733694, -0.2193694), 0.3105249),
        (RESIDUAL_2D, (16, 24), (0.0747373, 0.2485949, -0.2929825), 0.3137860),
    ],
    ids=["plain-2d", "plain-3d", "residual-3d", "residual-2d"],
)
def test_networks_compute_what_nnunets_own_package_computes(
    spec: NnUNetSpec, size: tuple[int, ...], first_of_six: tuple[float, ...], mean: float
) -> None:
    network = NnUNet(NnUNetSpec.from_json(json.loads(json.dumps(spec.to_json())))).eval()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            count = value.numel()
            filled = 0.3 * torch.sin(torch.arange(count, dtype=torch.float64) + count).reshape(value.shape)
            value.copy_(filled + float(name.endswith("norm.weight")))
        image = torch.sin(torch.arange(int(np.prod(size)), dtype=torch.float32) * 0.37).reshape(1, 1, *size)
        found = network(image)
    assert found.flatten()[:: found.numel() // 6][:3].tolist() == pytest.approx(first_of_six, abs=1e-5)
    assert float(found.double().abs().mean()) == pytest.approx(mean, abs=1e-5)


def added(tmp_path: Path, folder: Path, **options: Any) -> NnUNetSegmenter:
    source = read_source(folder, **options)
    add_model(source, propose(source.labels), "theirs", "1.0.0", "MIT", tmp_path / "models")
    segmenter = load_muscles("theirs@1.0.0", resources=tmp_path / "models")
    assert isinstance(segmenter, NnUNetSegmenter)
    return segmenter


def plain_answer(segmenter: NnUNetSegmenter, image: sitk.Image) -> np.ndarray:
    """Logits of a single patch, computed with torch alone; the image must need no resampling and no sliding."""
    values = sitk.GetArrayFromImage(image)
    inside = np.argwhere(values != 0)
    box = tuple(slice(a, b + 1) for a, b in zip(inside.min(axis=0), inside.max(axis=0), strict=True))
    cropped = torch.from_numpy(values[box])
    cropped = (cropped - cropped.mean()) / cropped.std(correction=0)
    patch = segmenter.model.card.network["patch_size"]
    padding: list[int] = []
    for have, want in zip(reversed(cropped.shape), reversed(patch), strict=True):
        padding += [(want - have) // 2, want - have - (want - have) // 2]
    ready = torch.nn.functional.pad(cropped, padding)[None, None]
    with torch.no_grad():
        logits = torch.stack([fold(ready)[0] for fold in segmenter._folds]).mean(dim=0)
    back = tuple(slice(p, p + n) for p, n in zip(padding[-2::-2], cropped.shape, strict=True))
    whole = np.zeros((len(logits), *values.shape), dtype=np.float32)
    whole[0] = 1.0
    whole[(slice(None), *box)] = logits[(slice(None), *back)].numpy()
    return whole


@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
def test_one_patch_at_its_own_spacing_is_the_plain_network(tmp_path: Path, residual: bool) -> None:
    plans = nnunet_plans(residual=residual, patch_size=[10, 40, 40])
    segmenter = added(tmp_path, nnunet_folder(tmp_path, plans, folds=2))
    image = lumpy_image((44, 38, 9), (1.5, 1.5, 4.0))
    expected = plain_answer(segmenter, image)
    found = segmenter.logits(sitk.GetArrayFromImage(image), image.GetSpacing()[::-1])
    assert found == pytest.approx(expected, abs=1e-4)
    labels = sitk.GetArrayFromImage(segmenter.segment(image).label_map)
    codes = [0, *(label_by_name(f"{n}").code for n in ("erector_spinae_right", "multifidus_right"))]
    codes += [label_by_name(n).code for n in ("multifidus_left", "erector_spinae_left")]
    assert np.mean(labels == np.array(codes)[expected.argmax(axis=0)]) > 0.9999
    assert len(np.unique(labels)) >= 3


THICK, EVEN = ((44, 38, 9), (1.1, 1.2, 5.0)), ((44, 38, 30), (1.1, 1.2, 1.4))


@pytest.mark.parametrize(
    ("plans", "grid", "options", "counts"),
    [
        ({}, THICK, {}, (7241, 6, 0, 1317, 6484)),
        ({}, THICK, {"mirror_axes": (0, 1, 2), "folds": 2}, (6984, 10, 0, 7402, 652)),
        ({"residual": True}, THICK, {}, (6984, 1977, 739, 1885, 3463)),
        ({"configuration": "2d"}, THICK, {"mirror_axes": (0, 1), "configuration": "2d"}, (7722, 0, 3750, 3576, 0)),
        ({"use_mask_for_norm": [True]}, EVEN, {}, (18281, 25, 0, 5237, 26617)),
    ],
    ids=["thick", "mirrored-two-folds", "residual", "2d", "masked-transposed"],
)
def test_the_whole_way_gives_the_labels_of_nnunets_own_predictor(
    tmp_path: Path, plans: dict[str, Any], grid: Any, options: dict[str, Any], counts: tuple[int, ...]
) -> None:
    """Voxels per class as nnunetv2 2.8.1 gave them for the same folders, its sums kept in float32 as ours are."""
    made = nnunet_plans(**plans)
    if "use_mask_for_norm" in plans:
        made |= {"transpose_forward": [1, 0, 2], "transpose_backward": [1, 0, 2]}
    segmenter, image = added(tmp_path, nnunet_folder(tmp_path, made, **options)), lumpy_image(*grid)
    classes = segmenter.logits(sitk.GetArrayFromImage(image), image.GetSpacing()[::-1]).argmax(axis=0)
    assert np.bincount(classes.ravel(), minlength=5) == pytest.approx(counts, abs=8)


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres", "3d_lowres"])
def test_labels_come_back_on_the_grid_of_the_image(tmp_path: Path, configuration: str) -> None:
    segmenter = added(tmp_path, nnunet_folder(tmp_path, configuration=configuration))
    image = lumpy_image()
    image.SetDirection((0.96, 0.28, 0.0, 0.28, -0.96, 0.0, 0.0, 0.0, -1.0))
    result = segmenter.segment(image)
    for mine, native in (
        (result.label_map.GetSize(), image.GetSize()),
        (result.label_map.GetSpacing(), image.GetSpacing()),
        (result.label_map.GetOrigin(), image.GetOrigin()),
        (result.label_map.GetDirection(), image.GetDirection()),
    ):
        assert mine == native
    found = set(np.unique(sitk.GetArrayViewFromImage(result.label_map)).tolist()) - {0}
    assert found == set(result.entropy)
    assert found <= {5101, 5102, 5111, 5112}
    assert len(found) >= 2
    assert all(0.0 < value <= 1.0 for value in result.entropy.values())


def test_a_stated_orientation_makes_the_way_an_image_is_stored_irrelevant(tmp_path: Path) -> None:
    segmenter = added(tmp_path, nnunet_folder(tmp_path), orientation="LPS")
    image = lumpy_image()
    expected = segmenter.segment(image).label_map
    stored = sitk.Flip(sitk.PermuteAxes(image, (2, 0, 1)), (True, False, True))
    found = segmenter.segment(stored).label_map
    assert found.GetOrigin() == stored.GetOrigin()
    back = sitk.Resample(found, expected, sitk.Transform(), sitk.sitkNearestNeighbor)
    assert np.array_equal(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(expected))


def test_mirroring_is_averaged_where_training_allowed_it(tmp_path: Path) -> None:
    plans = nnunet_plans(patch_size=[10, 40, 40])
    segmenter = added(tmp_path, nnunet_folder(tmp_path, plans, mirror_axes=(2,)))
    image = lumpy_image((44, 38, 9), (1.5, 1.5, 4.0))
    mirrored = sitk.GetImageFromArray(sitk.GetArrayFromImage(image)[:, :, ::-1])
    mirrored.CopyInformation(image)
    straight, other = plain_answer(segmenter, image), plain_answer(segmenter, mirrored)[..., ::-1]
    found = segmenter.logits(sitk.GetArrayFromImage(image), image.GetSpacing()[::-1])
    assert found == pytest.approx((straight + other) / 2, abs=1e-4)
    assert read_source(tmp_path / "nnUNetTrainer__nnUNetPlans__3d_fullres", mirror=False).network["mirror_axes"] == []


def test_the_same_image_gives_the_same_labels_and_no_order_matters(tmp_path: Path) -> None:
    segmenter = added(tmp_path, nnunet_folder(tmp_path, mirror_axes=(0, 1)))
    one, other = lumpy_image(), lumpy_image((40, 36, 8))
    first = [sitk.GetArrayFromImage(segmenter.segment(x).label_map) for x in (one, other)]
    again = [sitk.GetArrayFromImage(segmenter.segment(x).label_map) for x in (other, one)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_patches_cover_the_image_evenly() -> None:
    assert patch_starts((10, 7), (4, 7)) == [(0, 0), (2, 0), (4, 0), (6, 0)]
    assert patch_starts((11,), (8,)) == [(0,), (3,)]
    weight = patch_weight((8, 8))
    assert weight.max() == weight[4, 4] == pytest.approx(1.0)
    assert weight.min() > 0


def test_a_network_that_copies_its_input_is_unchanged_by_sliding() -> None:
    image = np.random.default_rng(0).normal(size=(1, 5, 21, 13)).astype(np.float32)
    for patch in ((4, 8, 8), (8, 8), (8, 32, 16)):
        found = sliding_logits(lambda x: torch.cat([x, -x], dim=1), image, patch, 2, "cpu")
        assert found == pytest.approx(np.concatenate([image, -image]), abs=1e-5)


def test_thick_slices_are_resampled_in_plane_and_picked_across() -> None:
    ramp = np.broadcast_to(np.arange(8.0), (1, 4, 8, 8)).astype(np.float32)
    ramp = ramp + 100.0 * np.arange(4, dtype=np.float32)[:, None, None]
    shape = target_shape((4, 8, 8), (8.0, 2.0, 2.0), (4.0, 1.0, 1.0))
    assert shape == (8, 16, 16)
    found = resample(ramp, shape, (8.0, 2.0, 2.0), (4.0, 1.0, 1.0), PLAIN_RESAMPLING | {"order": 1})
    # Every slice twice; in-plane linear between pixel centres, edges repeated.
    assert found[0, :, 0, 0].tolist() == [0, 0, 100, 100, 200, 200, 300, 300]
    assert found[0, 0, 0, :4] == pytest.approx([0.0, 0.25, 0.75, 1.25])


def test_even_voxels_are_resampled_along_all_axes_at_once() -> None:
    ramp = np.arange(4.0, dtype=np.float32)[None, :, None, None] * np.ones((1, 4, 4, 4), dtype=np.float32)
    found = resample(ramp, (8, 4, 4), (2.0, 1.0, 1.0), (1.0, 1.0, 1.0), PLAIN_RESAMPLING | {"order": 1})
    assert found[0, :, 1, 1] == pytest.approx([0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0])


def test_normalisation() -> None:
    volume = np.array([[[0.0, 2.0, 4.0]]], dtype=np.float32)
    inside = volume > 0
    assert normalise(volume.copy(), inside, "ZScoreNormalization", True).ravel() == pytest.approx([0.0, -1.0, 1.0])
    assert normalise(volume.copy(), inside, "ZScoreNormalization", False).mean() == pytest.approx(0.0, abs=1e-6)
    assert normalise(volume.copy(), inside, "RescaleTo01Normalization", False).ravel() == pytest.approx([0, 0.5, 1])
    assert np.array_equal(normalise(volume.copy(), inside, "NoNormalization", False), volume)


def changed(tmp_path: Path, file: str, change: Any) -> Path:
    folder = nnunet_folder(tmp_path)
    data = json.loads((folder / file).read_text())
    change(data)
    (folder / file).write_text(json.dumps(data))
    return folder


CONFIG = "3d_fullres"


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("dataset.json", lambda d: d.update(channel_names={"0": "water", "1": "fat"}), "2 input images"),
        ("dataset.json", lambda d: d.update(labels={"background": 0, "all": [1, 2], "a": 2}), "regions"),
        ("dataset.json", lambda d: d.update(labels={"background": 0, "a": 2}), "count up"),
        ("plans.json", lambda d: d.update(image_reader_writer="NaturalImage2DIO"), "reader"),
        ("plans.json", lambda d: d["configurations"][CONFIG].update(normalization_schemes=["CTNormalization"]), "CT"),
        ("plans.json", lambda d: d["configurations"][CONFIG].update(previous_stage="3d_lowres"), "cascade"),
        ("plans.json", lambda d: d["configurations"][CONFIG].update(resampling_fn_data="os.system"), "os.system"),
        ("plans.json", lambda d: d["configurations"][CONFIG].pop("spacing"), "does not describe"),
        (
            "plans.json",
            lambda d: d["configurations"][CONFIG]["architecture"].update(network_class_name="os.system"),
            "'system' is not supported",
        ),
        (
            "plans.json",
            lambda d: d["configurations"][CONFIG]["architecture"]["arch_kwargs"].update(block="Bottleneck"),
            "block",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, file: str, change: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read_source(changed(tmp_path, file, change))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    def widen(data: dict[str, Any]) -> None:
        data["configurations"][CONFIG]["architecture"]["arch_kwargs"]["features_per_stage"] = [4, 12]

    with pytest.raises(ModelError, match="do not fit"):
        read_source(changed(tmp_path, "plans.json", widen))


def test_plans_of_older_versions_say_the_same(tmp_path: Path) -> None:
    new = nnunet_folder(tmp_path)
    plans = json.loads((new / "plans.json").read_text())
    config = plans["configurations"][CONFIG]
    given = config.pop("architecture")["arch_kwargs"]
    config |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 320,
        "n_conv_per_stage_encoder": [2, 2],
        "n_conv_per_stage_decoder": [2],
        "pool_op_kernel_sizes": given["strides"],
        "conv_kernel_sizes": given["kernel_sizes"],
    }
    # What a user makes by hand inherits the rest.
    plans["configurations"]["ours"] = config
    plans["configurations"][CONFIG] = {"inherits_from": "ours"}
    old = nnunet_folder(tmp_path / "old", plans)
    one, other = (read_source(folder).network["architecture"] for folder in (new, old))
    assert NnUNetSpec.from_json(one) == NnUNetSpec.from_json(other)


def test_an_ignore_label_has_no_output(tmp_path: Path) -> None:
    folder = nnunet_folder(tmp_path, labels={**SEED_LABELS, "ignore": 5})
    assert read_source(folder).labels == tuple(SEED_LABELS)


def test_a_card_that_says_otherwise_than_the_weights_is_refused(tmp_path: Path) -> None:
    added(tmp_path, nnunet_folder(tmp_path))
    card = find("theirs@1.0.0", tmp_path / "models").card
    data = json.loads(card.read_text())
    data["network"]["spacing_mm"] = [4.0, 1.5, 1.4]
    card.write_text(json.dumps(data))
    with pytest.raises(ModelError, match="another network or preprocessing"):
        load_muscles("theirs@1.0.0", resources=tmp_path / "models")
    data["network"]["spacing_mm"] = [4.0, 1.5, 1.5]
    data["labels"][1], data["labels"][2] = data["labels"][2] | {"index": 1}, data["labels"][1] | {"index": 2}
    card.write_text(json.dumps(data))
    with pytest.raises(ModelError, match="other outputs"):
        load_muscles("theirs@1.0.0", resources=tmp_path / "models")


def test_other_settings_are_another_sha256(tmp_path: Path) -> None:
    folder = nnunet_folder(tmp_path, mirror_axes=(2,))
    digests = set()
    for number, options in enumerate(({}, {"orientation": "LPS"}, {"mirror": False})):
        source = read_source(folder, **options)  # type: ignore[arg-type]
        digests.add(add_model(source, propose(source.labels), "a", f"1.0.{number}", "MIT", tmp_path / "m").sha256)
    assert len(digests) == 3
    truncated = resolve("a@1.0.0", tmp_path / "m").weights
    truncated.write_bytes(truncated.read_bytes()[:-100])
    with pytest.raises(ModelError, match="MODEL_HASH_MISMATCH"):
        load_muscles("a@1.0.0", resources=tmp_path / "m")


def test_one_slice_is_segmented_and_nonsense_is_a_data_error(tmp_path: Path) -> None:
    segmenter = added(tmp_path, nnunet_folder(tmp_path))
    image = lumpy_image()
    assert segmenter.segment(image[:, :, 4:5]).label_map.GetSize() == (44, 38, 1)
    broken = sitk.Image(image)
    broken[20, 20, 4] = float("nan")
    cases = [(broken, "CONSTANT_IMAGE"), (image * 0.0, "CONSTANT_IMAGE"), (image[:, :, 4], "TOO_FEW_SLICES")]
    cases += [(sitk.JoinSeries([image, image]), "FOURD_UNEXPECTED"), (image[:5, :, :5], "TOO_FEW_SLICES")]
    for bad, reason in cases:
        with pytest.raises(DataError, match=reason):
            segmenter.segment(bad)


def test_spec_survives_json() -> None:
    assert NnUNetSpec.from_json(json.loads(json.dumps(RESIDUAL_2D.to_json()))) == RESIDUAL_2D
    assert replace(RESIDUAL_2D, n_classes=4) != RESIDUAL_2D
