"""The page as a whole: complete, deterministic, self-contained, safe and accessible."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from report_factory import CohortFactory, empty_results, rich_results

from paraspinal.core.vocab import LevelScheme, Light, Muscle, Sequence
from paraspinal.stages.report import words
from paraspinal.stages.report.muscles import Spread
from paraspinal.stages.report.stage import TEMPLATES, fixed, spread, write_report

VOID = {"meta", "img", "input", "br", "link", "hr", "rect", "circle", "line", "path"}


class Page(HTMLParser):
    """Every tag with its attributes, the text, and what was left open."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "

    def values(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [value for _, attributes in self.tags if (value := attributes.get(name)) is not None]


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rich_results(tmp_path_factory.mktemp("rich"))


@pytest.fixture(scope="module")
def page(rich: Path) -> Page:
    return Page(write_report(rich))


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(write_report(empty_results(tmp_path_factory.mktemp("empty"))))


def test_equal_tables_give_equal_bytes_and_nothing_else_is_left(rich: Path) -> None:
    first = write_report(rich)
    content = first.read_bytes()
    assert write_report(rich).read_bytes() == content
    assert sorted(p.name for p in (rich / "report").iterdir()) == ["claim-2024.md", "index.html", "methods.md"]


@pytest.mark.parametrize("name", ["page", "blank"])
def test_page_is_whole_and_refers_to_nothing_outside_the_results(
    name: str, rich: Path, request: pytest.FixtureRequest
) -> None:
    found: Page = request.getfixturevalue(name)
    assert found.open == []
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    for target in [*found.values("href"), *found.values("src")]:
        if target.startswith("#"):
            assert target[1:] in ids
        elif not target.startswith("data:image/png;base64,"):
            assert (rich / "report" / target).resolve().is_relative_to(rich)
            assert (rich / "report" / target).exists()
    assert not re.search(
        r"(https?:)?//\w", re.sub(r"data:image/png;base64,[\w+/=]+|//.*$", "", found.source, flags=re.M)
    )
    assert "@import" not in found.source
    assert "url(" not in found.source


def test_empty_cohort_says_so_in_every_section(blank: Page) -> None:
    assert "No scan of this cohort could be measured" in blank.text
    assert sum(attributes.get("class") == "empty" for _, attributes in blank.tags) == 5
    assert set(re.findall(r"made of (\d+) stacks", blank.text)) == {"0"}
    assert not re.search(r"\b(nan|None|inf)\b", blank.text)


def test_page_shows_the_numbers_of_the_tables(tmp_path: Path) -> None:
    make = CohortFactory(tmp_path)
    for person, size in (("p1", 0.9), ("p2", 1.0), ("p3", 1.1)):
        make.measure(make.scan(person, 1, "a"), size, methods=("dixon_ff_ratio_of_sums",))
    text = " ".join(Page(write_report(make.write())).text.split())
    assert "measured on 3 scans of 3 people" in text
    assert "L3 left 3 480 (456–504) 14.4 (13.7–15.1) 20.0 (20.0–20.0)" in text
    assert "3 scans were outlined by muscles@0.2.0 (sha256 of the weights " + "5" * 64 + ")" in text
    assert "measure.min_coverage_frac: 0.95" in text
    assert "Dixon, ratio of sums (dixon_ff_ratio_of_sums): sum F / sum (F + W) inside the mask." in text


def test_paths_of_the_configuration_stay_out_of_the_page(page: Page) -> None:
    assert "someone" not in page.source
    assert "private_dir" not in page.source


def test_text_from_headers_cannot_become_markup(tmp_path: Path) -> None:
    make = CohortFactory(tmp_path)
    evil = '"><script>alert(1)</script>'
    scan = make.scan("p1", 1, "a", manufacturer=evil, scanner_model=evil, site=evil)
    make.measure(scan)
    make.flag(scan, "amber", "OUTLIER", detail=evil)
    found = Page(write_report(make.write()))
    assert [tag for tag, _ in found.tags].count("script") == 1
    assert found.text.count("<script>alert(1)</script>") >= 4


def test_policy_admits_exactly_the_inline_style_and_script(page: Page) -> None:
    policy = next(v for v in page.values("content") if "default-src" in v)
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page.source, flags=re.S)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert page.values("style") == []
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


def test_page_is_accessible(page: Page) -> None:
    for tag, attributes in page.tags:
        if tag == "th":
            assert attributes["scope"] in ("col", "row", "rowgroup")
        if tag == "img":
            assert "alt" in attributes
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes["aria-label"]
        if tag in ("input", "select"):
            assert re.search(rf"<label>[^<]+<{tag}[^>]*id=\"{attributes['id']}\"", page.source)
    tags = [tag for tag, _ in page.tags]
    assert tags.count("h1") == tags.count("main") == 1
    assert tags.count("caption") == tags.count("table")
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert dict(page.tags)["html"]["lang"] == "en"


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_have_enough_contrast(scheme: int) -> None:
    """WCAG 2: 4.5 to 1 for text, 3 to 1 for graphics."""
    blocks = re.findall(r":root \{(.*?)\}", (TEMPLATES / "style.css").read_text(), flags=re.S)
    colours: dict[str, str] = {}
    for block in blocks[: scheme + 1]:
        colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for ground in ("paper", "panel", "faint"):
        for name in ("ink", "soft", "accent", "green", "amber", "red", "s0", "s1", "s2", "s3", "s4"):
            light, dark = sorted((_luminance(colours[ground]), _luminance(colours[name])), reverse=True)
            needed = 3.0 if re.fullmatch(r"s\d", name) else 4.5
            assert (light + 0.05) / (dark + 0.05) >= needed, (ground, name)


def test_every_code_of_the_tables_has_words() -> None:
    for vocabulary, known in (
        (Muscle, words.MUSCLES), (LevelScheme, words.SCHEMES),
        (Sequence, words.SEQUENCES), (Light, words.LIGHTS),
    ):  # fmt: skip
        assert set(known) == set(vocabulary)
    order = words.level_order()
    assert order.index("L4") < order.index("L4_L5") < order.index("L5") < order.index("L5_S1") < order.index("L1_L5")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1234567.0, 0, "1 234 567"), (-3.25, 1, "−3.2"), (-0.04, 1, "0.0"), (0.0, 0, "0"), (999.96, 1, "1 000.0")],
)
def test_numbers_are_written_for_people(value: float, digits: int, text: str) -> None:
    assert fixed(value, digits).replace("\N{NARROW NO-BREAK SPACE}", " ") == text


def test_spread_shows_quartiles_only_where_they_mean_something() -> None:
    assert ">–<" in spread(None)
    assert spread(Spread(2, 1.0, 2.0, 3.0)) == "2"
    assert "(1–3)" in spread(Spread(3, 1.0, 2.0, 3.0))
    assert "(−1 to 3)" in spread(Spread(3, -1.0, 2.0, 3.0))
    assert "n&nbsp;3" in spread(Spread(3, 1.0, 2.0, 3.0), people=4)
    assert "n&nbsp;3" not in spread(Spread(3, 1.0, 2.0, 3.0), people=3)
