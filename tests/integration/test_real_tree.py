"""All real DICOM cases at once: none is a lumbar MR, so the point is that nothing crashes and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from paraspinal.core.paths import PROJECT
from paraspinal.core.vocab import Reason, Status

DATA = Path(os.environ.get("PARASPINAL_DATA", PROJECT.parent / "shared" / "data"))
TREE = DATA / "dicom"

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.data,
    pytest.mark.skipif(not TREE.is_dir(), reason="the private real images are not here (PARASPINAL_DATA)"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    command = [sys.executable, "-m", "paraspinal", "run", str(TREE), "--out", str(root / "out")]
    # Most of these cases are broken on purpose; the limit is for cohorts.
    options = ["--set", f"private_dir={root / 'private'}", "--set", "failure_limit.max_failed_frac=1.0"]
    subprocess.run([*command, *options], check=True)
    return root / "out"


def test_every_file_is_in_the_inventory(results: Path) -> None:
    inventory = pd.read_parquet(results / "tables" / "inventory.parquet")
    files = sum(len(names) for _, _, names in os.walk(TREE))
    assert inventory.n_files.sum() == files
    assert set(inventory.status) <= {s.value for s in Status}
    not_ok = inventory[inventory.status != "ok"]
    assert set(not_ok.reason_code) <= {r.value for r in Reason}
    assert "UNEXPECTED_ERROR" not in set(inventory.reason_code)


def test_every_usable_stack_is_in_one_scan(results: Path) -> None:
    inventory = pd.read_parquet(results / "tables" / "inventory.parquet")
    scans = pd.read_parquet(results / "tables" / "scans.parquet")
    usable = inventory[inventory.status.isin(["ok", "warn"])]
    assert sorted(stack for stacks in scans.stack_ids for stack in stacks) == sorted(usable.stack_id)
    assert "UNEXPECTED_ERROR" not in set(scans.reason_code)


def test_the_report_is_written(results: Path) -> None:
    assert (results / "report" / "index.html").stat().st_size > 10_000


def test_no_name_of_a_case_folder_is_in_any_result(results: Path) -> None:
    names = [p.name.encode() for p in TREE.iterdir()]
    for path in results.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [n for n in names if n in content], path.relative_to(results)
