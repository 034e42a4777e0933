"""Models in the layouts of other frameworks, made in the test: tiny networks with fixed weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from paraspinal.models.external.nnunet_network import NnUNet, NnUNetSpec

SEED_LABELS = {"background": 0, "ES_R": 1, "MF_R": 2, "MF_L": 3, "ES_L": 4}
"""Two muscles with their sides, as a group might have named and numbered them."""


def nnunet_plans(configuration: str = "3d_fullres", residual: bool = False, **changes: Any) -> dict[str, Any]:
    """Plans of nnU-Net 2.4 and later with one configuration; ``changes`` go into the configuration."""
    dims = 2 if configuration == "2d" else 3
    kernels = [[3] * dims, [3] * dims]
    blocks = "n_blocks_per_stage" if residual else "n_conv_per_stage"
    resampling = "resample_data_or_seg_to_shape"
    config = {
        "data_identifier": f"nnUNetPlans_{configuration}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [8, 32, 24][-dims:],
        "median_image_size_in_voxels": [10.0, 40.0, 40.0][-dims:],
        "spacing": [4.0, 1.5, 1.5][-dims:],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": resampling,
        "resampling_fn_seg": resampling,
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None},
        "resampling_fn_probabilities": resampling,
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet."
            + ("ResidualEncoderUNet" if residual else "PlainConvUNet"),
            "arch_kwargs": {
                "n_stages": 2,
                "features_per_stage": [4, 8],
                "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
                "kernel_sizes": kernels,
                "strides": [[1] * dims, [1, 2, 2][-dims:]],
                blocks: [2, 2],
                "n_conv_per_stage_decoder": [2],
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": True,
    }
    return {
        "dataset_name": "Dataset001_Test",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [4.0, 1.5, 1.5],
        "original_median_shape_after_transp": [10, 40, 40],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {configuration: config | changes},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {"mean": 1.0, "std": 1.0}},
    }


def nnunet_folder(
    parent: Path,
    plans: dict[str, Any] | None = None,
    labels: dict[str, Any] | None = None,
    folds: int = 1,
    mirror_axes: tuple[int, ...] | None = None,
    configuration: str = "3d_fullres",
) -> Path:
    """Write a result folder with random but fixed weights, and the leftovers real checkpoints carry."""
    from paraspinal.models.external.nnunet_plans import read_plans

    plans = plans or nnunet_plans(configuration)
    dataset = {
        "channel_names": {"0": "MRI"},
        "labels": labels or SEED_LABELS,
        "numTraining": 5,
        "file_ending": ".nii.gz",
    }
    folder = parent / f"nnUNetTrainer__nnUNetPlans__{configuration}"
    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    spec = NnUNetSpec.from_json(read_plans(plans, dataset, configuration, None)["architecture"])
    for fold in range(folds):
        torch.manual_seed(fold + 1)
        network = NnUNet(spec)
        with torch.no_grad():
            network.decoder.seg_layers[-1].weight.mul_(8.0)
        state = dict(network.state_dict())
        # nnU-Net's state lists the same tensors under second names.
        state |= {k.replace(".conv.", ".all_modules.0."): v for k, v in state.items() if ".convs.0.conv." in k}
        state |= {f"decoder.{k}": v for k, v in state.items() if k.startswith("encoder.")}
        (folder / f"fold_{fold}").mkdir()
        checkpoint = {
            "network_weights": state,
            "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
            "grad_scaler_state": None,
            "logging": {"mean_fg_dice": [np.float64(0.5), np.float32(0.25)]},
            "_best_ema": np.float64(0.5),
            "current_epoch": 2,
            "init_args": {"plans": plans, "configuration": configuration, "fold": fold, "dataset_json": dataset},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": mirror_axes,
        }
        torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder


BUNDLE_LABELS = {"0": "background", "1": "multifidus_left", "2": "multifidus_right", "3": "spleen"}
BUNDLE_NETWORK = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 4,
    "channels": [4, 8],
    "strides": [2],
    "num_res_units": 1,
    "norm": "instance",
}
BUNDLE_CONFIG: dict[str, Any] = {
    "imports": ["$import glob"],
    "device": "$torch.device('cpu')",
    "pixdim": [1.5, 1.5, 4.0],
    "network_def": BUNDLE_NETWORK,
    "network": "$@network_def.to(@device)",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
            {"_target_": "Spacingd", "keys": "image", "pixdim": "@pixdim", "mode": "bilinear"},
            {"_target_": "monai.transforms.NormalizeIntensityd", "keys": "image", "nonzero": True},
            {"_target_": "SpatialPadd", "keys": "image", "spatial_size": [32, 32, 16]},
            {"_target_": "EnsureTyped", "keys": "image"},
        ],
    },
    "inferer": {
        "_target_": "SlidingWindowInferer",
        "roi_size": [32, 32, 8],
        "sw_batch_size": 4,
        "overlap": 0.5,
        "mode": "gaussian",
    },
    "postprocessing": {"_target_": "Compose", "transforms": []},
    "evaluator": {"_target_": "SupervisedEvaluator", "device": "@device"},
}


def bundle_folder(parent: Path, config: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write a bundle with random but fixed weights; ``changes`` replace top-level keys of its configuration."""
    import monai.networks.nets as nets

    folder = parent / "bundle"
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    metadata = {
        "version": "0.1.0",
        "network_data_format": {
            "inputs": {"image": {"num_channels": 1}},
            "outputs": {"pred": {"channel_def": BUNDLE_LABELS}},
        },
    }
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (folder / "configs" / "inference.json").write_text(json.dumps((config or BUNDLE_CONFIG) | changes))
    torch.manual_seed(3)
    network = nets.UNet(**{k: v for k, v in BUNDLE_NETWORK.items() if k != "_target_"})
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return folder


def lumpy_image(size: tuple[int, int, int] = (44, 38, 9), spacing: tuple[float, float, float] = (1.1, 1.2, 5.0)) -> Any:
    """An image (x, y, z) with smooth random content, an empty rim and a grid of its own."""
    coarse = sitk.GetImageFromArray(np.random.default_rng(4).uniform(10, 200, (4, 8, 8)).astype(np.float32))
    fine = np.zeros(size[::-1], dtype=np.float32)
    inner = sitk.Resample(
        coarse,
        [size[0] - 8, size[1] - 6, size[2] - 2],
        sitk.Transform(),
        sitk.sitkLinear,
        [0.0] * 3,
        [7.0 / (n - 1) if i < 2 else 3.0 / (n - 1) for i, n in enumerate((size[0] - 8, size[1] - 6, size[2] - 2))],
    )
    fine[1:-1, 3:-3, 4:-4] = sitk.GetArrayFromImage(inner)
    image = sitk.GetImageFromArray(fine)
    image.SetSpacing(spacing)
    image.SetOrigin((-20.0, -31.0, 12.0))
    return image
