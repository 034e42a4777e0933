"""Add somebody else's model to a folder of models: read as data, converted once, its labels confirmed by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from paraspinal.core.errors import ModelError
from paraspinal.core.files import sha256_file
from paraspinal.core.paths import RESOURCES
from paraspinal.models.card import ModelCard, card_labels, write_card
from paraspinal.models.external.external import fit
from paraspinal.models.external.external_card import engine_metadata
from paraspinal.models.external.external_weights import read_foreign, state_dict
from paraspinal.models.external.label_names import LabelMatch, class_names
from paraspinal.models.external.monai_bundle import read_bundle
from paraspinal.models.external.monai_engine import build_bundle_network
from paraspinal.models.external.nnunet_network import NnUNet, NnUNetSpec, own_tensors
from paraspinal.models.external.nnunet_plans import read_json, read_labels, read_plans
from paraspinal.models.registry import ModelEntry, list_models, register
from paraspinal.models.training.checkpoint import save_tensors

NAME, VERSION = re.compile(r"[a-z0-9_-]+"), re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")
ORIENTATION = re.compile(r"[RL][AP][IS]")
CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")


@dataclass(frozen=True)
class Source:
    """A model of another framework, read but not yet registered; ``labels`` in channel order."""

    framework: str
    network: dict[str, Any]
    labels: tuple[str, ...]
    tensors: dict[str, Tensor]
    files: dict[str, str]  # name within the source folder: sha256
    notices: tuple[str, ...]


def read_source(folder: Path, orientation: str | None = None, mirror: bool = True) -> Source:
    """Read a MONAI bundle or an nnU-Net v2 result folder, whichever ``folder`` is.

    ``orientation`` (nnU-Net only): how images were stored in training, three letters; ``mirror``: average over
    mirror images where training allowed it. Raises ModelError for anything that cannot be read safely and run.
    """
    if orientation is not None and not ORIENTATION.fullmatch(orientation):
        raise ModelError(f"orientation {orientation!r} is not three of R or L, A or P, I or S in that order")
    if (folder / "plans.json").is_file():
        return _nnunet(folder, orientation, mirror)
    if (folder / "configs" / "metadata.json").is_file():
        return _bundle(folder)
    raise ModelError(
        "the folder is neither a MONAI bundle nor an nnU-Net v2 result folder",
        hint="expected configs/metadata.json, or plans.json with dataset.json and fold_*",
    )


def add_model(
    source: Source, matches: Sequence[LabelMatch], name: str, version: str, licence: str, resources: Path
) -> ModelEntry:
    """Convert a source to safetensors in ``resources``, write its card, register it and return its row.

    Raises ModelError for a name that is taken, by this folder or a shipped model, or not well formed.
    """
    if not NAME.fullmatch(name) or not VERSION.fullmatch(version):
        raise ModelError("a model is named in lower-case letters, digits, - and _, with a version like 1.0.0")
    if f"{name}@{version}" in {e.identifier for e in (*list_models(resources), *list_models())}:
        raise ModelError(f"there is a model {name}@{version} already", hint="give it another version")
    if resources.resolve() == RESOURCES.resolve():
        raise ModelError("the folder is that of the shipped models", hint="name a folder of your own with --folder")
    card = _card(source, class_names(matches), matches, name, version, licence)
    folder = resources / "models" / name / version
    folder.mkdir(parents=True, exist_ok=True)
    weights, card_path = folder / "weights.safetensors", folder / "card.json"
    save_tensors(weights, source.tensors, engine_metadata(card))
    write_card(card_path, card)
    entry = ModelEntry(name, version, card.task, weights, sha256_file(weights), licence, card_path)
    register(entry, resources)
    return entry


def _nnunet(folder: Path, orientation: str | None, mirror: bool) -> Source:
    plans = read_json(folder / "plans.json", "the plans")
    dataset = read_json(folder / "dataset.json", "the description of the data set")
    paths = [
        next((p for n in CHECKPOINTS if (p := fold / n).is_file()), None) for fold in sorted(folder.glob("fold_*"))
    ]
    found = [read_foreign(path) for path in paths if path]
    if not found:
        raise ModelError("the result folder has no fold with a checkpoint", hint=" or ".join(CHECKPOINTS))
    configuration = str(found[0].get("init_args", {}).get("configuration", folder.name.rsplit("__", 1)[-1]))
    described = read_plans(plans, dataset, configuration, orientation)
    axes = found[0].get("inference_allowed_mirroring_axes") or ()
    described |= {"n_folds": len(found), "mirror_axes": [int(axis) for axis in axes] if mirror else []}
    spec = NnUNetSpec.from_json(described["architecture"])
    tensors: dict[str, Tensor] = {}
    for number, checkpoint in enumerate(found):
        own = own_tensors(state_dict(checkpoint, ("network_weights",)))
        fit(NnUNet(spec), own, "cpu")
        tensors |= {f"fold{number}.{name}": value.clone() for name, value in own.items()}
    files = {path.relative_to(folder).as_posix(): sha256_file(path) for path in paths if path}
    notices = [] if described["mirror_axes"] else ["no mirroring: every patch passes the network once"]
    notices += ["not used: postprocessing found by nnU-Net"] if list(folder.rglob("postprocessing.pkl")) else []
    return Source("nnU-Net v2 result folder", described, read_labels(dataset), tensors, files, tuple(notices))


def _bundle(folder: Path) -> Source:
    described, labels, notices = read_bundle(folder)
    path = folder / "models" / "model.pt"
    found = state_dict(read_foreign(path), ("state_dict", "model", "network", "network_weights"))
    network = fit(build_bundle_network(described["network"]), found, "cpu")
    # Some networks list a tensor under two names; both are kept, each with its own memory.
    tensors = {name: value.clone() for name, value in network.state_dict().items()}
    files = {path.relative_to(folder).as_posix(): sha256_file(path)}
    return Source("MONAI bundle", described, labels, tensors, files, notices)


def _card(
    source: Source, names: tuple[str, ...], matches: Sequence[LabelMatch], name: str, version: str, licence: str
) -> ModelCard:
    return ModelCard(
        name=name,
        version=version,
        task="muscles",
        licence=licence,
        summary=f"Brought by the user from a {source.framework}.",
        input={"channels": ["the image, one scalar volume"], "dixon_part": "water"},
        network=source.network,
        labels=card_labels(names),
        heatmaps=(),
        training={
            "source": source.framework,
            "files_sha256": source.files,
            "labels_of_the_source": {match.model_label: match.registry_label for match in matches},
            "torch": torch.__version__,
        },
        intended_use="As its makers say; this project has not measured it.",
        limits=("Accuracy in this pipeline is unknown until it is evaluated on labelled images of your own.",),
        accuracy=(),
    )
