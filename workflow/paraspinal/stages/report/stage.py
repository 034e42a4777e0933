"""Put the view of a cohort into the page template and write the page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import yaml
from markupsafe import Markup

from paraspinal.core.files import write_text
from paraspinal.core.paths import PROJECT, RESOURCES
from paraspinal.core.records.schemas import COHORT_TABLES
from paraspinal.core.version import version
from paraspinal.core.vocab import Muscle, Side
from paraspinal.stages.report import figures
from paraspinal.stages.report.claim import as_section, checklist
from paraspinal.stages.report.data import Cohort, read_cohort
from paraspinal.stages.report.evidence import gather
from paraspinal.stages.report.flow import Flow, flow, headline, light_counts, people
from paraspinal.stages.report.listing import listing
from paraspinal.stages.report.methods import methods
from paraspinal.stages.report.muscles import Change, SchemeView, Spread, change, schemes, sides
from paraspinal.stages.report.prose import Section, markdown
from paraspinal.stages.report.words import LIGHTS, MUSCLES, SCHEMES, SEQUENCES, level_name

TEMPLATES = PROJECT / "workflow" / "report"
THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"
MIN_FOR_QUARTILES = 3
"""Below this many people quartiles say nothing and are not printed."""


FILES = ("index.html", "methods.md", "claim-2024.md")
"""What the report consists of."""


def write_report(results: Path, models_folder: Path = RESOURCES) -> Path:
    """Write ``report/`` below ``results`` from its cohort tables; returns the path of the page.

    Beside the page stand the methods text and the CLAIM checklist, as on the page. The page needs nothing from the
    network and equal tables give equal bytes; parameters are those of the receipts. ``models_folder`` holds the cards.
    Raises InputError if a table or the data dictionary is missing or damaged.
    """
    cohort = read_cohort(results)
    found = flow(cohort)
    evidence = gather(cohort, results, models_folder)
    text, claim = methods(cohort, found, evidence), as_section(checklist(results, evidence.models))
    folder = results / "report"
    page, methods_text, checklist_text = (folder / name for name in FILES)
    write_text(methods_text, markdown("Methods", text))
    write_text(checklist_text, markdown("Reporting checklist", [claim]))
    write_text(page, render(cohort, results, found, text, claim))
    return page


def render(cohort: Cohort, results: Path, found: Flow, text: Sequence[Section], claim: Section) -> str:
    """Fill the template; the page's security policy admits exactly its own style and script."""
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "table.js"))
    views, changes = schemes(cohort), change(cohort)
    scans, titles = cohort.scans, {method.name: method.title for method in cohort.fat_methods.values()}
    page = _environment().get_template("index.html.j2").render(
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data: file: 'self'; "
        f"style-src {_source(style)}; script-src {_source(script)}",
        headline=headline(cohort),
        flow=found,
        methods=text,
        claim=claim,
        people=people(cohort),
        schemes=views,
        profiles=[(_size_panels(v), _fat_panels(v, titles), [titles[m] for m in v.methods]) for v in views],
        pairs=_pair_panels(cohort),
        change=changes,
        change_figure=_change_figure(changes),
        left_out=len(cohort.metrics) - len(cohort.usable),
        lights={
            "Sequence": light_counts(scans, scans["sequence"].map(SEQUENCES)),
            "Site (pseudonym)": light_counts(scans, scans["site"]),
        },
        listing=listing(cohort, results),
        tables=COHORT_TABLES,
        min_for_quartiles=MIN_FOR_QUARTILES,
        definitions=cohort.dictionary.get("level_scheme", {}),
        fat_titles=titles,
        config_text=yaml.safe_dump(cohort.parameters, allow_unicode=True),
        version=version(),
    )  # fmt: skip
    return page


