"""What a MONAI bundle says of its network and preprocessing, read as data and never executed.

MONAI's own parser evaluates every ``$`` expression as Python. Here a configuration is plain JSON: a value is
used only if it is a number, a word or a list of them, references to plain values are followed, and classes
are looked up in the lists below. An expression where a value is needed is refused by name; elsewhere it is
left out with a notice. Importable without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paraspinal.core.errors import ModelError
from paraspinal.models.external.nnunet_plans import read_json

NETWORKS = ("UNet", "BasicUNet", "SegResNet", "DynUNet")
"""Classes of ``monai.networks.nets`` a bundle may name as ``network_def``."""

READING = {"LoadImaged", "EnsureChannelFirstd", "AddChanneld", "EnsureTyped", "ToTensord", "CastToTyped", "ToDeviced"}
"""Transforms that only read an image or change its container; what they do has been done."""

TRANSFORMS: dict[str, tuple[str, ...]] = {
    "Orientationd": ("axcodes",),
    "Spacingd": ("pixdim", "mode", "padding_mode", "align_corners", "scale_extent", "min_pixdim", "max_pixdim"),
    "SpatialPadd": ("spatial_size", "method", "mode", "value"),
    "DivisiblePadd": ("k", "method", "mode", "value"),
    "CropForegroundd": ("margin", "allow_smaller", "k_divisible", "mode"),
    "NormalizeIntensityd": ("subtrahend", "divisor", "nonzero", "channel_wise"),
    "ScaleIntensityd": ("minv", "maxv", "factor", "channel_wise"),
    "ScaleIntensityRanged": ("a_min", "a_max", "b_min", "b_max", "clip"),
    "ScaleIntensityRangePercentilesd": ("lower", "upper", "b_min", "b_max", "clip", "relative", "channel_wise"),
}
"""Preprocessing a bundle may ask for, and the arguments taken over."""

BOOKKEEPING = {
    *("keys", "allow_missing_keys", "source_key", "start_coord_key", "end_coord_key", "meta_keys", "dtype"),
    *("track_meta", "lazy", "image_only", "reader", "ensure_channel_first", "device", "recompute_affine"),
}
"""Arguments that say where a dictionary transform looks, not what it does."""

INFERERS: dict[str, tuple[str, ...]] = {
    "SlidingWindowInferer": ("roi_size", "overlap", "mode", "sigma_scale", "padding_mode", "cval"),
    "SliceInferer": ("roi_size", "overlap", "mode", "sigma_scale", "padding_mode", "cval", "spatial_dim"),
    "SimpleInferer": (),
}
"""Ways to run the network over an image. Batch size and device are this engine's own affair."""
_INFERER_OURS = {"sw_batch_size", "sw_device", "device", "progress", "cache_roi_weight_map"}

_MARKS = ("_target_", "_requires_", "_disabled_", "_desc_", "_mode_")


class _ExpressionError(Exception):
    """Where a plain value was needed stands one that would have to be run; the argument is where."""


def read_bundle(folder: Path) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """Describe a bundle: network and preprocessing in plain JSON types, labels in channel order, and notices.

    Raises ModelError naming what is missing, not supported, or would have to be executed.
    """
    metadata = read_json(folder / "configs" / "metadata.json", "the bundle's metadata")
    path = next((p for n in ("inference", "train") if (p := folder / "configs" / f"{n}.json").is_file()), None)
    if path is None:
        raise ModelError("the bundle has neither configs/inference.json nor configs/train.json")
    config = read_json(path, "the bundle's configuration")
    labels = _labels(metadata)
    try:
        network = _network(config)
        described: dict[str, Any] = {
            "kind": "monai",
            "n_classes": len(labels),
            "n_heatmaps": 0,
            "network": network,
            "transforms": _transforms(config),
            "inferer": _inferer(config),
        }
    except _ExpressionError as found:
        raise ModelError(
            f"the bundle's {found} is a Python expression; bundles are read as data and never executed",
            hint="write the value itself in its place",
        ) from None
    arguments = network["arguments"]
    if arguments.get("in_channels") != 1:
        raise ModelError("the network must take one input channel: this pipeline gives it one image")
    if arguments.get("out_channels") != len(labels):
        raise ModelError("the network has another number of outputs than the bundle's metadata names")
    if arguments.get("spatial_dims") == 2 and described["inferer"]["name"] != "SliceInferer":
        raise ModelError("a 2-D network needs a SliceInferer", hint="say so under `inferer`")
    return described, labels, _notices(config)


