"""A digest of the code that can change a stage's results: of what it really calls, symbol by symbol.

Snakemake does not notice an edited module, so the digest goes into the rules' ``params`` and into every receipt. It
starts at the function a stage calls and follows every name of this package that is mentioned on the way, through
imports and the faces of rooms, down to the definition. Comments, docstrings, annotations and layout are ignored, and so
is whatever else stands in the same modules: a new function, a new member of an enumeration or an error text that the
stage never touches re-queues nothing.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[2]
PLUMBING = tuple(f"paraspinal.core.{name}" for name in ("errors", "files", "paths", "records", "settings", "version"))
"""Modules that decide when and where something is computed, never what comes out; columns count by themselves."""

RESOURCE_TABLES = PACKAGE.parents[1] / "resources"
"""A module of core named like a table in here reads it; the table then counts as its code."""
_ANNOTATIONS = frozenset({"annotation", "returns", "type_comment", "ctx"})
"""Fields of syntax trees that change nothing."""
_ENUMS = frozenset({"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag"})

Symbol = tuple[str, str]
"""Module, and a name in it; ``Class.MEMBER`` for one member of an enumeration, ``Class()`` for all but the members."""


@dataclass
class _Module:
    """What stands at the top of a module: definitions by name, imports by local name, and loose statements."""

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Symbol] = field(default_factory=dict)
    loose: list[ast.stmt] = field(default_factory=list)


@cache
def code_digest(module: str, start: str, keyword: str | None = None) -> str:
    """Digest the code behind the name ``start`` of a module; 16 hexadecimal characters.

    Of a name that is defined by a call, behind one ``keyword`` of it: ``("..stage", "STAGE", "process")``. Raises
    ValueError for a module that does not exist or holds no such name.
    """
    texts = _texts(module, start, keyword)
    lines = [f"{where} {name} {text}" for (where, name), text in sorted(texts.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def symbols_behind(module: str, start: str, keyword: str | None = None) -> frozenset[Symbol]:
    """List what the code behind a name consists of; of a call, behind one ``keyword`` of it."""
    return frozenset(_texts(module, start, keyword))


def _texts(module: str, start: str, keyword: str | None) -> dict[Symbol, str]:
    """The bare syntax trees of everything that can be reached, by symbol."""
    if start not in _read(module).definitions:
        raise ValueError(f"{module} has no {start}")
    done: dict[Symbol, str] = {}
    todo = list(_mentioned(module, _keyword(module, start, keyword))) if keyword else [(module, start)]
    while todo:
        symbol = todo.pop()
        if symbol in done or symbol[0].startswith(PLUMBING):
            continue
        nodes = _definition(*symbol)
        done[symbol] = "\n".join(_bare(node) for node in nodes)
        todo += [found for node in nodes for found in _mentioned(symbol[0], node)]
        todo.append((symbol[0], ""))
    return {symbol: text for symbol, text in done.items() if text}


def _keyword(module: str, start: str, keyword: str) -> ast.expr:
    """The expression given for a keyword of the call that defines a name."""
    for node in _read(module).definitions[start]:
        for call in ast.walk(node):
            for given in call.keywords if isinstance(call, ast.Call) else []:
                if given.arg == keyword:
                    return given.value
    raise ValueError(f"{module}: {start} has no {keyword}")


def _definition(module: str, name: str) -> list[ast.stmt]:
    """The statements behind a symbol; the empty name stands for the loose statements and the table of a module."""
    found = _read(module)
    if not name:
        return [*found.loose, *_table(module)]
    base, _, member = name.partition(".")
    nodes = found.definitions.get(base.removesuffix("()"), [])
    if base.endswith("()"):
        return [_without_members(node) for node in nodes if isinstance(node, ast.ClassDef)]
    if member:
        return [item for node in nodes if isinstance(node, ast.ClassDef) for item in node.body if _names(item, member)]
    return nodes


def _without_members(node: ast.ClassDef) -> ast.ClassDef:
    kept = [item for item in node.body if not isinstance(item, ast.Assign | ast.AnnAssign)]
    return ast.ClassDef(node.name, node.bases, node.keywords, kept or [ast.Pass()], node.decorator_list)


def _names(item: ast.stmt, name: str) -> bool:
    return isinstance(item, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in item.targets)


def _table(module: str) -> list[ast.stmt]:
    """The resource table that a module of core reads, as a statement, so that its content counts."""
    table = RESOURCE_TABLES / f"{module.rpartition('.')[2]}.tsv"
    if module.rpartition(".")[0] != "paraspinal.core" or not table.is_file():
        return []
    return [ast.Expr(ast.Constant(table.read_bytes()))]


def _mentioned(module: str, node: ast.AST) -> Iterator[Symbol]:
    """Every symbol of this package that a piece of a module mentions, annotations left out."""
    local: dict[str, Symbol] = {}
    paths: list[tuple[list[str], bool]] = []
    _collect(node, local, paths)
    for path, is_called in paths:
        symbol = _resolve(module, path[0], local)
        for name in path[1:]:
            if symbol is None or symbol[1]:
                break
            symbol = _resolve(symbol[0], name, {}) or _submodule(symbol[0], name)
        if symbol is None:
            continue
        if symbol[1] and _is_enum(symbol) and (is_called or len(path) > 1):
            yield symbol[0], f"{symbol[1]}()"
            if len(path) > 1:
                yield symbol[0], f"{symbol[1]}.{path[-1]}"
        else:
            yield symbol


def _collect(node: ast.AST, local: dict[str, Symbol], paths: list[tuple[list[str], bool]]) -> None:
    """Gather the names a tree mentions, dotted ones whole, with whether they are called, and its own imports."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        local |= _imported(node)
    elif isinstance(node, ast.Name):
        paths.append(([node.id], False))
    elif isinstance(node, ast.Attribute) and (path := _dotted(node)):
        paths.append((path, False))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        paths.append(([node.func.id], True))
        for place, child in enumerate((*node.args, *node.keywords)):
            if node.func.id == "isinstance" and place == 1 and isinstance(child, ast.Name):
                paths.append(([child.id], True))  # which members a class has is nothing to this
            else:
                _collect(child, local, paths)
    else:
        for name in node._fields:
            value = getattr(node, name, None)
            if name in _ANNOTATIONS or value is None:
                continue
            for child in value if isinstance(value, list) else (value,):
                if isinstance(child, ast.AST):
                    _collect(child, local, paths)


