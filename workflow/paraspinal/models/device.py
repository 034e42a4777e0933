"""Processor or GPU: asked for by name, given weights, and its failures told apart from everything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from paraspinal.core.errors import MachineError, ModelError, OutOfMemoryError, raise_machine_trouble


def check_device(device: str) -> torch.device:
    """Turn ``cpu``, ``cuda`` or ``cuda:N`` into a device; one that is absent raises ModelError, never falls back."""
    kind = device.split(":")[0]
    if kind not in ("cpu", "cuda"):
        raise ModelError(f"unknown device {device!r}", hint="use cpu or cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ModelError("device cuda was asked for, but there is no usable GPU", hint="set the device to cpu")
    return torch.device(device)


@contextmanager
def on_device() -> Iterator[None]:
    """Wrap whatever a network computes: raises MachineError where memory, device or driver failed.

    Anything else passes as it is.
    """
    try:
        yield
    except Exception as error:
        raise_machine_trouble(error)
        if isinstance(error, torch.OutOfMemoryError):  # whatever its words
            raise OutOfMemoryError("the GPU is out of memory", hint="see what else uses it, and run again") from error
        if isinstance(error, torch.AcceleratorError):
            raise MachineError("the GPU or its driver failed", hint="run again; where it stays, check it") from error
        raise


def put_weights(network: nn.Module, tensors: Mapping[str, Tensor], device: str, refusal: str) -> nn.Module:
    """Give a network its weights and make it ready on a device, in evaluation mode and float32.

    Weights of another network raise ModelError with the words of ``refusal``, trouble of the machine MachineError.
    """
    with on_device():
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            raise_machine_trouble(error)
            raise ModelError(refusal) from error
        return network.float().to(device).eval()
