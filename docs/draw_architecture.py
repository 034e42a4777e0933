"""Draw docs/architecture.svg from the code: the stages from the workflow's rules, the rooms from the imports.

`make docs` writes it; tests/unit/test_architecture.py fails when it is out of date.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[1]
WORKFLOW = PROJECT / "workflow"
PACKAGE = WORKFLOW / "paraspinal"
PICTURE = PROJECT / "docs" / "architecture.svg"

WIDTH, MARGIN, TOP = 1320, 32, 92
STAGE_X, STAGE_W, STAGE_H, STAGE_STEP = MARGIN, 104, 34, 60
ROOMS_X, ROOM_W, ROOM_H, ROOM_STEP = 560, 160, 124, 162
BAR_H = 64
WAY_W = 26
"""Width of the lane that an arrow takes through a layer it only passes."""
INK, SOFT, LINE, PAPER = "#1f2933", "#5f6c7b", "#9aa5b1", "#ffffff"
BLUE, SAND, GREY = ("#e8f1fb", "#4a7fb5"), ("#fdf1e3", "#c9863a"), ("#f1f3f5", "#8795a1")


class Rule(NamedTuple):
    """One rule of the workflow: what its file says it is for, and where it runs."""

    name: str
    purpose: str
    is_per_shard: bool
    has_gpu: bool
    is_on_the_way: bool
    """On the way from images to tables and report; training is not."""


def rules() -> list[Rule]:
    """Read the rules in the order the Snakefile includes them, the first rule of each file."""
    found = []
    for name in re.findall(r'^include: "(.+)"', (WORKFLOW / "Snakefile").read_text(encoding="utf-8"), re.MULTILINE):
        text = (WORKFLOW / name).read_text(encoding="utf-8")
        rule = re.search(r"^(?:rule|checkpoint) (\w+):", text, re.MULTILINE)
        purpose = re.search(r"^# Purpose: (.+)", text)
        if rule and purpose:
            on_the_way = re.search(r'"(shards|tables)/', text) is not None
            found.append(Rule(rule[1], purpose[1], "{shard}" in text, " gpu=" in text, on_the_way))
    return found


def room_of(module: str) -> str | None:
    """The room a module of the package is in; None for what stands outside of all rooms."""
    parts = module.split(".")
    is_room = parts[0] == "paraspinal" and len(parts) > 1 and (PACKAGE / parts[1]).is_dir()
    return parts[1] if is_room else None


def imports() -> Iterator[tuple[str, str]]:
    """Every import of the package: the room it stands in, and the module it names."""
    for path in sorted(PACKAGE.rglob("*.py")):
        room = room_of(".".join(path.relative_to(WORKFLOW).with_suffix("").parts))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if room and isinstance(node, ast.Import):
                yield from ((room, alias.name) for alias in node.names)
            elif room and isinstance(node, ast.ImportFrom):
                yield from ((room, f"{node.module}.{alias.name}") for alias in node.names)


def layers(arrows: set[tuple[str, str]]) -> dict[str, int]:
    """Number the rooms from the bottom: each stands above all it imports. Raises ValueError for a circle."""
    found: dict[str, int] = {}

    def height(room: str, above: tuple[str, ...]) -> int:
        if room in above:
            raise ValueError("rooms import each other: " + " -> ".join((*above[above.index(room) :], room)))
        if room not in found:
            below = [height(b, (*above, room)) for a, b in sorted(arrows) if a == room]
            found[room] = max(below, default=-1) + 1
        return found[room]

    for room in sorted({room for arrow in arrows for room in arrow}):
        height(room, ())
    return found


def places(arrows: set[tuple[str, str]], height: dict[str, int]) -> dict[str, float]:
    """Give every room, and every lane of an arrow, its middle across the picture in pixels.

    Rooms and lanes of a layer are put in the order of what they are linked to, so that few arrows cross.
    """
    chains = [lanes(*arrow, height) for arrow in sorted(arrows)]
    links = [link for chain in chains for link in pairwise(chain)]
    level = height | {n: height[chain[0]] - step for chain in chains for step, n in enumerate(chain)}
    rows = [sorted(n for n in level if level[n] == number) for number in range(max(level.values()) + 1)]
    middle = {node: x for row in rows for node, x in spread(row).items()}
    for _ in range(8):  # by then the order no longer changes
        for row in [*rows, *reversed(rows)]:
            near = {n: [middle[m] for link in links if n in link for m in link if m != n] for n in row}
            row.sort(key=lambda n, near=near: sum(near[n]) / len(near[n]) if near[n] else middle[n])
            middle |= spread(row)
    return middle


def lanes(above: str, below: str, height: dict[str, int]) -> list[str]:
    """What an arrow passes, from top to bottom: over several layers it has a lane of its own in those between."""
    return [above, *(f"{above}>{below}>{level}" for level in range(height[above] - 1, height[below], -1)), below]


def spread(row: list[str]) -> dict[str, float]:
    """Place the boxes and lanes of one layer side by side about the middle of the picture."""
    widths = [WAY_W if ">" in node else ROOM_W for node in row]
    room_left = WIDTH - MARGIN - ROOMS_X - sum(widths)
    gap = min(52.0, room_left / max(1, len(row) - 1))
    x = ROOMS_X + (room_left - gap * (len(row) - 1)) / 2
    found = {}
    for node, width in zip(row, widths, strict=True):
        found[node] = x + width / 2
        x += width + gap
    return found


def text(x: float, y: float, words: str, size: int, colour: str = INK, style: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{colour}" {style}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, colours: tuple[str, str]) -> str:
    fill, edge = colours
    size = f'x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}"'
    return f'<rect {size} rx="8" fill="{fill}" stroke="{edge}" stroke-width="1.2"/>'


def badge(x: float, y: float, word: str) -> str:
    """A small word on the upper right corner that ends at ``x``."""
    width = 7 * len(word) + 10
    return f'<rect x="{x - width:.0f}" y="{y - 8:.0f}" width="{width}" height="16" rx="8" fill="{SAND[1]}"/>' + text(
        x - width / 2, y + 4, word, 10, PAPER, 'text-anchor="middle" font-weight="600"'
    )


def draw_stages(y: float) -> Iterator[str]:
    yield text(STAGE_X, y - 44, "What runs, in this order", 17, INK, 'font-weight="600"')
    yield text(STAGE_X, y - 22, "blue: one job for each shard of sessions; grey: one for the whole cohort", 12, SOFT)
    way = [rule for rule in rules() if rule.is_on_the_way]
    aside = [rule for rule in rules() if not rule.is_on_the_way]
    for number, rule in enumerate([*way, *aside]):
        top, middle = y + number * STAGE_STEP, STAGE_X + STAGE_W / 2
        colours = (PAPER, LINE) if rule in aside else BLUE if rule.is_per_shard else GREY
        yield box(STAGE_X, top, STAGE_W, STAGE_H, colours)
        yield text(middle, top + 22, rule.name, 14, INK, 'text-anchor="middle" font-weight="600"')
        if rule.has_gpu:
            yield badge(STAGE_X + STAGE_W + 6, top, "GPU")
        yield from prose(STAGE_X + STAGE_W + 20, top + 15, rule.purpose, 12, 52, 2)
        if 0 < number < len(way):
            yield f'<path d="M{middle:.0f} {top - STAGE_STEP + STAGE_H} V{top - 3:.0f}" marker-end="url(#tip)"/>'


def draw_rooms(y: float) -> Iterator[str]:
    everything = list(imports())
    inner = {(a, b) for a, name in everything if (b := room_of(name)) and a != b}
    torch = {a for a, name in everything if name.split(".")[0] == "torch"}
    first, last = "cli", "core"
    arrows = {(a, b) for a, b in inner if a != first and b != last}
    height = dict.fromkeys({room for arrow in inner for room in arrow} - {first, last}, 0) | layers(arrows)
    middle, below = places(arrows, height), max(height.values()) + 1

    def top(level: int) -> float:
        return y + BAR_H - ROOM_H + ROOM_STEP * (below - level)

    uses, used = sorted(b for a, b in inner if a == first), sorted(a for a, b in inner if b == last)
    yield text(ROOMS_X, y - 44, "Rooms of the package", 17, INK, 'font-weight="600"')
    yield text(ROOMS_X, y - 22, "an arrow is an import; those from cli and into core are named, not drawn", 12, SOFT)
    yield from draw_bar(first, y, "imports " + ", ".join(uses))
    yield from draw_bar(last, top(-1), "imported by " + ", ".join(used))
    for a, b in sorted(arrows):
        points = [(middle[node], top(height[a] - step)) for step, node in enumerate(lanes(a, b, height))]
        path = f"M{points[0][0]:.0f} {points[0][1] + ROOM_H:.0f}"
        for (x0, y0), (x1, y1) in pairwise(points):
            start, end = y0 + ROOM_H, y1 - 3
            half = (end - start) / 2
            path += f" C{x0:.0f} {start + half:.0f} {x1:.0f} {end - half:.0f} {x1:.0f} {end:.0f}"
            path += f" V{y1 + ROOM_H:.0f}" if (x1, y1) != points[-1] else ""
        yield f'<path d="{path}" marker-end="url(#tip)"/>'
    for room in sorted(height):
        x, top_y = middle[room] - ROOM_W / 2, top(height[room])
        yield box(x, top_y, ROOM_W, ROOM_H, SAND if room in torch else BLUE)
        yield text(x + 10, top_y + 22, room, 14, INK, 'font-weight="600"')
        yield from prose(x + 10, top_y + 41, purpose_of(room), 11, 24, 3 if inside(room) else 5)
        yield from prose(x + 10, top_y + 90, " · ".join(inside(room)), 10, 27, 3, INK)
        if room in torch:
            yield badge(x + ROOM_W - 8, top_y, "torch")


def draw_bar(room: str, y: float, more: str) -> Iterator[str]:
    """A room over the whole width, above or below all others."""
    yield box(ROOMS_X, y, WIDTH - MARGIN - ROOMS_X, BAR_H, GREY)
    yield text(ROOMS_X + 10, y + 22, room, 14, INK, 'font-weight="600"')
    yield from prose(ROOMS_X + 56, y + 22, purpose_of(room), 11, 100, 1)
    yield text(ROOMS_X + 10, y + 46, more, 11, SOFT)
    yield text(WIDTH - MARGIN - 10, y + 22, " · ".join(inside(room)), 10, INK, 'text-anchor="end"')


def purpose_of(room: str) -> str:
    """The first sentence a room says of itself."""
    said = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    return re.split(r"[.;] ", said)[0].rstrip(".")


def inside(room: str) -> list[str]:
    """The rooms within a room."""
    return sorted(path.parent.name for path in (PACKAGE / room).glob("*/__init__.py"))


def prose(x: float, y: float, words: str, size: int, width: int, n_lines: int, colour: str = SOFT) -> Iterator[str]:
    """Text in lines of at most ``width`` characters."""
    words = words.replace("->", "\N{RIGHTWARDS ARROW}").replace("`", "")
    for number, line in enumerate(
        textwrap.wrap(words, width, max_lines=n_lines, placeholder=" \N{HORIZONTAL ELLIPSIS}")
    ):
        yield text(x, y + (size + 4) * number, line, size, colour)


def svg() -> str:
    """The whole picture as text."""
    body = [*draw_stages(TOP), *draw_rooms(TOP)]
    bottoms = [
        float(y) + float(h) for part in body for y, h in re.findall(r'<rect .*? y="(\S+)" .*? height="(\S+)"', part)
    ]
    paths = [part for part in body if part.startswith("<path")]
    others = [part for part in body if not part.startswith("<path")]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{max(bottoms) + MARGIN:.0f}"'
            ' font-family="Helvetica, Arial, DejaVu Sans, sans-serif">',
            f'<rect width="100%" height="100%" fill="{PAPER}"/>',
            '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0 0 L8 4 L0 8 z" fill="{SOFT}" stroke="none"/></marker>',
            f'<g fill="none" stroke="{SOFT}" stroke-width="1.3">',
            *paths,
            "</g>",
            *others,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
