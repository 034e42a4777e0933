"""MONAI bundles: JSON read as data, never executed, and run as MONAI runs them."""

from __future__ import annotations

import json
import pickle
import zipfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import monai.networks.nets as nets
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from foreign_factory import BUNDLE_CONFIG, BUNDLE_NETWORK, bundle_folder, lumpy_image
from monai.data import MetaTensor
from monai.inferers import sliding_window_inference
from monai.transforms import Compose, NormalizeIntensity, Orientation, Spacing, SpatialPad

from paraspinal.core.errors import DataError, ModelError
from paraspinal.models.engine import load_muscles
from paraspinal.models.external.adopt import add_model, read_source
from paraspinal.models.external.external_weights import read_foreign, state_dict
from paraspinal.models.external.label_names import propose
from paraspinal.models.external.monai_engine import BundleSegmenter, meta_tensor


def added(tmp_path: Path, folder: Path) -> BundleSegmenter:
    source = read_source(folder)
    add_model(source, propose(source.labels), "bundle", "1.0.0", "MIT", tmp_path / "models")
    segmenter = load_muscles("bundle@1.0.0", resources=tmp_path / "models")
    assert isinstance(segmenter, BundleSegmenter)
    return segmenter


def plain_network(folder: Path) -> torch.nn.Module:
    network = nets.UNet(**{k: v for k, v in BUNDLE_NETWORK.items() if k != "_target_"})
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    return network.eval()


def test_the_answer_is_that_of_plain_monai(tmp_path: Path) -> None:
    folder = bundle_folder(tmp_path)
    segmenter, image = added(tmp_path, folder), lumpy_image()
    image.SetDirection((0.96, 0.28, 0.0, 0.28, -0.96, 0.0, 0.0, 0.0, -1.0))
    axes = (("L", "R"), ("P", "A"), ("I", "S"))
    steps = Compose([Orientation("RAS", labels=axes), Spacing((1.5, 1.5, 4.0)), NormalizeIntensity(nonzero=True)])
    padding = SpatialPad((32, 32, 16))
    ready = padding(steps(meta_tensor(image)))
    with torch.no_grad():
        logits = sliding_window_inference(
            ready.as_tensor()[None], (32, 32, 8), 2, plain_network(folder), 0.5, "gaussian"
        )[0]
    shares = MetaTensor(logits.softmax(dim=0), affine=ready.affine, applied_operations=ready.applied_operations)
    expected = steps.inverse(padding.inverse(shares)).as_tensor().numpy().transpose(0, 3, 2, 1)
    found = segmenter.probabilities(image)
    assert found == pytest.approx(expected, abs=1e-5)
    labels = sitk.GetArrayFromImage(segmenter.segment(image).label_map)
    codes = np.array([0, 5101, 5102, 0])  # the spleen becomes background
    assert np.mean(labels == codes[expected.argmax(axis=0)]) > 0.9999
    assert set(np.unique(labels)) == {0, 5101, 5102}


def test_without_preprocessing_it_is_the_plain_network(tmp_path: Path) -> None:
    folder = bundle_folder(tmp_path, preprocessing=[], inferer={"_target_": "SimpleInferer"})
    image = lumpy_image((32, 24, 16), (1.0, 1.0, 3.0))
    values = torch.from_numpy(sitk.GetArrayFromImage(image).transpose(2, 1, 0).copy())
    with torch.no_grad():
        expected = plain_network(folder)(values[None, None])[0].softmax(dim=0).numpy().transpose(0, 3, 2, 1)
    assert added(tmp_path, folder).probabilities(image) == pytest.approx(expected, abs=1e-6)


def test_a_2d_network_sees_slices(tmp_path: Path) -> None:
    flat = BUNDLE_NETWORK | {"spatial_dims": 2}
    inferer = {"_target_": "SliceInferer", "roi_size": [32, 32], "spatial_dim": 2}
    folder = bundle_folder(tmp_path, network_def=flat, preprocessing=[], inferer=inferer)
    network = nets.UNet(**{k: v for k, v in flat.items() if k != "_target_"}).eval()
    torch.save({"state_dict": network.state_dict()}, folder / "models" / "model.pt")
    image = lumpy_image((32, 32, 5), (1.0, 1.0, 3.0))
    with torch.no_grad():
        values = torch.from_numpy(sitk.GetArrayFromImage(image).transpose(0, 2, 1).copy())[:, None]
        expected = network(values).softmax(dim=1).numpy().transpose(1, 0, 3, 2)
    assert added(tmp_path, folder).probabilities(image) == pytest.approx(expected, abs=1e-5)


def test_label_map_has_the_native_grid_and_the_same_image_the_same_labels(tmp_path: Path) -> None:
    segmenter, image = added(tmp_path, bundle_folder(tmp_path)), lumpy_image()
    image.SetDirection((0.0, 0.0, 1.0, 0.96, 0.28, 0.0, -0.28, 0.96, 0.0))
    first = segmenter.segment(image).label_map
    segmenter.segment(lumpy_image((40, 36, 8)))
    again = segmenter.segment(image).label_map
    assert np.array_equal(sitk.GetArrayFromImage(first), sitk.GetArrayFromImage(again))
    assert (first.GetSize(), first.GetDirection()) == (image.GetSize(), image.GetDirection())
    assert (first.GetOrigin(), first.GetSpacing()) == (image.GetOrigin(), image.GetSpacing())
    with pytest.raises(DataError, match="CONSTANT_IMAGE"):
        segmenter.segment(image * 0.0)


