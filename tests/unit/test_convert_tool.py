"""dcm2niix is found as a Python package or, as conda installs it, as a program."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from dicom_factory import instance, save

from paraspinal.core.errors import DataError, InputError, MachineError
from paraspinal.stages.convert import dcm2niix_tool


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    dcm2niix_tool._tool.cache_clear()
    yield
    dcm2niix_tool._tool.cache_clear()


def test_package_and_program_say_the_same_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program, packaged = dcm2niix_tool._tool()
    dcm2niix_tool._tool.cache_clear()
    (tmp_path / "dcm2niix").symlink_to(program)
    monkeypatch.setitem(sys.modules, "dcm2niix", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert dcm2niix_tool._tool() == (str(tmp_path / "dcm2niix"), packaged)
    assert dcm2niix_tool.tool_versions()["dcm2niix"] == packaged


def test_neither_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "dcm2niix", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="not installed"):
        dcm2niix_tool._tool()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Put a shell script in the tool's place; $4 .. are its arguments, the last two -o and the folders."""

    def install(script: str) -> None:
        program = tmp_path / "tool"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(dcm2niix_tool, "_tool", lambda: (str(program), "0"))

    return install


def convert(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    path = save([instance("one")], tmp_path / "in")[0]
    dcm2niix_tool.run_dcm2niix([str(path)], tmp_path / "run")


@pytest.mark.parametrize("name", ["KILL", "TERM", "XFSZ"])
def test_a_tool_that_was_stopped_is_the_machines_trouble(
    tmp_path: Path, fake: Callable[[str], None], name: str
) -> None:
    fake(f"kill -{name} $$")
    with pytest.raises(MachineError, match=f"stopped by SIG{name}"):
        convert(tmp_path)


@pytest.mark.parametrize("script", ["kill -SEGV $$", "exit 1", "exit 0"])
def test_a_tool_that_fails_by_itself_is_the_datas(tmp_path: Path, fake: Callable[[str], None], script: str) -> None:
    fake(script)
    with pytest.raises(DataError, match="CONVERT_RC"):
        convert(tmp_path)


def test_a_tool_that_fails_on_a_full_disk_is_the_machines(
    tmp_path: Path, fake: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake("exit 1")
    monkeypatch.setattr(dcm2niix_tool.shutil, "disk_usage", lambda folder: _Usage(10**9, 10**9, 1000))
    with pytest.raises(OSError, match="no room"):
        convert(tmp_path)


def test_a_tool_that_hangs_is_the_machines(
    tmp_path: Path, fake: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake("exec sleep 60")
    monkeypatch.setattr(dcm2niix_tool, "TIMEOUT_S", 0.2)
    with pytest.raises(MachineError, match="longer than"):
        convert(tmp_path)


class _Usage(NamedTuple):
    total: int
    used: int
    free: int
