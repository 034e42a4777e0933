"""The workflow as a module of another one, as the manual says it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from paraspinal.core.paths import DEFAULT_CONFIG, PROJECT

pytestmark = pytest.mark.workflow


def test_the_manuals_module_runs(tmp_path: Path) -> None:
    manual = (PROJECT / "config" / "README.md").read_text(encoding="utf-8")
    (text,) = [block for block in re.findall(r"```python\n(.*?)```", manual, re.DOTALL) if "\nmodule " in block]
    (tmp_path / "Snakefile").write_text(text.replace("/path/to/paraspinal", str(PROJECT)))
    (tmp_path / "config").mkdir()
    shutil.copy(DEFAULT_CONFIG, tmp_path / "config")
    images = tmp_path / "images"
    images.mkdir()
    (images / "notes.txt").write_text("no image\n")
    where = [f"input={images}", f"out={tmp_path / 'results'}", f"private_dir={tmp_path / 'private'}"]
    command = [sys.executable, "-m", "snakemake", "ingest", "--cores", "1", "--config", *where]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    inventory = pd.read_parquet(tmp_path / "results" / "shards" / "inventory.parquet")
    assert list(inventory["status"]) == ["excluded"]
