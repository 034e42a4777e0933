"""What a stage's code is: an edit re-queues the stages it can change, and no other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from paraspinal.core.records import digest

STAGES = ("convert", "harmonize", "segment", "levels", "measure", "quality")
METHOD = '"""A method."""\n\nfrom paraspinal.core.vocab import Reason\n\nMETHOD = Reason.SEG_EMPTY\n'


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code") / "workflow" / "paraspinal"
    shutil.copytree(digest.PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(digest.RESOURCE_TABLES, folder.parents[1] / "resources", ignore=shutil.ignore_patterns("*.safe*"))
    return folder


@pytest.fixture
def package(whole: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(digest, "PACKAGE", whole)
    monkeypatch.setattr(digest, "RESOURCE_TABLES", whole.parents[1] / "resources")
    yield whole
    forget()


def forget() -> None:
    for cached in (digest.code_digest, digest._read, digest._submodule, digest._is_enum):
        cached.cache_clear()


def codes() -> dict[str, str]:
    forget()
    return {name: digest.code_digest(f"paraspinal.stages.{name}.stage", "STAGE", "process") for name in STAGES}


def changed(path: Path, old: str, new: str) -> set[str]:
    """Stages whose code is another after an edit, which is taken back."""
    before, text = codes(), path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    after = codes()
    path.write_text(text)
    return {name for name in STAGES if after[name] != before[name]}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("core/vocab.py", "class Reason(StrEnum):", 'class Reason(StrEnum):\n    MOON = "MOON"'),
        ("stages/report/words.py", "SCHEMES", "SCHEMES_OF_OTHER_WORDS"),
        ("stages/measure/fat/method.py", '"""', '"""In other words: '),
        ("core/records/receipts.py", "peak_mib", "peak_mebibytes"),
        ("cohort/tables/outliers.py", "from __future__", "OTHER = 1\nfrom __future__"),
    ],
)
def test_what_no_stage_computes_with_changes_none(package: Path, name: str, old: str, new: str) -> None:
    assert changed(package / name, old, new) == set()


def test_a_new_fat_method_changes_the_code_of_none(package: Path) -> None:
    """Measure takes methods as parameters, each scan those that apply to it."""
    before = codes()
    path = package / "stages" / "measure" / "fat" / "moon.py"
    path.write_text(METHOD)
    after = codes()
    path.unlink()
    assert after == before


@pytest.mark.parametrize(
    ("name", "old", "new", "stages"),
    [
        ("stages/quality/stage.py", "return flags, path", "return list(flags), path", {"quality"}),
        ("stages/levels/motion.py", "return ", "return 2 * ", {"levels"}),
        ("core/vocab.py", 'SEG_EMPTY = "SEG_EMPTY"', 'SEG_EMPTY = "EMPTY"', set(STAGES[2:])),
    ],
)
def test_what_a_stage_computes_with_changes_it(package: Path, name: str, old: str, new: str, stages: set[str]) -> None:
    assert changed(package / name, old, new) == stages
