"""What an nnU-Net v2 result folder says of its network and preprocessing, read as data.

``plans.json`` and ``dataset.json`` in, plain JSON out. What this engine does not do (CT, several input images,
cascades, regions, other resampling) is refused by name. Importable without torch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from paraspinal.core.errors import ModelError

CONFIGURATIONS = ("2d", "3d_fullres", "3d_lowres")
NORMALIZATIONS = ("ZScoreNormalization", "RescaleTo01Normalization", "NoNormalization")
ORIENTATION_OF_READER = {"SimpleITKIO": None, "NibabelIO": None, "NibabelIOWithReorient": "RAS", None: None}
"""Orientation the image is turned to first; None: as it is stored, which is what nnU-Net does."""
ARCHITECTURES = ("PlainConvUNet", "ResidualEncoderUNet")
RESAMPLING = "resample_data_or_seg_to_shape"
RESAMPLING_OPTIONS = {"is_seg", "order", "order_z", "force_separate_z"}
IGNORE = "ignore"
_IGNORED_KWARGS = {"dropout_op", "dropout_op_kwargs", "deep_supervision"}


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object; anything else raises ModelError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{what} is missing or is not JSON: {path.name}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{what} is not a JSON object: {path.name}")
    return found


def read_labels(dataset: dict[str, Any]) -> tuple[str, ...]:
    """List label names in the order of the network's outputs, background first; an ``ignore`` label has no output."""
    labels = dataset.get("labels")
    if not isinstance(labels, dict) or not labels:
        raise ModelError("dataset.json names no labels")
    if any(not isinstance(value, int) for value in labels.values()) or dataset.get("regions_class_order"):
        raise ModelError("models trained on regions (labels that overlap) are not supported")
    names = sorted((name for name in labels if name.lower() != IGNORE), key=lambda name: int(labels[name]))
    if [labels[name] for name in names] != list(range(len(names))) or names[0].lower() != "background":
        raise ModelError("the labels of dataset.json do not count up from background = 0")
    return tuple(names)


def read_plans(
    plans: dict[str, Any], dataset: dict[str, Any], configuration: str, orientation: str | None
) -> dict[str, Any]:
    """Describe network and preprocessing of one configuration in plain JSON types.

    ``orientation`` (three letters such as ``LAS``) overrides the reader's. Raises ModelError naming what is not
    supported, or missing.
    """
    if configuration not in CONFIGURATIONS:
        raise ModelError(
            f"configuration {configuration!r} is not supported", hint=f"supported: {', '.join(CONFIGURATIONS)}"
        )
    channels = dataset.get("channel_names") or dataset.get("modality") or {}
    if len(channels) != 1:
        raise ModelError(f"the model takes {len(channels)} input images; this pipeline gives a network one")
    try:
        config = _inherited(plans["configurations"], configuration)
        reader = dataset.get("overwrite_image_reader_writer") or plans.get("image_reader_writer")
        if reader == "None":
            reader = None
        (scheme,), (use_mask,) = config["normalization_schemes"], config["use_mask_for_norm"]
        dims = len(config["patch_size"])
        spec = _architecture(config, dims, len(read_labels(dataset)))
        described = {
            "kind": "nnunet",
            "n_classes": spec["n_classes"],
            "n_heatmaps": 0,
            "architecture": spec,
            "patch_size": [int(n) for n in config["patch_size"]],
            "spacing_mm": [float(n) for n in config["spacing"]],
            "normalization": scheme,
            "use_mask_for_norm": bool(use_mask),
            "transpose_forward": [int(n) for n in plans.get("transpose_forward", (0, 1, 2))],
            "resample_image": _resampling(config, "data"),
            "resample_logits": _resampling(config, "probabilities"),
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"plans.json does not describe configuration {configuration}", hint=repr(error)) from error
    if scheme not in NORMALIZATIONS:
        raise ModelError(f"normalization {scheme!r} is not supported", hint=", ".join(NORMALIZATIONS))
    if reader not in ORIENTATION_OF_READER:
        raise ModelError(f"image reader {reader!r} is not supported")
    if config.get("previous_stage"):
        raise ModelError("cascades are not supported")
    return {**described, "orientation": orientation or ORIENTATION_OF_READER[reader]}


def _inherited(configurations: dict[str, Any], name: str) -> dict[str, Any]:
    own = dict(configurations[name])
    parent = own.pop("inherits_from", None)
    return {**_inherited({k: v for k, v in configurations.items() if k != name}, parent), **own} if parent else own


