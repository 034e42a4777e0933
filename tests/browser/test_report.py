"""The page in a real browser: it renders without a complaint, filters, sorts, fits a phone and has a dark scheme."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from report_factory import empty_results, rich_results

from paraspinal.stages.report.stage import write_report

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)"),
]
SECONDS = 90
PEOPLE = 9


class Browser:
    """Headless Chromium with a profile of its own; every call is one short-lived process."""

    def __init__(self, profile: Path) -> None:
        self.profile = profile

    def run(self, url: str, *flags: str, size: tuple[int, int] = (1280, 900)) -> subprocess.CompletedProcess[str]:
        """Load a page and let its scripts finish; console messages are lines with CONSOLE on stderr."""
        command = [
            str(CHROMIUM), "--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr", "--virtual-time-budget=3000", f"--user-data-dir={self.profile}",
            f"--window-size={size[0]},{size[1]}", *flags,
        ]  # fmt: skip
        if os.geteuid() == 0:
            command.append("--no-sandbox")  # Chromium's own sandbox refuses to run as root
        return subprocess.run([*command, url], capture_output=True, text=True, timeout=SECONDS, check=True)

    def dom(self, url: str) -> tuple[str, list[str]]:
        """Return the page after its scripts ran, and what the console said."""
        done = self.run(url, "--dump-dom")
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    def ask(self, page: Path, expression: str, size: tuple[int, int] = (1280, 900)) -> Any:
        """Evaluate JavaScript in a copy of the page without its security policy; returns its JSON value."""
        source = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
        driver = f"<script>document.title = 'answer:' + JSON.stringify({expression}) + ':end'</script></body>"
        copy = page.with_name("asked.html")
        copy.write_text(source.replace("</body>", driver), encoding="utf-8")
        try:
            done = self.run(copy.as_uri(), "--dump-dom", size=size)
        finally:
            copy.unlink()
        (answer,) = re.findall(r"<title>answer:(.*):end</title>", done.stdout)
        return json.loads(answer.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))

    def picture(self, page: Path, target: Path, *flags: str) -> Image.Image:
        """Take a screenshot."""
        self.run(page.as_uri(), f"--screenshot={target}", *flags)
        with Image.open(target) as image:
            return image.convert("RGB")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return Browser(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(rich_results(tmp_path_factory.mktemp("rich"), people=PEOPLE))


def _rows(dom: str) -> tuple[int, int]:
    """Rows of the scan list that are shown, and all of them."""
    rows = re.findall(r'<tr id="scan-[^>]*>', dom)
    return sum(" hidden" not in row for row in rows), len(rows)


def test_page_renders_and_the_console_is_silent(browser: Browser, page: Path) -> None:
    dom, console = browser.dom(page.as_uri())
    assert console == []
    shown, total = _rows(dom)
    assert shown == total > PEOPLE
    assert f"{total} of {total} scans" in dom
    assert dom.count('aria-label="Multifidus: median') == 2


def test_empty_cohort_renders_silently(browser: Browser, tmp_path: Path) -> None:
    dom, console = browser.dom(write_report(empty_results(tmp_path)).as_uri())
    assert console == []
    assert "There is no usable scan." in dom


def test_policy_stops_any_request_and_the_console_would_tell(browser: Browser, page: Path) -> None:
    copy = page.with_name("tampered.html")
    tampered = page.read_text().replace(
        "<main", '<img src="https://example.org/x.png" alt=""><script>alert(1)</script><main'
    )
    copy.write_text(tampered)
    _, console = browser.dom(copy.as_uri())
    copy.unlink()
    assert len(console) == 2
    assert all("Content Security Policy" in line for line in console)


def test_filter_keeps_exactly_the_matching_scans(browser: Browser, page: Path) -> None:
    dom, console = browser.dom(page.as_uri() + "?find=fov_truncated")
    shown, total = _rows(dom)
    flagged = len(re.findall(r'<p class="concern">[^<]*<code>FOV_TRUNCATED', dom))
    assert console == []
    assert shown == flagged
    assert 0 < shown < total
    assert f"{shown} of {total} scans" in dom


def test_choosing_a_light_and_sorting_work(browser: Browser, page: Path) -> None:
    shown = browser.ask(
        page,
        """(() => {
          const light = document.getElementById("by-light");
          light.value = "red";
          light.dispatchEvent(new Event("input"));
          const visible = [...document.querySelectorAll("#scan-table tbody tr:not([hidden])")];
          return visible.map((row) => row.dataset.light);
        })()""",
    )
    assert shown
    assert set(shown) == {"red"}
    people = browser.ask(
        page,
        """(() => {
          const head = document.querySelectorAll("#scan-table thead th")[2];
          const names = () => [...document.querySelectorAll("#scan-table tbody th > code")].map((x) => x.textContent);
          head.querySelector("button").click();
          const up = names();
          head.querySelector("button").click();
          return [up, names(), head.getAttribute("aria-sort")];
        })()""",
    )
    assert people[0] != people[1]
    assert people[0] == sorted(people[0])
    assert people[1] == sorted(people[1], reverse=True)
    assert people[2] == "descending"


def test_picture_enlarges(browser: Browser, page: Path) -> None:
    opened = browser.ask(
        page,
        """(() => {
          document.querySelector(".thumb button").click();
          const viewer = document.getElementById("viewer");
          return [viewer.open, viewer.querySelector("img").src === document.querySelector(".thumb img").src];
        })()""",
    )
    assert opened == [True, True]


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_page_never_scrolls_sideways(browser: Browser, page: Path, width: int) -> None:
    """Chromium's window is never narrower than 500 pixels, so the page is asked inside a frame of the wanted width."""
    frame = page.with_name("frame.html")
    frame.write_text(
        f"""<body><iframe src="index.html" style="width:{width}px;height:900px;border:0"></iframe>
        <script>onload = () => {{
          const inner = document.querySelector("iframe").contentDocument.documentElement;
          document.title = inner.scrollWidth + "/" + inner.clientWidth;
        }}</script></body>"""
    )
    done = browser.run(frame.as_uri(), "--dump-dom", "--allow-file-access-from-files")
    frame.unlink()
    (found,) = re.findall(r"<title>(\d+)/(\d+)</title>", done.stdout)
    assert found == (str(width), str(width))


def test_dark_scheme_is_dark(browser: Browser, page: Path, tmp_path: Path) -> None:
    light = browser.picture(page, tmp_path / "light.png")
    dark = browser.picture(page, tmp_path / "dark.png", "--blink-settings=preferredColorScheme=0")
    assert np.asarray(light)[5, 5].min() > 240
    assert np.asarray(dark)[5, 5].max() < 50
