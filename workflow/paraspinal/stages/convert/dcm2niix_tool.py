"""Call dcm2niix on one stack and believe nothing but what it wrote.

Its exit code is 0 for missing slices, gaps, missing geometry and screenshots, so what comes out is checked against the
grid the headers state. It is given links under fixed names in a fresh folder: no name of the input reaches it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import warnings
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pydicom
import SimpleITK as sitk

from paraspinal.core.errors import INPUT_HINT, DataError, InputError, MachineError, raise_machine_trouble
from paraspinal.core.imaging.images import as_volume
from paraspinal.core.records.stage import versions
from paraspinal.core.vocab import Reason

TIMEOUT_S = 900
"""A stack that takes longer hangs; the job fails and is tried again."""
FLAGS = ("-g", "i", "-b", "y", "-ba", "y", "-z", "n", "-m", "y", "-w", "2", "-d", "0", "-f", "image")
"""Ignore the defaults file of the home folder; anonymous sidecar; no compression; one stack is one image, whatever its
acquisition numbers; a second image gets a name of its own, where it would silently replace the first; no sub-folders;
fixed name. Never ``-i y``, which drops Dixon images as derived."""
FROM_OUTSIDE = frozenset(
    {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXFSZ, signal.SIGXCPU, signal.SIGBUS}
)
"""Signals of the machine and its keepers: no memory, no disk, no time. Crashes of the tool itself are the data's."""
ROOM_FACTOR = 4
"""Times the size of a stack's files that must be free: compressed slices grow, and become floating point numbers."""
UNPACKED = frozenset({"1.2.840.10008.1.2.1.99"})
"""Transfer syntaxes dcm2niix cannot read and we can rewrite: deflated."""
READABLE = frozenset(
    {
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.57",
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.81",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.91",
    }
)
"""Native, RLE, JPEG (baseline, lossless), JPEG-LS, JPEG 2000."""


@cache
def _tool() -> tuple[str, str]:
    """Find dcm2niix and its version: the pinned Python package, else (bioconda) the program on the PATH.

    Raises InputError if there is neither.
    """
    try:
        import dcm2niix
    except ImportError:
        program = shutil.which("dcm2niix")
    else:
        return str(dcm2niix.bin), version("dcm2niix")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout if program else ""
    found = re.search(r"\bv(\d+\.\d+\.\d{8})", said)
    if program is None or found is None:
        raise InputError("dcm2niix is not installed", hint="make setup, or the environment envs/convert.yaml")
    return program, found[1]


def tool_versions() -> dict[str, str]:
    """Versions of what makes the image; empty for what is not here, as where no image is ever made."""
    try:
        found = _tool()[1]
    except InputError:
        found = ""
    return {"dcm2niix": found, **versions("SimpleITK", "pydicom")}


def run_dcm2niix(paths: list[str], folder: Path) -> tuple[sitk.Image, dict[str, Any]]:
    """Convert files into a volume and its sidecar; ``folder`` is a fresh temporary one.

    Raises DataError when the output is not exactly one 3-D image, MachineError or OSError when the machine is at
    fault.
    """
    source, target = folder / "in", folder / "out"
    source.mkdir()
    target.mkdir()
    for number, path in enumerate(paths, start=1):
        _offer(path, source / f"{number:05d}.dcm")
    code = _call(source, target)
    images = sorted(target.glob("*.nii"))
    try:
        return _only_volume(code, images), _sidecar(target / "image.json")
    except DataError:
        _check_room(folder, sum(path.stat().st_size for path in source.iterdir()))
        raise


def _call(source: Path, target: Path) -> int:
    """Run the tool; returns its exit code, raises MachineError when the machine stopped it or it hangs."""
    try:
        done = subprocess.run(
            [_tool()[0], *FLAGS, "-o", str(target), str(source)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # it prints header text
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(target.parent), "LC_ALL": "C"},
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MachineError(
            f"dcm2niix took longer than {TIMEOUT_S} s", hint="run again: what is finished is kept"
        ) from None
    if -done.returncode in FROM_OUTSIDE:
        name = signal.Signals(-done.returncode).name
        raise MachineError(f"dcm2niix was stopped by {name}", hint="check memory, disk and limits, and run again")
    return done.returncode


def _only_volume(code: int, images: list[Path]) -> sitk.Image:
    """Read what the tool wrote; raises DataError unless that is one 3-D image and the exit code 0."""
    if code < 0 or (code and not images):
        raise DataError(Reason.CONVERT_RC, f"dcm2niix ended with code {code} and no image")
    if not images:
        raise DataError(Reason.CONVERT_RC, "dcm2niix wrote no image")
    if len(images) > 1:
        what = "an interpolated copy" if any("_Eq" in image.name for image in images) else "several images"
        raise DataError(Reason.CONVERT_MULTI_OUTPUT, f"dcm2niix wrote {what}")
    if code:
        raise DataError(Reason.CONVERT_RC, f"dcm2niix ended with code {code}")
    try:
        return as_volume(sitk.ReadImage(str(images[0])))
    except RuntimeError as error:
        raise_machine_trouble(error)
        raise DataError(Reason.CONVERT_RC, "dcm2niix wrote an unreadable image") from None


def _check_room(folder: Path, n_bytes: int) -> None:
    """Raise OSError where a failure may be one of room: to the tool a full disk is an exit code like any other."""
    if shutil.disk_usage(folder).free < ROOM_FACTOR * n_bytes:
        raise OSError(errno.ENOSPC, "no room for temporary files")


def _offer(path: str, link: Path) -> None:
    """Put a file where dcm2niix looks for it: a link, or a rewritten copy where it cannot read the encoding."""
    syntax = transfer_syntax(path)
    if syntax in UNPACKED:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote header values
            dataset = pydicom.dcmread(path)
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
            dataset.save_as(link, enforce_file_format=False)
    elif syntax in READABLE:
        link.symlink_to(path)
    else:
        raise DataError(Reason.DICOM_UNSUPPORTED_TS, "a compression that cannot be read")


def transfer_syntax(path: str) -> str:
    """Read the transfer syntax of a file; implicit little-endian when it has no file meta information."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            meta = pydicom.filereader.read_file_meta_info(path)
        except pydicom.errors.InvalidDicomError:
            return "1.2.840.10008.1.2"
        except OSError as error:  # whose own message names the file
            raise MachineError(f"an input file cannot be read: {error.strerror}", hint=INPUT_HINT) from None
    return str(meta.get("TransferSyntaxUID", "1.2.840.10008.1.2.1"))


def _sidecar(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
