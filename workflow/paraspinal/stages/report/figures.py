"""Small vector figures, written by hand: they scale, follow the page's colours and are the same bytes every time.

Colours and fonts live in the page's style sheet (classes ``series-0`` ...); every series also has its own marker
shape, so that nothing depends on colour. Coordinates are pixels of the figure's own view box.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from markupsafe import Markup, escape

from paraspinal.stages.report.muscles import Spread

T = TypeVar("T")

WIDTH, HEIGHT = 270, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 26
"""Margins that hold the tick labels."""
SERIES_GAP = 8.0
"""Sideways distance between the series at one level."""
MAX_POINTS = 1500
"""Points a scatter shows; more are thinned evenly, the browser and the eye have enough."""
TICKS = 4
"""Intended number of axis intervals."""


@dataclass(frozen=True)
class Axis:
    """A linear scale from data to pixels with round ticks."""

    low: float
    high: float
    start: float
    end: float
    step: float

    @classmethod
    def fit(cls, values: Iterable[float], start: float, end: float, zero: bool = True) -> Axis:
        """Cover the values (and zero) with round numbers."""
        found = [*values, *([0.0] if zero else [])] or [0.0, 1.0]
        low, high = min(found), max(found)
        if (high - low) / TICKS == 0.0:
            high = low + 1.0
        rough = (high - low) / TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = power * next(m for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
        return cls(math.floor(low / step) * step, math.ceil(high / step) * step, start, end, step)

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values from end to end."""
        return [self.low + i * self.step for i in range(round((self.high - self.low) / self.step) + 1)]


def level_profile(
    levels: list[tuple[str, list[Spread | None]]], unit: str, title: str, top: float | None = None
) -> Markup:
    """Draw medians with quartile bars along the levels, one line per series.

    ``levels`` holds per level its name and one spread per series, None for none; a line breaks there. ``top``
    fixes the upper end of the axis, so that panels can be compared.
    """
    spreads = [s for _, found in levels for s in found if s]
    y = Axis.fit([*(s.q3 for s in spreads), *([top] if top else [])], HEIGHT - BOTTOM, TOP)
    width = (WIDTH - LEFT - RIGHT) / max(len(levels), 1)
    centre = [LEFT + (i + 0.5) * width for i in range(len(levels))]
    parts = [_horizontal_grid(y, unit)]
    parts += [
        _text(x, HEIGHT - 8, name.replace("–", "/"), "middle") for x, (name, _) in zip(centre, levels, strict=True)
    ]
    count = max((len(found) for _, found in levels), default=0)
    for series in range(count):
        shift = (series - (count - 1) / 2) * min(SERIES_GAP, width / max(count, 1))
        points = [
            (x + shift, found[series]) for x, (_, found) in zip(centre, levels, strict=True) if series < len(found)
        ]
        parts.append(f'<g class="series-{series}">{_line(points, y)}')
        for x, spread in points:
            if spread:
                bar = f'<line class="bar" x1="{x:.1f}" x2="{x:.1f}" y1="{y(spread.q1):.1f}" y2="{y(spread.q3):.1f}"/>'
                parts.append(bar + marker(series, x, y(spread.median)))
        parts.append("</g>")
    return _svg(parts, title)


