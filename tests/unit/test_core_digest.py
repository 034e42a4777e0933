"""The digest of code: what is really called, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paraspinal.core.records import digest
from paraspinal.stages.measure.fat import fat_methods

FILES = {
    "__init__.py": "",
    "core/__init__.py": "",
    "core/words.py": """
from enum import StrEnum

class Reason(StrEnum):
    EMPTY = "EMPTY"
    OTHER = "OTHER"

    @property
    def is_bad(self) -> bool:
        return self is Reason.EMPTY
""",
    "core/helper.py": '"""Help."""\nX = 1\nUNUSED = 2\n\n\ndef unused() -> int:\n    return UNUSED\n',
    "room/__init__.py": "from paraspinal.room.inside import work\n",
    "room/inside.py": """
from paraspinal.core import helper
from paraspinal.core.words import Reason


def work(row: int) -> str:
    return Reason.EMPTY if helper.X > row and not isinstance(row, Reason) else "fine"


def every() -> list:
    return list(Reason)
""",
    "stage.py": """
from paraspinal import room


def process(rows):
    from paraspinal.room import work
    return [work(row) for row in rows]


STAGE = dict(process=process, uses=("a",))
OTHER = dict(process=room.inside.every)
""",
}
Now = Callable[[], tuple[str, str]]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "paraspinal"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(digest, "PACKAGE", folder)
    monkeypatch.setattr(digest, "RESOURCE_TABLES", tmp_path)
    yield folder
    forget()


def forget() -> None:
    for cached in (digest.code_digest, digest._read, digest._submodule, digest._is_enum):
        cached.cache_clear()


def now() -> str:
    forget()
    return digest.code_digest("paraspinal.stage", "STAGE", "process")


def change(path: Path, old: str, new: str) -> str:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    found = now()
    path.write_text(text)
    return found


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("core/helper.py", '"""Help."""', '"""Help more."""\n\n# why'),
        ("core/helper.py", "UNUSED = 2", "UNUSED = 3"),
        ("core/helper.py", "def unused", "def more(): return 1\n\n\ndef unused"),
        ("core/words.py", 'OTHER = "OTHER"', 'OTHER = "OTHER"\n    NEW = "NEW"'),
        ("core/words.py", 'OTHER = "OTHER"', 'OTHER = "ANOTHER"'),
        ("room/inside.py", "row: int", "row: float"),
        ("room/inside.py", "list(Reason)", "sorted(Reason)"),
        ("stage.py", 'uses=("a",)', 'uses=("a", "b")'),
    ],
)
def test_what_is_not_called_counts_for_nothing(package: Path, name: str, old: str, new: str) -> None:
    before = now()
    assert change(package / name, old, new) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("core/helper.py", "X = 1", "X = 2"),
        ("core/words.py", 'EMPTY = "EMPTY"', 'EMPTY = "NOTHING"'),
        ("core/words.py", "self is Reason.EMPTY", "self is not Reason.EMPTY"),
        ("room/inside.py", "> row", ">= row"),
        ("room/inside.py", "from paraspinal.core import helper", "import os as helper"),
        ("stage.py", "for row in rows", "for row in rows[:1]"),
        ("core/helper.py", "X = 1", "X = 1\nprint(X)"),
    ],
)
def test_what_is_called_counts(package: Path, name: str, old: str, new: str) -> None:
    before = now()
    assert change(package / name, old, new) != before


def test_an_enumeration_that_is_walked_counts_whole(package: Path) -> None:
    def other() -> str:
        forget()
        return digest.code_digest("paraspinal.stage", "OTHER", "process")

    before = other()
    path = package / "core" / "words.py"
    path.write_text(path.read_text().replace('OTHER = "OTHER"', 'OTHER = "OTHER"\n    NEW = "NEW"'))
    assert other() != before


def test_a_table_of_resources_counts_as_the_code_of_its_reader(package: Path) -> None:
    before = now()
    (package.parent / "helper.tsv").write_text("a\tb\n")
    assert now() != before


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no such module"):
        digest.code_digest("paraspinal.nowhere", "f")
    with pytest.raises(ValueError, match="has no nothing"):
        digest.code_digest("paraspinal.core.files", "nothing")


STAGES = ("convert", "harmonize", "segment", "levels", "measure", "quality")


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_reaches_its_own_room(name: str) -> None:
    """A module of a stage that the digest does not reach could change results without anyone noticing."""
    symbols = set(digest.symbols_behind(f"paraspinal.stages.{name}.stage", "STAGE", "process"))
    if name == "measure":  # found by their files, and digested one by one
        symbols.add(("paraspinal.stages.measure.fat.method", "which methods apply is a parameter"))
        for method in fat_methods():
            symbols |= digest.symbols_behind(f"paraspinal.stages.measure.fat.{method.name}", "METHOD", "read")
    reached = {module for module, _ in symbols}
    room = digest.PACKAGE / "stages" / name
    modules = {path.relative_to(digest.PACKAGE.parent).with_suffix("").as_posix().replace("/", ".")
               for path in room.rglob("*.py") if path.name != "__init__.py"}  # fmt: skip
    assert modules - reached == set()
