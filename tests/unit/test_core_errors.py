"""Errors say what broke without saying on whom."""

from __future__ import annotations

import errno

import pytest

from paraspinal.cli import commands, follow, main
from paraspinal.core.errors import (
    MachineError,
    OutOfMemoryError,
    error_line,
    find_error,
    machine_trouble,
    raise_machine_trouble,
    trace,
)

NAME = "/data/Jane Doe"


def broken(path: str) -> None:
    try:
        raise ValueError(f"cannot read {path}")
    except ValueError as error:
        raise OSError(5, "Input/output error", path) from error


def test_a_trace_names_places_and_kinds_and_no_more() -> None:
    with pytest.raises(OSError, match="Jane") as caught:
        broken(NAME)
    text = trace(caught.value)
    assert "Jane" not in text
    assert "in broken" in text
    assert text.index("ValueError") < text.index("OSError: Input/output error")
    assert find_error(text) is None


def test_an_unexpected_error_has_no_line_and_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(arguments: object) -> None:
        raise ValueError(NAME)

    monkeypatch.setattr(follow, "status", fails)
    assert main.main(["status"]) == main.UNEXPECTED_EXIT
    said = capsys.readouterr().err
    assert "ValueError" in said
    assert find_error(said) is None


def test_trouble_met_by_a_command_is_printed_without_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(arguments: object) -> None:
        broken(NAME)

    monkeypatch.setattr(follow, "status", fails)
    assert main.main(["status"]) == MachineError.exit_code
    said = capsys.readouterr()
    assert "Jane" not in said.out + said.err
    assert "OSError: Input/output error" in said.err


def test_an_error_line_is_read_back() -> None:
    found = find_error("noise\n" + error_line(7, "in use", "wait") + "\nmore")
    assert found is not None
    assert (found.exit_code, found.message, found.hint) == (7, "in use", "wait")


@pytest.mark.parametrize(
    ("number", "words", "code"),
    [
        (errno.ENOSPC, "the disk is full", 7),
        (errno.EDQUOT, "quota", 7),
        (errno.EROFS, "read-only", 7),
        (errno.EIO, "Input/output error", 14),
        (errno.ESTALE, "Stale file handle", 14),
    ],
)
def test_trouble_with_a_drive_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, words: str, code: int
) -> None:
    def fail(arguments: object) -> None:
        raise OSError(number, f"cannot open {NAME}", NAME)

    monkeypatch.setattr(commands, "export", fail)
    assert main.main(["export", "x.csv"]) == code
    said = capsys.readouterr().err
    found = find_error(said)
    assert found is not None
    assert found.exit_code == code
    assert words in found.message
    assert "run again" in found.hint or "another OUT" in found.hint
    assert "Jane" not in said


GPU, MEMORY, DEVICE = "the GPU is out of memory", "the machine is out of memory", "the device or its driver failed"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 15.90 GiB", GPU),
        ("HIP out of memory. Tried to allocate 4.50 GiB. GPU 0 has a total capacity of 15.98 GiB", GPU),
        ("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call", GPU),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", GPU),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", GPU),
        ("HIP error: out of memory", GPU),
        ("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
         "allocate 4000000000000000 bytes. Error code 12 (Cannot allocate memory)", MEMORY),
        ("[enforce fail at alloc_cpu.cpp:75] . DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes.",
         MEMORY),
        ("std::bad_alloc", MEMORY),
        ("Exception thrown in SimpleITK new_Image: /tmp/SimpleITK-build/ITK-prefix/include/ITK-5.4/"
         "itkImportImageContainer.hxx:179:\nFailed to allocate memory for image.", MEMORY),
        ("CUDA error: an illegal memory access was encountered", DEVICE),
        ("CUDA error: unspecified launch failure", DEVICE),
        ("CUDA error: device-side assert triggered", DEVICE),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", DEVICE),
        ("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED", DEVICE),
        ("HIP error: no kernel image is available for execution on the device", DEVICE),
        ("miopenStatusUnknownError", DEVICE),
        ("No CUDA GPUs are available", DEVICE),
        ("Found no NVIDIA driver on your system.", DEVICE),
        ("could not create a primitive", DEVICE),
        ("can't start new thread", "Resource temporarily unavailable"),
        ("ITK ERROR: NiftiImageIO(0x1): reading failed. Reason: Stale file handle", "Stale file handle"),
        ("ITK ERROR: NiftiImageIO(0x1): writing failed. Reason: No space left on device", "the disk is full"),
    ],
)  # fmt: skip
def test_trouble_of_the_machine_is_known_by_the_words_libraries_have_for_it(text: str, says: str) -> None:
    found = machine_trouble(RuntimeError(text))
    assert found is not None
    assert says in found.message
    assert "run again" in found.hint
    assert isinstance(found, OutOfMemoryError) == (says in (GPU, MEMORY))
    wrapped = RuntimeError("applying transform Spacing")
    wrapped.__cause__ = RuntimeError(text)
    assert says in str(machine_trouble(wrapped)), "what it was raised from counts"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
        RuntimeError("the left hip is out of the image"),
        RuntimeError("could not create a primitive descriptor for a convolution forward propagation primitive"),
        RecursionError("maximum recursion depth exceeded"),
        ValueError("out of memory"),
        KeyError("CUDA"),
    ],
)
def test_a_software_error_is_no_trouble_of_the_machine(error: Exception) -> None:
    assert machine_trouble(error) is None


def test_trouble_that_was_named_already_keeps_its_name() -> None:
    """And never becomes its own cause: a trace of it ends."""
    with pytest.raises(OutOfMemoryError, match="the GPU") as caught:
        raise_machine_trouble(OutOfMemoryError("the GPU is out of memory", "see what else uses it"))
    assert trace(caught.value).count("OutOfMemoryError\n") == 2