def _dotted(node: ast.Attribute) -> list[str] | None:
    """``a.b.c`` as its names; None for an attribute of anything but a name."""
    names = [node.attr]
    inner = node.value
    while isinstance(inner, ast.Attribute):
        names.append(inner.attr)
        inner = inner.value
    return [inner.id, *reversed(names)] if isinstance(inner, ast.Name) else None


def _resolve(module: str, name: str, local: dict[str, Symbol]) -> Symbol | None:
    """Follow a name to the module that defines it, through any number of imports; None if it is not ours."""
    target = local.get(name)
    if target is None:
        found = _read(module)
        if name in found.definitions:
            return module, name
        target = found.imports.get(name)
    if target is None or target[1] == "":
        return target
    return _submodule(*target) or _resolve(*target, {})


@cache
def _submodule(package: str, name: str) -> Symbol | None:
    return (f"{package}.{name}", "") if _path(f"{package}.{name}") else None


@cache
def _is_enum(symbol: Symbol) -> bool:
    nodes = _read(symbol[0]).definitions.get(symbol[1], [])
    return any(isinstance(n, ast.ClassDef) and _ENUMS & {ast.unparse(b).split(".")[-1] for b in n.bases} for n in nodes)


def _path(module: str) -> Path | None:
    base = PACKAGE.parent.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def _read(module: str) -> _Module:
    path = _path(module)
    if path is None:
        raise ValueError(f"no such module: {module}")
    found = _Module()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.definitions.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        found.definitions.setdefault(name.id, []).append(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.imports |= _imported(node)
        elif not _is_docstring(node) and not _is_type_checking(node):
            found.loose.append(node)
    return found


def _imported(node: ast.Import | ast.ImportFrom) -> dict[str, Symbol]:
    """Local names of an import statement and what of this package they stand for."""
    if isinstance(node, ast.ImportFrom):
        ours = node.module is not None and node.module.split(".")[0] == "paraspinal"
        return {a.asname or a.name: (node.module or "", a.name) for a in node.names if ours}
    return {a.asname: (a.name, "") for a in node.names if a.asname and a.name.split(".")[0] == "paraspinal"}


def _is_docstring(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _bare(node: Any) -> str:
    """Write a tree as text, without places, docstrings and annotations."""
    if isinstance(node, list):
        return f"[{','.join(_bare(item) for item in node if not _is_docstring(item))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = (_bare(getattr(node, name, None)) for name in node._fields if name not in _ANNOTATIONS)
    return f"{type(node).__name__}({','.join(fields)})"