def test_expressions_elsewhere_are_left_out_with_a_notice(tmp_path: Path) -> None:
    notices = read_source(bundle_folder(tmp_path)).notices
    assert any("device" in notice for notice in notices)
    assert any("postprocessing" in notice for notice in notices)


def config_with(where: tuple[Any, ...], value: Any) -> dict[str, Any]:
    config = deepcopy(BUNDLE_CONFIG)
    inner: Any = config
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    return config


BOMB = "$__import__('pathlib').Path('executed').touch()"


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("network_def", "channels"), BOMB, "never executed"),
        (("network_def", "channels", 0), BOMB, "never executed"),
        (("network_def",), BOMB, "never executed"),
        (("network_def", "_target_"), BOMB, "never executed"),
        (("network_def", "_target_"), "os.system", "not MONAI's"),
        (("network_def", "_target_"), "subprocess.UNet", "not MONAI's"),
        (("network_def", "_target_"), "SwinUNETR", "SwinUNETR"),
        (("network_def", "act"), {"_target_": "torch.nn.ReLU"}, "component"),
        (("network_def", "out_channels"), 7, "number of outputs"),
        (("network_def", "in_channels"), 2, "one input"),
        (("network_def", "surprise"), 1, "does not take"),
        (("network_def", "channels"), "@nowhere", "not there"),
        (("network_def", "channels"), "@pixdim::9", "not there"),
        (("pixdim",), BOMB, "never executed"),
        (("pixdim",), "@pixdim", "itself"),
        (("pixdim",), "%other.json::pixdim", "never executed"),
        (("preprocessing", "transforms", 3, "surprise"), 1, "surprise"),
        (("preprocessing", "transforms", 0, "_target_"), "Lambdad", "Lambdad"),
        (("preprocessing", "transforms", 0, "_disabled_"), BOMB, "never executed"),
        (("preprocessing",), BOMB, "never executed"),
        (("inferer", "roi_size"), BOMB, "never executed"),
        (("inferer", "_target_"), "PatchInferer", "PatchInferer"),
    ],
)
def test_code_and_unknown_parts_are_refused_by_name_and_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: tuple[Any, ...], value: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=message):
        read_source(bundle_folder(tmp_path, config_with(where, value)))
    assert not (tmp_path / "executed").exists()


def test_expressions_beside_the_needed_parts_do_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    read_source(bundle_folder(tmp_path, imports=[BOMB], device=BOMB, initialize=[BOMB]))
    assert not (tmp_path / "executed").exists()


def test_metadata_must_name_the_channels(tmp_path: Path) -> None:
    folder = bundle_folder(tmp_path)
    path = folder / "configs" / "metadata.json"
    data = json.loads(path.read_text())
    data["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "left", "1": "right"}
    path.write_text(json.dumps(data))
    with pytest.raises(ModelError, match="not the background"):
        read_source(folder)
    path.write_text("[]")
    with pytest.raises(ModelError, match="not a JSON object"):
        read_source(folder)
    with pytest.raises(ModelError, match="neither a MONAI bundle nor"):
        read_source(tmp_path)


class Bomb:
    """Unpickles into a call."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


def test_pickled_code_is_refused_and_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = bundle_folder(tmp_path)
    weights = folder / "models" / "model.pt"
    good = torch.load(weights, weights_only=True)
    torch.save({**good, "extra": Bomb()}, weights)
    with pytest.raises(ModelError, match="more than tensors"):
        read_source(folder)
    weights.write_bytes(pickle.dumps(good))
    with pytest.raises(ModelError, match="zip format"):
        read_source(folder)
    torch.save(torch.nn.Linear(2, 2), weights)
    with pytest.raises(ModelError, match="more than tensors"):
        read_source(folder)
    assert not (tmp_path / "executed").exists()


def test_damaged_compressed_and_missing_weights_are_refused(tmp_path: Path) -> None:
    folder = bundle_folder(tmp_path)
    weights = folder / "models" / "model.pt"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="truncated"):
        read_source(folder)
    weights.write_bytes(whole[:1000] + b"\xff" * 64 + whole[1064:])
    with pytest.raises(ModelError):
        read_source(folder)
    for name, packing, message in [("x/code/a.py", zipfile.ZIP_STORED, "TorchScript"), ("x/a", 8, "compressed")]:
        with zipfile.ZipFile(weights, "w", packing) as archive:
            archive.writestr(name, "1")
        with pytest.raises(ModelError, match=message):
            read_source(folder)
    weights.unlink()
    with pytest.raises(ModelError, match="missing"):
        read_source(folder)


def test_leftovers_of_training_become_inert(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    leftovers = {"curve": [np.float64(0.5), np.zeros(3)], "folder": Path("somewhere"), "module.x": torch.ones(2)}
    torch.save(leftovers, path)
    found = read_foreign(path)
    assert type(found["folder"]).__module__ == "paraspinal.models.external.external_weights"
    assert vars(found["curve"][0]) == {}
    assert torch.equal(state_dict({"w": {"module.x": torch.ones(2)}}, ("w",))["x"], torch.ones(2))
    with pytest.raises(ModelError, match="no state of a network"):
        state_dict(found, ("w",))