def _labels(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        outputs = metadata["network_data_format"]["outputs"]
        channels = (outputs.get("pred") or next(iter(outputs.values())))["channel_def"]
        names = [str(channels[str(i)]) for i in range(len(channels))]
    except (KeyError, TypeError, AttributeError, StopIteration):
        raise ModelError(
            "metadata.json does not name the output channels", hint="network_data_format.outputs.pred.channel_def"
        ) from None
    if not names or names[0].lower() != "background":
        raise ModelError("the first output channel of the bundle is not the background")
    return tuple(names)


def _network(config: Mapping[str, Any]) -> dict[str, Any]:
    if "network_def" not in config:
        raise ModelError("the bundle's configuration has no network_def")
    found = _follow(config["network_def"], config, "network_def")
    name = _target(found, "network_def")
    if name not in NETWORKS:
        raise ModelError(f"network {name!r} is not supported", hint=", ".join(NETWORKS))
    arguments = {k: _plain(v, config, f"network_def.{k}") for k, v in found.items() if k not in _MARKS}
    return {"name": name, "arguments": arguments}


def _transforms(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = _follow(config.get("preprocessing", []), config, "preprocessing")
    steps = found.get("transforms", []) if isinstance(found, dict) else found
    steps = _follow(steps, config, "preprocessing.transforms")
    kept = []
    for number, step in enumerate(steps):
        where = f"preprocessing.{number}"
        step = _follow(step, config, where)
        name = _target(step, where)
        if _plain(step.get("_disabled_", False), config, f"{where}._disabled_") or name in READING:
            continue
        if name not in TRANSFORMS:
            raise ModelError(f"preprocessing by {name} is not supported", hint=", ".join(TRANSFORMS))
        kept.append({"name": name, "arguments": _arguments(step, config, name, TRANSFORMS[name], BOOKKEEPING)})
    return kept


def _inferer(config: Mapping[str, Any]) -> dict[str, Any]:
    found = _follow(config.get("inferer", {"_target_": "SimpleInferer"}), config, "inferer")
    name = _target(found, "inferer")
    if name not in INFERERS:
        raise ModelError(f"inference by {name} is not supported", hint=", ".join(INFERERS))
    return {"name": name, "arguments": _arguments(found, config, name, INFERERS[name], _INFERER_OURS)}


def _arguments(
    step: Mapping[str, Any], config: Mapping[str, Any], name: str, known: tuple[str, ...], ignored: set[str]
) -> dict[str, Any]:
    given = {k: v for k, v in step.items() if k not in _MARKS and k not in ignored}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ModelError(f"{name} with {', '.join(unknown)} is not supported", hint=f"known: {', '.join(known)}")
    plain = {k: _plain(v, config, f"{name}.{k}") for k, v in given.items()}
    if "mode" in plain and name in ("Spacingd",) and isinstance(plain["mode"], list):
        plain["mode"] = plain["mode"][0]  # one per key; the image stands first
    return plain


def _target(value: Any, where: str) -> str:
    """Name of the class a component asks for; one from anywhere but MONAI is refused."""
    if not isinstance(value, dict) or not isinstance(value.get("_target_"), str):
        raise ModelError(f"the bundle's {where} names no class")
    if value["_target_"].startswith("$"):
        raise _ExpressionError(where)
    package, _, name = value["_target_"].rpartition(".")
    if package and package.split(".")[0] != "monai":
        raise ModelError(f"the bundle's {where} asks for {value['_target_']}, which is not MONAI's")
    return str(name)


def _follow(value: Any, config: Mapping[str, Any], where: str, depth: int = 0) -> Any:
    """Follow ``@name`` and ``@name::key`` to what they stand for; expressions and references outside are refused."""
    if not isinstance(value, str):
        return value
    if value.startswith(("$", "%")):
        raise _ExpressionError(where)
    if not value.startswith("@"):
        return value
    found: Any = config
    for key in value[1:].replace("#", "::").split("::"):
        try:
            found = found[int(key)] if isinstance(found, list) else found[key]
        except (KeyError, IndexError, TypeError, ValueError):
            raise ModelError(f"the bundle's {where} refers to {value}, which is not there") from None
    if depth > 20:
        raise ModelError(f"the bundle's {where} refers to itself")
    return _follow(found, config, where, depth + 1)


def _plain(value: Any, config: Mapping[str, Any], where: str) -> Any:
    """Return a number, word or null, or a list or mapping of them; a component or an expression is refused."""
    value = _follow(value, config, where)
    if isinstance(value, list):
        return [_plain(v, config, where) for v in value]
    if isinstance(value, dict):
        if "_target_" in value:
            raise ModelError(f"the bundle's {where} is a component, not a plain value")
        return {k: _plain(v, config, where) for k, v in value.items()}
    return value


def _notices(config: Mapping[str, Any]) -> tuple[str, ...]:
    used = {"network_def", "preprocessing", "inferer"}
    notices = [
        f"not used, it would have to be executed: {name}"
        for name, value in config.items()
        if name not in used and "$" in str(value)
    ]
    if "postprocessing" in config:
        notices.append("not used: postprocessing (labels are the most probable class in the image's own grid)")
    return tuple(notices)
