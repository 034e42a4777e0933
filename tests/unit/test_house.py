"""The walls between rooms and their faces, checked on the imports themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "workflow" / "paraspinal"
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module a file imports, those inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def stage_of(name: str) -> str | None:
    parts = name.split(".")
    return parts[2] if parts[:2] == ["paraspinal", "stages"] and len(parts) > 2 else None


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_walls(path: Path) -> None:
    names = imports(path)
    tops = {n.split(".")[0] for n in names}
    assert "snakemake" not in tops
    if room(path) != "models":
        assert not tops & {"torch", "monai", "safetensors"}, "only models/ may import torch"
    if room(path) == "core":
        foreign = {n for n in names if n.startswith("paraspinal.") and not n.startswith("paraspinal.core")}
        foreign -= {"paraspinal.__version__"}
        assert not foreign, "core knows no other room"
    if room(path) == "vertebrae":
        foreign = {n for n in names if n.startswith("paraspinal.")}
        foreign -= {n for n in foreign if n.startswith(("paraspinal.core", "paraspinal.vertebrae"))}
        assert not foreign, "how a spine is numbered needs no network"
    if room(path) == "stages" and path.parent != PACKAGE / "stages":
        own = path.relative_to(PACKAGE / "stages").parts[0].removesuffix(".py")
        others = {stage_of(n) for n in names} - {None, own}
        assert not others, "no stage imports another"
    if room(path) != "cli":
        assert "argparse" not in tops, "only the command line touches argv"


def face(package: str) -> set[str]:
    """What a room shows of itself: the names in ``__all__`` of its ``__init__``."""
    tree = ast.parse((PACKAGE.parent.joinpath(*package.split(".")) / "__init__.py").read_text())
    lists = [n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__"]
    return set(ast.literal_eval(lists[0])) if lists else set()


def is_package(name: str) -> bool:
    return (PACKAGE.parent.joinpath(*name.split(".")) / "__init__.py").is_file()


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_is_entered_through_its_face(path: Path) -> None:
    own = ".".join(("paraspinal", *path.relative_to(PACKAGE).parent.parts))
    for name in imports(path):
        parts = name.split(".")
        for depth in range(2, len(parts)):
            package = ".".join(parts[:depth])
            if not is_package(package):
                break
            if own != package and not own.startswith(f"{package}."):
                assert parts[depth] in face(package), f"{name}: {parts[depth]} is inside {package}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_can_be_held_in_mind(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_package_imports_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the engine parses and the table stages use must start fast and without the model environment."""
    import subprocess
    import sys

    rooms = (
        "paraspinal.cohort.running.plan",
        "paraspinal.cohort.tables.aggregate",
        "paraspinal.models.registry",
        "paraspinal.stages.levels",
        "paraspinal.vertebrae.spine",
    )
    code = f"import sys, {', '.join(rooms)}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