def _resampling(config: dict[str, Any], what: str) -> dict[str, Any]:
    function = config.get(f"resampling_fn_{what}", RESAMPLING)
    usual = {"order": 3 if what == "data" else 1, "order_z": 0, "force_separate_z": None}
    options = config.get(f"resampling_fn_{what}_kwargs", usual)
    if function != RESAMPLING or set(options) - RESAMPLING_OPTIONS or options.get("is_seg"):
        raise ModelError(f"resampling by {function} with {', '.join(sorted(options))} is not supported")
    return {
        "order": int(options.get("order", 3)),
        "order_z": int(options.get("order_z", 0)),
        "force_separate_z": options.get("force_separate_z", False),
    }


def _architecture(config: dict[str, Any], dims: int, n_classes: int) -> dict[str, Any]:
    """Describe the network from the newer form of plans (``architecture``) or the older flat one."""
    common = {"n_dimensions": dims, "n_inputs": 1, "n_classes": n_classes}
    if "architecture" not in config:
        name = config["UNet_class_name"]
        _supported(name)
        widest, first = int(config["unet_max_num_features"]), int(config["UNet_base_num_features"])
        strides = config["pool_op_kernel_sizes"]
        return common | {
            "architecture": name,
            "features": [min(widest, first * 2**i) for i in range(len(strides))],
            "kernel_sizes": [list(map(int, k)) for k in config["conv_kernel_sizes"]],
            "strides": [list(map(int, s)) for s in strides],
            "n_blocks": [int(n) for n in config["n_conv_per_stage_encoder"]],
            "n_blocks_decoder": [int(n) for n in config["n_conv_per_stage_decoder"]],
        }
    name = str(config["architecture"]["network_class_name"]).rsplit(".", 1)[-1]
    _supported(name)
    given = dict(config["architecture"]["arch_kwargs"])
    n_stages = int(given.pop("n_stages"))
    norm = str(given.pop("norm_op")).rsplit(".", 1)[-1].removesuffix(f"{dims}d")
    nonlinearity = str(given.pop("nonlin")).rsplit(".", 1)[-1]
    norm_options, options = given.pop("norm_op_kwargs") or {}, given.pop("nonlin_kwargs") or {}
    blocks = given.pop("n_blocks_per_stage" if name == "ResidualEncoderUNet" else "n_conv_per_stage")
    described = common | {
        "architecture": name,
        "features": _per_stage(given.pop("features_per_stage"), n_stages),
        "kernel_sizes": [_per_axis(k, dims) for k in _spread(given.pop("kernel_sizes"), n_stages)],
        "strides": [_per_axis(s, dims) for s in _spread(given.pop("strides"), n_stages)],
        "n_blocks": _per_stage(blocks, n_stages),
        "n_blocks_decoder": _per_stage(given.pop("n_conv_per_stage_decoder"), n_stages - 1),
        "has_bias": bool(given.pop("conv_bias", False)),
        "norm": norm,
        "norm_epsilon": float(norm_options.get("eps", 1e-5)),
        "is_norm_affine": bool(norm_options.get("affine", norm == "BatchNorm")),
        "negative_slope": float(options.get("negative_slope", 0.01)) if nonlinearity == "LeakyReLU" else 0.0,
    }
    convolution = str(given.pop("conv_op")).rsplit(".", 1)[-1]
    if convolution != f"Conv{dims}d" or norm not in ("InstanceNorm", "BatchNorm"):
        raise ModelError(f"{convolution} with {norm} is not supported")
    if nonlinearity not in ("LeakyReLU", "ReLU"):
        raise ModelError(f"nonlinearity {nonlinearity!r} is not supported")
    if set(given) - _IGNORED_KWARGS:
        raise ModelError(f"network options are not supported: {', '.join(sorted(set(given) - _IGNORED_KWARGS))}")
    return described


def _supported(name: str) -> None:
    if name not in ARCHITECTURES:
        raise ModelError(f"network {name!r} is not supported", hint=", ".join(ARCHITECTURES))


def _spread(value: Any, count: int) -> list[Any]:
    return list(value) if isinstance(value, list) else [value] * count


def _per_stage(value: Any, count: int) -> list[int]:
    return [int(v) for v in _spread(value, count)]


def _per_axis(value: Any, dims: int) -> list[int]:
    return [int(v) for v in _spread(value, dims)]
