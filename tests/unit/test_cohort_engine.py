"""What the engine is handed: names it can pass on, and an environment of ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dicom_factory import settings_for

from paraspinal.cohort.running import engine
from paraspinal.core.errors import ConfigError
from paraspinal.core.interpreter import PACKAGES
from paraspinal.core.settings import load_settings, read_config


def test_folders_that_are_not_text_are_refused(tmp_path: Path) -> None:
    for name in ("out", "private_dir"):
        with pytest.raises(ConfigError, match=f"{name}: the name is not UTF-8") as refused:
            load_settings(read_config(None, {name: str(tmp_path) + "/\udcff"}))
        assert str(tmp_path) not in str(refused.value)


def test_a_checkout_in_braces_is_used_by_another_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "a {b} c"
    checkout.mkdir()
    (checkout / "Snakefile").write_text("rule all:\n")
    monkeypatch.setattr(engine, "PROJECT", checkout)
    monkeypatch.setattr(engine, "SNAKEFILE", checkout / "Snakefile")
    for _ in range(2):
        path = engine._snakefile(tmp_path / "private")
        assert "{" not in str(path)
        assert path.samefile(checkout / "Snakefile")
    with pytest.raises(ConfigError, match="braces"):
        engine._snakefile(tmp_path / "{private}")


def test_what_jobs_inherit_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/cluster/module")
    monkeypatch.setenv("OLDPWD", "/data/Jane Doe")
    monkeypatch.setenv("HOME", "/proc")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    found = engine._environment(settings_for(tmp_path), 7)
    assert found["PYTHONPATH"] == PACKAGES
    assert found["PYTHONSAFEPATH"] == "1"
    assert found["XDG_CACHE_HOME"] == str(tmp_path / "private" / "cache")
    assert found["PWD"] == str(tmp_path / "results")
    assert "OLDPWD" not in found
    assert os.environ["OLDPWD"] == "/data/Jane Doe"
