"""A digest of the code that can change a stage's results.

Snakemake does not notice an edited module, so the digest goes into the rules' ``params`` and into every receipt. It
covers the stage and whatever it imports from this package, follows the syntax tree, and ignores comments, docstrings
and layout: formatting never re-queues a GPU job.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]
PLUMBING = (
    "paraspinal.core.records",
    "paraspinal.core.errors",
    "paraspinal.core.files",
    "paraspinal.core.paths",
    "paraspinal.core.settings",
    "paraspinal.core.version",
)
"""Modules that decide when and where something is computed, never what comes out; columns count by themselves."""

RESOURCE_TABLES = PACKAGE.parents[1] / "resources"
"""A module of core named like a table in here reads it; the table then counts as its code."""


def _path(module: str) -> Path | None:
    base = PACKAGE.parent.joinpath(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _bare(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not body:
            continue
        first = body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = body[1:] or [ast.Pass()]
    return ast.dump(tree)


@cache
def _module(module: str) -> tuple[str, frozenset[str]]:
    """Digest of one module's bare syntax tree, and the package modules it imports, function-level ones included."""
    path = _path(module)
    if path is None:
        raise ValueError(f"no such module: {module}")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            imports |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    ours = frozenset(m for m in imports if m.split(".")[0] == "paraspinal" and _path(m))
    table = RESOURCE_TABLES / f"{path.stem}.tsv"
    content = table.read_bytes() if path.parent.name == "core" and table.is_file() else b""
    return hashlib.sha256(_bare(tree).encode() + content).hexdigest(), ours


def modules_behind(module: str) -> tuple[str, ...]:
    """List the package modules whose code can reach the results of ``module``, itself included."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name not in seen and not name.startswith(PLUMBING):
            seen.add(name)
            todo += _module(name)[1]
    return tuple(sorted(seen))


@cache
def code_digest(module: str) -> str:
    """Digest the code behind a module; 16 hexadecimal characters. Raises ValueError for an unknown module."""
    text = "\n".join(f"{name} {_module(name)[0]}" for name in modules_behind(module))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