def pairs(points: Iterable[tuple[float, float]], unit: str, title: str) -> Markup:
    """Scatter left (x) against right (y) on equal axes with the line of equality."""
    shown = thin(list(points))
    values = [v for pair in shown for v in pair]
    x, y = Axis.fit(values, LEFT, WIDTH - RIGHT), Axis.fit(values, HEIGHT - BOTTOM, TOP)
    parts = [_horizontal_grid(y, unit)]
    parts += [_text(x(t), HEIGHT - 8, _number(t), "middle") for t in x.ticks()[1:-1]]
    parts.append(_text(x.end, HEIGHT - 8, _number(x.high), "end"))
    parts.append(f'<line class="equal" x1="{x.start:.1f}" y1="{y.start:.1f}" x2="{x.end:.1f}" y2="{y.end:.1f}"/>')
    parts.append('<g class="series-0 cloud">')
    parts += [f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3"/>' for a, b in shown]
    parts.append("</g>")
    return _svg(parts, title)


def strips(rows: list[tuple[str, list[float], Spread | None]], unit: str, title: str) -> Markup:
    """Draw one strip of points per row around a zero line, with quartile bar and median."""
    width, row_height, label = 480, 24, 80
    height = TOP + row_height * len(rows) + BOTTOM
    x = Axis.fit([v for _, values, _ in rows for v in values], label, width - RIGHT)
    parts = []
    for tick in x.ticks():
        line = f'<line class="{"zero" if abs(tick) < x.step / 2 else "grid"}" x1="{x(tick):.1f}" x2="{x(tick):.1f}"'
        parts.append(f'{line} y1="{TOP}" y2="{height - BOTTOM}"/>')
        parts.append(_text(x(tick), height - 14, _number(tick), "middle"))
    parts.append(_text(width - RIGHT, height - 1, unit, "end", "unit"))
    for index, (name, values, spread) in enumerate(rows):
        y = TOP + (index + 0.5) * row_height
        series = index % 2
        parts.append(_text(label - 8, y + 4, name, "end") + f'<g class="series-{series}">')
        parts += [
            f'<circle class="dot" cx="{x(v):.1f}" cy="{y + (i % 5 - 2) * 2.4:.1f}" r="2.2"/>'
            for i, v in enumerate(thin(values))
        ]
        if spread:
            bar = f'<line class="bar" y1="{y:.1f}" y2="{y:.1f}" x1="{x(spread.q1):.1f}" x2="{x(spread.q3):.1f}"/>'
            parts.append(bar + marker(series, x(spread.median), y))
        parts.append("</g>")
    return _svg(parts, title, width, height)


def lights_bar(counts: dict[str, int]) -> Markup:
    """Draw counts as one stacked bar, classes named after the lights; numbers stand beside it in the table."""
    total, done, parts = sum(counts.values()) or 1, 0.0, []
    for name, count in counts.items():
        share = 100 * count / total
        parts.append(f'<rect class="{escape(name)}" x="{done:.2f}" y="0" width="{share:.2f}" height="10"/>')
        done += share
    body = "".join(parts)
    box = 'viewBox="0 0 100 10" preserveAspectRatio="none"'
    return Markup(f'<svg class="lights" {box} aria-hidden="true">{body}</svg>')


def legend_key(series: int) -> Markup:
    """Draw the marker of a series for a legend."""
    shape = f'<g class="series-{series}">{marker(series, 8, 8)}</g>'
    return Markup(f'<svg class="key" viewBox="0 0 16 16" aria-hidden="true">{shape}</svg>')


def marker(series: int, x: float, y: float) -> str:
    """Draw the series' own shape: circle, square, diamond, triangle, cross."""
    shapes: tuple[Callable[[], str], ...] = (
        lambda: f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="3.6"/>',
        lambda: f'<rect class="mark" x="{x - 3.3:.1f}" y="{y - 3.3:.1f}" width="6.6" height="6.6"/>',
        lambda: f'<path class="mark" d="M{x:.1f} {y - 4.8:.1f}l4.8 4.8l-4.8 4.8l-4.8 -4.8z"/>',
        lambda: f'<path class="mark" d="M{x:.1f} {y - 4.4:.1f}l4.4 7.8h-8.8z"/>',
        lambda: f'<path class="mark cross" d="M{x - 3.4:.1f} {y - 3.4:.1f}l6.8 6.8m0 -6.8l-6.8 6.8"/>',
    )
    return shapes[series % len(shapes)]()


def thin(values: list[T]) -> list[T]:
    """Keep at most MAX_POINTS values, evenly chosen."""
    if len(values) <= MAX_POINTS:
        return values
    return [values[i * len(values) // MAX_POINTS] for i in range(MAX_POINTS)]


def _line(points: list[tuple[float, Spread | None]], y: Axis) -> str:
    path, pen = "", "M"
    for x, spread in points:
        path += f"{pen}{x:.1f} {y(spread.median):.1f}" if spread else ""
        pen = "L" if spread else "M"
    return f'<path class="trend" d="{path}"/>' if path else ""


def _horizontal_grid(y: Axis, unit: str) -> str:
    parts = []
    for tick in y.ticks():
        kind = "zero" if abs(tick) < y.step / 2 else "grid"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(_text(LEFT - 6, y(tick) + 4, _number(tick), "end"))
    return "".join(parts) + _text(LEFT + 4, TOP + 10, unit, "start", "unit")


def _number(value: float) -> str:
    return f"{value:,.10g}".replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", "−") if abs(value) > 1e-9 else "0"


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    extra = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{escape(text)}</text>'


def _svg(parts: list[str], title: str, width: float = WIDTH, height: float = HEIGHT) -> Markup:
    head = f'<svg class="figure" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">'
    return Markup(head + "".join(parts) + "</svg>")
