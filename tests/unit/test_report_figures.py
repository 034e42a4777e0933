"""Figures put values where the axis says they are."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraspinal.stages.report import figures
from paraspinal.stages.report.figures import Axis, level_profile, lights_bar, pairs, strips, thin
from paraspinal.stages.report.muscles import Spread


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_axis_covers_its_values_with_few_round_ticks(values: list[float]) -> None:
    axis = Axis.fit(values, 0.0, 100.0)
    assert axis.low <= min([*values, 0.0]) + 1e-6
    assert axis.high >= max([*values, 0.0]) - 1e-6
    assert 2 <= len(axis.ticks()) <= figures.TICKS + 3
    assert axis(axis.low) == pytest.approx(0.0)
    assert axis(axis.high) == pytest.approx(100.0)


def test_profile_places_medians_and_quartiles_on_the_axis() -> None:
    spread = Spread(5, 100.0, 200.0, 400.0)
    svg = str(level_profile([("L1", [spread])], "mm²", "title"))
    (bar,) = re.findall(r'class="bar".*?y1="([\d.]+)" y2="([\d.]+)"', svg)
    (mark,) = re.findall(r'class="mark".*?cy="([\d.]+)"', svg)
    top, bottom = figures.TOP, figures.HEIGHT - figures.BOTTOM
    expected = [bottom + value / 400.0 * (top - bottom) for value in (100.0, 400.0, 200.0)]
    assert [float(x) for x in (*bar, mark)] == pytest.approx(expected, abs=0.06)


def test_profile_line_breaks_where_a_level_is_missing() -> None:
    one = Spread(3, 1.0, 2.0, 3.0)
    svg = str(level_profile([("L1", [one]), ("L2", [one]), ("L3", [None]), ("L4", [one])], "%", "title"))
    (path,) = re.findall(r'class="trend" d="([^"]+)"', svg)
    assert re.sub(r"[^ML]", "", path) == "MLM"


def test_equal_pairs_lie_on_the_line_of_equality() -> None:
    svg = str(pairs([(10.0, 10.0), (100.0, 100.0)], "mm²", "title"))
    (line,) = re.findall(r'class="equal" x1="(.+?)" y1="(.+?)" x2="(.+?)" y2="(.+?)"', svg)
    x1, y1, x2, y2 = map(float, line)
    for cx, cy in re.findall(r'<circle cx="(.+?)" cy="(.+?)"', svg):
        assert (float(cx) - x1) / (x2 - x1) == pytest.approx((float(cy) - y1) / (y2 - y1), abs=0.002)


def test_strips_put_losses_left_of_zero() -> None:
    svg = str(strips([("MF", [-5.0, 5.0], Spread(2, -5.0, 0.0, 5.0))], "%", "title"))
    (zero,) = re.findall(r'class="zero" x1="([\d.]+)"', svg)
    low, high = (float(x) for x in re.findall(r'class="dot" cx="([\d.]+)"', svg))
    assert low < float(zero) < high
    assert float(zero) - low == pytest.approx(high - float(zero), abs=0.11)


def test_bar_shares_follow_the_counts() -> None:
    widths = re.findall(r'class="(\w+)" x="([\d.]+)" y="0" width="([\d.]+)"', str(lights_bar({"red": 1, "green": 3})))
    assert widths == [("red", "0.00", "25.00"), ("green", "25.00", "75.00")]
    assert 'width="0.00"' in lights_bar({"red": 0})


def test_thinning_keeps_order_and_the_limit() -> None:
    values = list(range(10 * figures.MAX_POINTS))
    kept = thin(values)
    assert len(kept) == figures.MAX_POINTS
    assert kept == sorted(set(kept))
    assert thin([3, 1, 2]) == [3, 1, 2]


@pytest.mark.parametrize(
    "empty", [level_profile([], "mm²", "a <b>"), pairs([], "mm²", "a <b>"), strips([], "%", "a <b>")]
)
def test_figures_are_well_formed_named_and_escape_their_title(empty: str) -> None:
    root = ElementTree.fromstring(empty)
    assert root.get("role") == "img"
    assert root.get("aria-label") == "a <b>"
