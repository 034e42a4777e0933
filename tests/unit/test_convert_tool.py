"""dcm2niix is found as a Python package or, as conda installs it, as a program."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paraspinal.core.errors import InputError
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
