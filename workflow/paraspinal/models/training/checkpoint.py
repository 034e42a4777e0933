"""Training checkpoints and weights on disk: safetensors only, written atomically, no pickle."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from paraspinal.core.errors import ModelError

DESCRIPTION_KEY = "description"
READABLE = 0o644


@dataclass(frozen=True)
class Checkpoint:
    """A training run at one step; ``description`` is plain JSON, ``average`` the weights one would ship."""

    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    description: dict[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint so that a kill at any instant leaves the old one or the new one."""
    tensors = {f"weights:{k}": v for k, v in checkpoint.weights.items()}
    tensors |= {f"average:{k}": v for k, v in checkpoint.average.items()}
    tensors |= {f"optimiser:{k}": v for k, v in checkpoint.optimiser.items()}
    save_tensors(path, tensors, {DESCRIPTION_KEY: json.dumps(checkpoint.description, sort_keys=True)})


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what :func:`write_checkpoint` wrote; anything else raises ModelError."""
    tensors, metadata = load_tensors(path)
    if DESCRIPTION_KEY not in metadata:
        raise ModelError("the file is not a training checkpoint")
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "optimiser": {}}
    for key, value in tensors.items():
        part, _, name = key.partition(":")
        parts[part][name] = value
    return Checkpoint(description=json.loads(metadata[DESCRIPTION_KEY]), **parts)


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors atomically; the same tensors give the same bytes."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    with partial.open("wb") as handle:
        handle.write(_in_order(safetensors.torch.save(plain, metadata)))
        handle.flush()
        os.fsync(handle.fileno())
    partial.chmod(READABLE)  # whatever the umask, a model is for everyone
    partial.replace(path)


def _in_order(data: bytes) -> bytes:
    """Sort the metadata in the header of a safetensors file, which its writer puts in any order."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight bytes
    return len(text).to_bytes(8, "little") + text + data[end:]


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and metadata; a file that is not safetensors (a pickle, say) raises ModelError."""
    try:
        with safetensors.safe_open(path, framework="pt") as handle:
            return {k: handle.get_tensor(k) for k in handle.keys()}, dict(handle.metadata() or {})  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ModelError(
            "the weights are truncated, or not a safetensors file", hint="pickled weights are never loaded"
        ) from error


def tensors_digest(tensors: dict[str, Tensor]) -> str:
    """Hash names, types, shapes and values of tensors, whatever their order; hexadecimal sha256."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        plain = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
