"""Foreign packages, working folders and homes that are not ours to write to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from paraspinal.core.interpreter import PACKAGES, caches, for_children, name_home, own_packages_first

FOREIGN = ("yaml", "numpy", "rich", "pyarrow")


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A folder with files named like packages of ours."""
    for name in FOREIGN:
        (tmp_path / f"{name}.py").write_text('raise SystemExit("a foreign module was run")')
    return tmp_path


def python(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_runs_in_a_folder_and_with_a_module_that_hold_files_named_like_packages(module: Path) -> None:
    path = os.pathsep.join([str(module), PACKAGES])
    done = python(module, "-m", "paraspinal", "status", PYTHONPATH=path)
    assert "nothing has been run" in done.stderr, done.stderr
    assert done.returncode == 4
    assert python(module, "-m", "paraspinal", "--version", PYTHONPATH=path).stdout.startswith("paraspinal ")


def test_what_we_start_finds_our_packages_whatever_stands_in_its_folder(module: Path) -> None:
    code = "import paraspinal, yaml, numpy; print(paraspinal.__file__)"
    done = python(module, "-c", code, **for_children())
    assert Path(done.stdout.strip()).is_relative_to(PACKAGES), done.stderr


def test_foreign_packages_are_looked_for_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/cluster/module", PACKAGES]))
    monkeypatch.setattr(sys, "path", ["/work", "/cluster/module", PACKAGES, "/lib/python", "/lib/site-packages"])
    own_packages_first()
    assert sys.path == [PACKAGES, "/lib/python", "/lib/site-packages", "/cluster/module"]


def test_caches_go_to_the_private_folder_only_where_the_users_own_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "private"
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert caches(private) == {}
    monkeypatch.setenv("HOME", "/proc")
    found = caches(private)
    assert found["XDG_CACHE_HOME"] == str(private / "cache")
    assert found["MPLCONFIGDIR"] == str(private / "cache" / "matplotlib")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert caches(private) == {}


def test_where_nobody_has_a_home_no_folder_of_that_name_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    name_home()
    assert Path("~/.paraspinal").expanduser() == Path(os.devnull) / ".paraspinal"
