"""The methods text of a paper, made from what the run recorded: no number in it is typed by hand.

Every section is paragraphs and tables of plain text, which the page and ``methods.md`` both show word for word.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Sequences

import pandas as pd

from paraspinal.core.reasons import reason_text
from paraspinal.core.records.schemas import METRICS
from paraspinal.core.records.tables import Column, Row
from paraspinal.core.vocab import Light, Sequence
from paraspinal.stages.report.data import SCAN_KEY, Cohort, records, sizes
from paraspinal.stages.report.evidence import Evidence, Model
from paraspinal.stages.report.flow import Flow, People, Share, Step, light_counts, people
from paraspinal.stages.report.prose import Grid, Section, counted, joined, shares_text
from paraspinal.stages.report.words import SCHEMES

SIZES = tuple(c for c in METRICS.columns if c.unit in ("mm2", "mm3", "%") or c.name.startswith("rcsa_"))
"""Columns of the metrics table that are sizes; whichever hold a value are defined in the text."""


def methods(cohort: Cohort, flow: Flow, evidence: Evidence) -> tuple[Section, ...]:
    """Write every section that has something to say."""
    made = (
        _software(evidence),
        _images(cohort, flow),
        _segmentation(evidence),
        _levels(cohort, flow),
        _size(cohort),
        _fat(cohort, flow),
        _quality(cohort),
        _agreement(evidence),
        _parameters(evidence),
        _data(evidence),
    )
    return tuple(section for section in made if section.paragraphs or section.grids)


def _software(evidence: Evidence) -> Section:
    everything: dict[str, set[str]] = {}
    for versions in evidence.software.values():
        for name, found in versions.items():
            everything.setdefault(name, set()).update(found)
    named = [
        f"{name} {joined(sorted(found))}" for name, found in sorted(everything.items(), key=lambda x: x[0].lower())
    ]
    text = (
        f"All measurements were made automatically. The software was {joined(named)}."
        if named
        else "All measurements were made automatically; the versions of the software were not recorded by this run."
    )
    several = [name for name, found in everything.items() if len(found) > 1]
    more = f" More than one version of {joined(sorted(several))} took part, for the run was continued after an update."
    rows = [
        (stage, joined([f"{n} {joined(v)}" for n, v in found.items()])) for stage, found in evidence.software.items()
    ]
    grid = Grid("Software by stage, as each job recorded it", ("Stage", "Versions"), tuple(rows))
    return Section("Software", (text + (more if several else ""),), (grid,) if rows else ())


def _images(cohort: Cohort, flow: Flow) -> Section:
    scans, who = cohort.scans[cohort.scans["role"] == "muscles"], people(cohort)
    made_by = scans["manufacturer"].fillna("not stated").value_counts().sort_index()
    vendors = [f"{name} ({counted(int(n), 'scan')})" for name, n in made_by.items()]
    fields = sorted(scans["field_strength_t"].dropna().unique())
    protocol = (
        f"The {counted(len(scans), 'axial scan')} of the muscles came from "
        f"{counted(scans['site'].nunique(), 'known site')} and from scanners of {joined(vendors)}, at "
        f"{joined([f'{t:.3g} T' for t in fields]) or 'field strengths not stated'}; by sequence: "
        f"{joined([f'{g.name} {g.scans}' for g in who.groups.get('Sequence', ())])}."
        if len(scans)
        else ""
    )
    files = counted(int(cohort.inventory["n_files"].sum()), "file")
    split = (
        "DICOM series were split into stacks (one set of slices on one grid), converted to NIfTI with the grid checked "
        "against the DICOM geometry, and classified by their headers. A scan is one stack, or the parts of one Dixon "
        f"acquisition. People, visits and sites are keyed pseudonyms. The input held {files}."
    )
    grids = (
        _flow_grid("Stacks and scans: who goes on, who leaves, and why", flow.steps),
        _flow_grid("Participants: everyone is counted once in each row", flow.persons),
        _flow_grid("Visits", flow.visits),
    )
    return Section("Images and participants", tuple(x for x in (split, protocol, _ages(who)) if x), grids)


def _ages(who: People) -> str:
    rows = who.ages
    parts = [f"{row.sex.lower()} {row.people}" for row in rows[1:]]
    if not rows:
        return ""
    age = "" if rows[0].median is None else (
        f"; age at the first visit, median {rows[0].median:.0f} years "
        f"(quartiles {rows[0].q1:.0f} to {rows[0].q3:.0f})"
    )  # fmt: skip
    return f"{counted(rows[0].people, 'person', 'people')} had a measured scan ({joined(parts)}){age}."


def _flow_grid(caption: str, steps: Sequences[Step]) -> Grid:
    rows = [
        (
            step.title + (f" ({step.note})" if step.note else ""),
            counted(step.count, step.unit),
            f"{step.count - step.kept:,}",
            shares_text(step.leaving) or "-",
        )
        for step in steps
    ]
    return Grid(caption, ("Step", "Number", "Leave here", "Because"), tuple(rows))


def _segmentation(evidence: Evidence) -> Section:
    rows = tuple(
        (model.name, a.data, a.structure.replace("_", " "), a.measure, f"{a.value:.3g}{unit}")
        for model in evidence.models
        for a in (model.card.accuracy if model.card else ())
        for unit in ("" if a.unit == "1" else f" {a.unit}",)
    )
    grid = Grid("Accuracy as the model cards state it", ("Model", "Data", "Structure", "Measure", "Value"), rows)
    return Section("Segmentation", tuple(map(_model, evidence.models)), (grid,) if rows else ())


def _model(model: Model) -> str:
    scans = counted(model.scans, "scan was", "scans were")
    start = f"{scans} outlined by {model.name} (sha256 of the weights {model.sha256})"
    if model.card is None:
        return f"{start}; no card of these weights was found, so nothing can be said of their training and accuracy."
    card = model.card
    data = card.training.get("data", "")
    taught = "; ".join(map(str, data)) if isinstance(data, list) else str(data)
    return (
        f"{start}: {card.summary} Training data: {taught}. Intended use: {card.intended_use} "
        f"Limits: {' '.join(card.limits)} Accuracy is stated in {model.card_path}."
    )


def _levels(cohort: Cohort, flow: Flow) -> Section:
    rows = cohort.levels[cohort.levels["level"].notna()]
    scans = rows.drop_duplicates(SCAN_KEY)
    how = scans["level_numbering"].value_counts().sort_index()
    numbered = [f"{str(name).replace('_', ' ')} in {counted(int(n), 'scan')}" for name, n in how.items()]
    angle = cohort.parameters.get("levels.max_disc_angle_deg")
    seen = set(cohort.metrics["level_scheme"])
    paragraphs = [
        "Levels are transferred from a sagittal scan only inside one frame of reference of the same visit, or found on "
        f"the scan itself; otherwise they are unknown. Of the measured scans: {shares_text(flow.by_level)}."
        if flow.by_level
        else "",
        f"Vertebrae were numbered: {joined(numbered)}." if numbered else "",
        f"A group of oblique slices belongs to a disc when their normals differ by at most {angle:g} degrees."
        if angle is not None and "disc_stack" in set(rows["level_scheme"])
        else "",
        _definitions(cohort, {s: SCHEMES[s] for s in SCHEMES if s in seen}),
    ]
    return Section("Levels", tuple(p for p in paragraphs if p))


def _definitions(cohort: Cohort, titles: Mapping[str, str]) -> str:
    """Define level schemes, each with its title, as the data dictionary of this run does."""
    known = cohort.dictionary.get("level_scheme", {})
    return " ".join(f"{title} ({word}): {known[word]}." for word, title in titles.items() if word in known)


def _size(cohort: Cohort) -> Section:
    if not cohort.sizes_given:
        return Section("Size", ())
    coverage = cohort.parameters.get("measure.min_coverage_frac")
    text = (
        f"{counted(len(sizes(cohort.metrics)), 'region')} (muscle, side and level of a scan) were measured in the "
        "native grid of each image, without resampling, with slice spacing rather than thickness."
    )
    if coverage is not None:
        text += f" A volume is given only where at least {coverage:g} of the level lies inside the scan, without gaps."
    rows = tuple(
        (c.name, _plain_unit(c), c.description, c.formula or "-", f"{cohort.sizes_given[c.name]:,}")
        for c in SIZES
        if cohort.sizes_given.get(c.name)
    )
    head = ("Column", "Unit", "What", "Formula", "Rows with a value")
    return Section("Size", (text,), (Grid("Sizes in the tables; a value counts once per fat method", head, rows),))


def _plain_unit(column: Column) -> str:
    return {"mm2": "mm²", "mm3": "mm³", "1": "ratio"}.get(column.unit, column.unit)


def _fat(cohort: Cohort, flow: Flow) -> Section:
    given = set(cohort.metrics.loc[cohort.metrics["fi"].notna(), "fi_method"])
    used = [method for method in cohort.fat_methods.values() if method.name in given]
    ring = cohort.parameters.get("harmonize.min_subcutaneous_ff")
    missing = cohort.metrics.loc[cohort.metrics["fi"].isna(), "fi_reason_code"].astype("str").fillna("").value_counts()
    ordered = sorted(missing.items(), key=lambda item: (-item[1], item[0]))
    withheld = [Share(str(code), reason_text(str(code)), int(n)) for code, n in ordered]
    paragraphs = [
        f"Of the measured scans: {shares_text(flow.by_fat)}." if flow.by_fat else "",
        " ".join(f"{method.title} ({method.name}): {method.definition}." for method in used),
        *(f"Fat infiltration was given, {gate}." for gate in dict.fromkeys(method.gate for method in used) if gate),
        f"A Dixon pair was used only if fat under the skin had a fat fraction of at least {ring:g}; else a swap of "
        "water and fat or unequal scales are suspected and no fat fraction is given."
        if ring is not None and any(Sequence.DIXON in method.sequences for method in used)
        else "",
        f"Rows without fat infiltration, by reason: {shares_text(withheld)}." if withheld and used else "",
        "Methods measure different things and were not pooled." if len(used) > 1 else "",
    ]
    return Section("Fat infiltration", tuple(p for p in paragraphs if p))


def _quality(cohort: Cohort) -> Section:
    if not len(cohort.scans):
        return Section("Quality", ())
    (counts,) = light_counts(cohort.scans, cohort.scans["light"].map(lambda light: "all")).values()
    lights = joined([f"{counts[light]:,} {light}" for light in (Light.GREEN, Light.AMBER, Light.RED)])
    flags = cohort.quality[cohort.quality["reason_code"].notna()]
    found = flags.groupby(["light", "reason_code"])["scan_id"].nunique().sort_values(ascending=False, kind="stable")
    rows = tuple(
        (str(row["light"]), f"{reason_text(row['reason_code'])} ({row['reason_code']})", f"{row['scan_id']:,}")
        for row in records(found.reset_index())
    )
    text = (
        f"Every scan was judged by rules: {lights}. Values under a red flag "
        f"({len(cohort.metrics) - len(cohort.usable):,} rows) are left out of every summary and stay in the tables."
    )
    return Section("Quality", (text,), (Grid("Flags", ("Light", "Reason", "Scans"), rows),) if rows else ())


def _agreement(evidence: Evidence) -> Section:
    paragraphs: list[str] = []
    grids: list[Grid] = []
    head = ("Measure", "Pairs", "People", "Bias", "95 % limits", "ICC(A,1) (95 % CI)", "Margin", "TOST p", "Equivalent")
    for name, found in evidence.agreements:
        rules = sorted({row["margin_rule"] for row in found})
        paragraphs.append(
            f"{counted(len(found), 'measure was', 'measures were')} compared with a reference: bias, 95 % limits of "
            "agreement, intraclass correlation for absolute agreement, and two one-sided tests of equivalence with "
            f"these margins: {'; '.join(rules)}."
        )
        grids.append(Grid(f"Agreement with the reference ({name})", head, tuple(map(_agreement_row, found))))
    return Section("Agreement with a reference", tuple(paragraphs), tuple(grids))


def _agreement_row(row: Row) -> tuple[str, ...]:
    def number(name: str) -> str:
        return "-" if pd.isna(row[name]) else f"{row[name]:.4g}"

    verdict: str = "-" if pd.isna(row["is_equivalent"]) else "yes" if row["is_equivalent"] else "no"
    return (
        row["measure"], number("n"), number("n_participants"), number("bias"),
        f"{number('loa_lower')} to {number('loa_upper')}",
        f"{number('icc_a1')} ({number('icc_a1_ci_low')} to {number('icc_a1_ci_high')})",
        number("margin"), number("tost_p"), verdict,
    )  # fmt: skip


def _parameters(evidence: Evidence) -> Section:
    rows = tuple((p.key, p.value, p.meaning) for p in evidence.parameters)
    text = "What a run can be told, and what this one was told; paths are left out."
    return Section("Parameters", (text,), (Grid("Every parameter", ("Key", "Value", "Meaning (unit)"), rows),))


def _data(evidence: Evidence) -> Section:
    rows = tuple((f"tables/{f.name}.parquet", f"{f.rows:,}", f.sha256) for f in evidence.files)
    text = (
        "These are the tables the numbers above were counted from; a copy is the same data if its sha256 is the same."
    )
    return Section("Data", (text,), (Grid("Tables", ("File", "Rows", "sha256"), rows),))
