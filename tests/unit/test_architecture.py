"""The picture of the architecture is today's, and the pages for people who change the code name what exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from paraspinal.core.paths import PROJECT

PAGE = PROJECT / "docs" / "architecture.md"
LINK = re.compile(r"\[[^\]]*\]\(([^)#:]+)\)")
QUESTIONS = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if "?" in line.split(" | ")[0]]


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_architecture", PROJECT / "docs" / "draw_architecture.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_drawn_from_this_code(drawing: ModuleType) -> None:
    text = drawing.svg()
    assert drawing.PICTURE.read_text(encoding="utf-8") == text, "the picture is out of date: make docs"
    shown = {element.text for element in ElementTree.fromstring(text).iter() if element.text}
    rooms = {path.parent.name for path in drawing.PACKAGE.glob("*/__init__.py")}
    assert rooms | {rule.name for rule in drawing.rules()} <= shown


def test_an_arrow_over_several_layers_crosses_no_box(drawing: ModuleType) -> None:
    arrows = {("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")}
    height = drawing.layers(arrows)
    assert height == {"a": 2, "b": 1, "c": 0, "d": 0}
    middle = drawing.places(arrows, height)
    (lane,) = drawing.lanes("a", "c", height)[1:-1]
    assert abs(middle[lane] - middle["b"]) >= (drawing.ROOM_W + drawing.WAY_W) / 2


def test_rooms_that_import_each_other_have_no_layer(drawing: ModuleType) -> None:
    with pytest.raises(ValueError, match="a -> b -> a"):
        drawing.layers({("a", "b"), ("b", "a")})


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md", "README.md"])
def test_what_a_page_links_to_exists(name: str) -> None:
    page = PROJECT / name
    missing = [to for to in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / to).exists()]
    assert not missing


def test_ten_questions_are_answered() -> None:
    assert len(QUESTIONS) >= 10


@pytest.mark.parametrize("row", QUESTIONS, ids=lambda row: row.split(" | ")[0].strip("| "))
def test_an_answer_names_what_stands_in_the_file(row: str) -> None:
    _, where, what = row.strip("|").split(" | ")
    files = [path for to in LINK.findall(where) for path in _modules((PAGE.parent / to).resolve())]
    source = "\n".join(path.read_text(encoding="utf-8") for path in files)
    names = re.findall(r"`(\w+)`", what)
    assert [name for name in names if not re.search(rf"^\s*(def|class) {name}\b|^{name}\b", source, re.MULTILINE)] == []


def _modules(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(place.glob("*.py"))
