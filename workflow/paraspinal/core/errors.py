"""Errors as classes: a sentence, a hint and an exit code of their own.

A :class:`ParaspinalError` stops a command with one line and its exit code. A :class:`DataError` is
different: it says that one input cannot be processed, and the shard loop records it as a row. A :class:`MachineError`
says nothing about any input: the job ends, nothing is recorded, and the next try computes the item anew.
"""

from __future__ import annotations

import errno
import os
import re
import traceback
from concurrent.futures import BrokenExecutor

from paraspinal.core.vocab import Reason


class ParaspinalError(Exception):
    """Stop the command: one sentence what is wrong, one hint what to do.

    Messages must not contain identifiers from DICOM headers or input paths.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(ParaspinalError):
    """The configuration or a sheet is not valid."""

    exit_code = 3


class InputError(ParaspinalError):
    """The input folder or image is missing, unreadable or holds nothing usable."""

    exit_code = 4


class ModelError(ParaspinalError):
    """A model is missing, has the wrong sha256, or does not say what it should."""

    exit_code = 5


class IdentityError(ParaspinalError):
    """The identity key is unsafe or missing."""

    exit_code = 6


class ResultsError(ParaspinalError):
    """The results folder is held by another run or belongs to another cohort."""

    exit_code = 7


class DamagedError(ResultsError):
    """A table or an image in the results is not as the job that wrote it left it."""

    exit_code = 11

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="run again with --check: what is damaged is made anew")


class CircuitBreakerError(ParaspinalError):
    """So many items failed that the cohort cannot be trusted."""

    exit_code = 8


class WorkflowError(ParaspinalError):
    """The workflow engine ended with an error."""

    exit_code = 9


class MachineError(ParaspinalError):
    """Memory, a device, its driver or a drive failed; says nothing about the data, and a later try may succeed."""

    exit_code = 14


class OutOfMemoryError(MachineError):
    """The machine's or the GPU's memory did not suffice."""


class DriveError(MachineError):
    """A drive cannot take what is written to it until somebody mends that."""

    exit_code = 7


INPUT_HINT = "run ingest again"
"""What to do where the input is no longer what ingest saw."""
_AGAIN = "run again: what is finished is kept"
_NOT_OURS = (
    "a file or folder cannot be used by this user: permission denied",
    "is it another user's? Choose another OUT or private_dir, or ask for access",
)
_DRIVE_TROUBLE = {
    errno.ENOSPC: ("the disk is full", f"make room and {_AGAIN}"),
    errno.EDQUOT: ("the disk quota is used up", f"make room and {_AGAIN}"),
    errno.EROFS: ("the drive is read-only", "choose another OUT or private_dir, or mount it for writing"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), _NOT_OURS),
}
_SYSTEM_TROUBLE = (
    *_DRIVE_TROUBLE,
    *(errno.EIO, errno.EREMOTEIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.ENODEV),
    *(errno.EMFILE, errno.ENFILE, errno.EAGAIN),
)
"""What the system answers when a drive, or a limit on files and processes, is at fault. Libraries that raise a plain
RuntimeError quote its words."""
_MEMORY = re.compile(
    r"out of memory|not enough memory|bad[ _]alloc|ALLOC_FAILED"
    r"|(can't|cannot|could ?n[o']t|failed to|unable to) allocate",
    re.IGNORECASE,
)
"""Words of numpy, ITK, torch, CUDA, HIP, cuDNN, cuBLAS and the C++ library for too little memory."""
_DEVICE = re.compile(
    r"\b(CUDA|HIP|NVML|NVIDIA|NCCL|MIOpen|cuDNN|cuBLAS|cuFFT|cuSOLVER|cuSPARSE|rocBLAS)\b"
    r"|\b[A-Z]+_STATUS_[A-Z_]+\b|\b(cuda|hip)Error\w+|\bmiopenStatus\w+"
    r"|could not (create|execute) a primitive(?! desc)"  # oneDNN, on the processor
)
"""Names by which a device, its driver or their libraries say that they failed; case matters: a hip is anatomy."""


def machine_trouble(error: BaseException) -> MachineError | None:
    """Name the trouble of the machine that an error, or what it was raised from, is about; None for anything else."""
    seen: BaseException | None = error
    while seen is not None:
        if found := _trouble(seen):
            return found
        seen = seen.__cause__
    return None


def raise_machine_trouble(error: BaseException) -> None:
    """Raise MachineError where an error is about the machine; to be asked wherever errors become something else."""
    if found := machine_trouble(error):
        raise found from error


def _trouble(error: BaseException) -> MachineError | None:
    if isinstance(error, MachineError):
        return type(error)(error.message, error.hint)  # a new one: an error must not become its own cause
    if isinstance(error, OSError):
        return _system_trouble(error.errno)
    if isinstance(error, BrokenExecutor):
        return MachineError("a process at work was killed, probably for lack of memory", f"fewer at once, or {_AGAIN}")
    if not isinstance(error, MemoryError | RuntimeError):
        return None
    text = str(error)  # is read, never shown: it may quote paths
    if isinstance(error, MemoryError) or _MEMORY.search(text):
        if _DEVICE.search(text):
            return OutOfMemoryError("the GPU is out of memory", f"see what else uses it, and {_AGAIN}")
        return OutOfMemoryError(
            "the machine is out of memory", f"fewer scans at once (cores, segment.threads), or more memory; {_AGAIN}"
        )
    if _DEVICE.search(text):
        return MachineError("the device or its driver failed", f"{_AGAIN}; where it stays, check the driver")
    if "can't start new thread" in text:
        return _system_trouble(errno.EAGAIN)
    return next((_system_trouble(number) for number in _SYSTEM_TROUBLE if os.strerror(number) in text), None)


def _system_trouble(number: int | None) -> MachineError:
    """Say in the system's own words what it answered: libraries put paths into theirs."""
    if number in _DRIVE_TROUBLE:
        return DriveError(*_DRIVE_TROUBLE[number])
    words = f": {os.strerror(number)}" if number else ""
    return MachineError(f"a file, drive or process failed{words}", f"check the drives and limits, and {_AGAIN}")


_ERROR_LINE = re.compile(r"^paraspinal: error (\d+): (.*?)(?: - hint: (.*))?$", re.MULTILINE)


def error_line(code: int, message: str, hint: str) -> str:
    """Write an error as one line that people and :func:`find_error` can read."""
    return f"paraspinal: error {code}: {message}" + (f" - hint: {hint}" if hint else "")


def find_error(text: str) -> ParaspinalError | None:
    """Read back the first error line of a job's log, with its exit code; None if there is none."""
    found = _ERROR_LINE.search(text)
    if not found:
        return None
    error = ParaspinalError(found[2], hint=found[3] or "")
    error.exit_code = int(found[1])
    return error


def trace(error: BaseException) -> str:
    """Say what broke and where, without any message: messages quote header values and paths, and logs are kept.

    Of trouble with a file or a device the system's own words are given, which name nothing.
    """
    lines: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        words = f": {os.strerror(seen.errno)}" if isinstance(seen, OSError) and seen.errno else ""
        lines = [*traceback.format_tb(seen.__traceback__), f"{type(seen).__name__}{words}\n", *lines]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "Traceback (messages are left out, for they may name people):\n" + "".join(lines)


class DataError(Exception):
    """This input cannot be processed: deterministic, recorded as a row, never retried.

    ``detail`` is short, free of identifiers, and ends up in the tables.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail
