"""Sections of plain text and small tables, and how they are written as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from paraspinal.stages.report.flow import Share


@dataclass(frozen=True)
class Grid:
    """A small table: caption, heads, rows of text."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """One section of the text; tables stand below the paragraphs."""

    title: str
    paragraphs: tuple[str, ...]
    grids: tuple[Grid, ...] = ()


def shares_text(shares: Sequence[Share]) -> str:
    """List counts with their words and codes."""
    return ", ".join(f"{s.count:,} {s.text}" + (f" ({s.code})" if s.code else "") for s in shares)


def counted(count: int, singular: str, plural: str = "") -> str:
    """Write a count with its noun."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def joined(parts: Sequence[str]) -> str:
    """List words with commas and an 'and'."""
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1] if parts else ""


def markdown(title: str, sections: Sequence[Section]) -> str:
    """Write sections as Markdown; text from headers cannot become markup."""
    return "\n".join(_lines(title, sections))


def _lines(title: str, sections: Sequence[Section]) -> Iterator[str]:
    yield from (f"# {title}", "")
    for section in sections:
        yield from (f"## {section.title}", "")
        for paragraph in section.paragraphs:
            yield from (_escaped(paragraph), "")
        for grid in section.grids:
            yield from (f"{_escaped(grid.caption)}:", "", _row(grid.head), _row(["---"] * len(grid.head)))
            yield from map(_row, grid.rows)
            yield ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    flat = " ".join(text.split())
    return flat.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