def _source(text: str) -> str:
    """Name an inline style or script by its hash, as a content security policy does."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": count, "fixed": fixed, "spread": spread, "level": level_name}
    environment.globals |= {
        "MUSCLES": MUSCLES, "SCHEMES": SCHEMES, "LIGHTS": LIGHTS, "SIDES": list(Side),
        "LIGHT_RANK": {light: rank for rank, light in enumerate(LIGHTS)},
        "lights_bar": figures.lights_bar, "legend_key": figures.legend_key,
    }  # fmt: skip
    return environment


def count(value: int) -> str:
    """Write a whole number with thin spaces between thousands."""
    return f"{value:,}".replace(",", THIN_SPACE)


def fixed(value: float, digits: int = 0) -> str:
    """Write a number with a fixed number of decimals, thin spaces and a true minus sign; never a negative zero."""
    text = f"{value:,.{digits}f}"
    if not text.strip("-0.,"):
        text = text.lstrip("-")
    return text.replace(",", THIN_SPACE).replace("-", "−")


def spread(value: Spread | None, digits: int = 0, factor: float = 1.0, people: int | None = None) -> Markup:
    """Write median and quartiles, and the count of people where it is not the ``people`` of the row.

    A dash where there is no value; no quartiles for very few people.
    """
    if value is None:
        return Markup('<span class="none" title="no value">–</span>')
    low, middle, high = (fixed(x * factor, digits) for x in (value.q1, value.median, value.q3))
    text = Markup("{}").format(middle)
    if value.n >= MIN_FOR_QUARTILES:
        joint = " to " if "−" in low + high else "–"
        text += Markup(' <span class="iqr">({}{}{})</span>').format(low, joint, high)
    if people is not None and people != value.n:
        text += Markup(' <span class="iqr">n&nbsp;{}</span>').format(count(value.n))
    return text


def _size_panels(view: SchemeView) -> list[tuple[str, Markup]]:
    """One panel per muscle: cross-section along the levels, left and right."""
    panels = []
    for muscle in Muscle:
        spreads = [(level_name(level), [_size(view, muscle, level, side) for side in Side]) for level in view.levels]
        if any(s for _, pair in spreads for s in pair):
            title = _alt(f"{MUSCLES[muscle]}: median cross-section in mm² by level", spreads, [str(s) for s in Side])
            panels.append((MUSCLES[muscle], figures.level_profile(spreads, "mm²", title)))
    return panels


def _size(view: SchemeView, muscle: Muscle, level: str, side: Side) -> Spread | None:
    row = view.row(muscle, level, side)
    return row.acsa_mm2 if row else None


def _fat_panels(view: SchemeView, titles: Mapping[str, str]) -> list[tuple[str, Markup]]:
    """One panel per muscle: fat infiltration along the levels, one series per method, on one scale for all."""
    percent = {k: Spread(s.n, 100 * s.q1, 100 * s.median, 100 * s.q3) for k, s in view.fi_both.items()}
    top = max((s.q3 for s in percent.values()), default=0.0)
    names = [titles[m] for m in view.methods]
    panels = []
    for muscle in Muscle:
        levels = [(level_name(x), [percent.get((muscle, x, m)) for m in view.methods]) for x in view.levels]
        if any(s for _, series in levels for s in series):
            title = _alt(f"{MUSCLES[muscle]}: median fat infiltration in % by level", levels, names)
            panels.append((MUSCLES[muscle], figures.level_profile(levels, "%", title, top)))
    return panels


def _pair_panels(cohort: Cohort) -> list[tuple[str, Markup]]:
    return [
        (MUSCLES[muscle], figures.pairs(points, "mm²", f"{MUSCLES[muscle]}: left against right, {len(points)} people"))
        for muscle, points in sides(cohort).items()
    ]


def _change_figure(changes: Change) -> Markup | None:
    rows = [
        (f"{_short(row.muscle)}, {row.side}", list(changes.points[row.muscle, row.side]), row.acsa_pct)
        for row in changes.rows
    ]
    title = "Change of cross-section from first to last visit in percent, one point per person"
    return figures.strips(rows, "% of first visit", title) if rows else None


def _short(muscle: Muscle) -> str:
    """Initials, as the field writes them: MF, ES, PM, QL."""
    return "MF" if muscle is Muscle.MULTIFIDUS else "".join(word[0] for word in muscle.split("_")).upper()


def _alt(start: str, levels: list[tuple[str, list[Spread | None]]], series: list[str]) -> str:
    """Describe a profile for those who cannot see it: the medians of every series."""
    parts = []
    for index, name in enumerate(series):
        values = [f"{level} {found[index].median:.0f}" for level, found in levels if found[index]]  # type: ignore[union-attr]
        if values:
            parts.append(f"{name}: {', '.join(values)}")
    return f"{start}. {'; '.join(parts)}."
