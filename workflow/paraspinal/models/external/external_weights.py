"""Tensors out of somebody else's .pt or .pth file, without running anything that is in it.

Such a file is a zip with a pickle, and a pickle is a program. It is read by torch's restricted unpickler
(``weights_only``), which builds tensors and plain containers and refuses every other name. Training
checkpoints also hold harmless leftovers (numpy scalars of the learning curve, paths). Rather than allowing
numpy's constructors, whose behaviour on crafted input is not ours to vouch for, the few names that occur
get an inert stand-in that stores nothing and calls nothing. Any further name is refused.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from paraspinal.core.errors import ModelError

HINT = 'save the tensors alone: torch.save({"network_weights": network.state_dict()}, path)'


class _Ignored:
    """Stands in for an object that is not needed; takes any arguments and any state, keeps neither."""

    def __new__(cls, *arguments: Any, **options: Any) -> _Ignored:
        return object.__new__(cls)

    def __init__(self, *arguments: Any, **options: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


STAND_INS = (
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.ndarray",
    "numpy.dtype",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib.Path",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
)
"""Names in pickles that are answered with an object that does nothing."""


def read_foreign(path: Path) -> dict[str, Any]:
    """Read the mapping a .pt or .pth file holds, on the CPU.

    Raises ModelError for a file that is missing, truncated, not torch's zip format, a TorchScript program, or whose
    pickle names anything but tensors and plain values.
    """
    if not path.is_file():
        raise ModelError(f"a weights file is missing: {path.name}")
    if not zipfile.is_zipfile(path):
        raise ModelError(
            f"{path.name} is truncated, or not in torch's zip format",
            hint="files of torch before 1.6 and plain pickles are not read",
        )
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any("/code/" in f"/{member.filename}" for member in members):
            raise ModelError(f"{path.name} is a TorchScript program, which is code", hint=HINT)
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ModelError(f"{path.name} is a compressed archive, which torch does not write")
    try:
        with torch.serialization.safe_globals([(_Ignored, name) for name in STAND_INS]):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(f"{path.name} holds more than tensors and plain values: refused", hint=HINT) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path.name} is truncated or damaged") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path.name} holds no mapping of names to tensors", hint=HINT)
    return found


def state_dict(found: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Tensor]:
    """Pick the network's tensors: under the first of ``keys`` that is there, else the mapping itself.

    Prefixes of torch's wrappers are taken off. Raises ModelError if anything but tensors is among them.
    """
    inner = next((found[key] for key in keys if key in found), found)
    if not isinstance(inner, dict) or not inner or not all(isinstance(v, Tensor) for v in inner.values()):
        raise ModelError("the weights file holds no state of a network", hint=HINT)
    return {str(name).removeprefix("module.").removeprefix("_orig_mod."): value for name, value in inner.items()}
