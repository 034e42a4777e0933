"""Quality and the scan list: which scans to look at, why, and their pictures."""

from __future__ import annotations

import base64
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from paraspinal.core.reasons import reason_text
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Light, Muscle, Sequence
from paraspinal.stages.report.data import SCAN_KEY, Cohort, groups, plain, records
from paraspinal.stages.report.flow import is_measured
from paraspinal.stages.report.words import LIGHTS, MUSCLES, SEQUENCES, level_name, level_order

MAX_PICTURES = 60
MAX_PICTURE_BYTES = 15_000_000
"""What is embedded at most, so that the page opens quickly and can be mailed; the rest are links."""
MAX_SCANS = 1_000
"""Scans listed at most, worst light first; the tables have them all."""
MAX_PARTS = 4
"""Muscles and levels named per reason before 'and n more'."""


@dataclass(frozen=True)
class ReasonRow:
    """How often a reason was flagged."""

    code: str
    text: str
    light: Light
    scans: int
    flags: int


@dataclass(frozen=True)
class Concern:
    """One reason on one scan, with the muscles and levels it is about."""

    code: str
    text: str
    light: Light
    parts: str


@dataclass(frozen=True)
class Picture:
    """An overlay: embedded as a data URI, or linked relative to the page."""

    source: str
    is_embedded: bool


@dataclass(frozen=True)
class ScanLine:
    """One row of the scan list; ``name`` is the scan without person and visit; empty text where the table is null."""

    subject: str
    session: str
    visit: str
    scan_id: str
    name: str
    role: str
    site: str
    sequence: str
    scanner: str
    grid: str
    levels: str
    fat: str
    light: Light
    is_measured: bool
    concerns: tuple[Concern, ...]
    picture: Picture | None


@dataclass(frozen=True)
class Listing:
    """Reasons by frequency, and the scans, worst light first; the counts are of all, listed or not."""

    reasons: tuple[ReasonRow, ...]
    scans: tuple[ScanLine, ...]
    n_scans: int
    n_worrying: int


def listing(cohort: Cohort, results: Path) -> Listing:
    """Build the quality summary and the scan list; reads overlay pictures below ``results`` only."""
    order = {light: rank for rank, light in enumerate(LIGHTS)}
    scans = cohort.scans.assign(rank=cohort.scans["light"].map(order), measured=is_measured(cohort))
    scans = scans.sort_values(["rank", "role", "subject", "visit_order", "scan_id"], kind="stable")
    flags = cohort.quality[cohort.quality["reason_code"].notna()]
    flagged_keys = pd.MultiIndex.from_frame(flags[SCAN_KEY].drop_duplicates())
    is_worrying = scans["reason_code"].notna() | pd.MultiIndex.from_frame(scans[SCAN_KEY]).isin(flagged_keys)
    listed = scans.head(MAX_SCANS)
    rows = records(listed)
    concerns = _concerns(_of(flags, listed))
    levels, fat = _levels(_of(cohort.levels, listed)), _fat_methods(_of(cohort.metrics, listed), cohort)
    pictures = _pictures([r["overlay_path"] for r in rows], results)
    lines = []
    for row, picture in zip(rows, pictures, strict=True):
        key = (row["subject"], row["session"], row["scan_id"])
        lines.append(_line(row, concerns.get(key, ()), levels.get(key, ""), fat.get(key, ""), picture))
    return Listing(_reasons(cohort.quality), tuple(lines), len(scans), int(is_worrying.sum()))


def _of(rows: pd.DataFrame, scans: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of these scans."""
    near = plain(rows[rows["session"].isin(scans["session"])])
    return near.merge(scans[SCAN_KEY], how="inner", on=SCAN_KEY)


def _line(row: Row, concerns: tuple[Concern, ...], levels: str, fat: str, picture: Picture | None) -> ScanLine:
    own = row["reason_code"]
    if _given(own) and own not in {c.code for c in concerns}:
        concerns = (Concern(own, reason_text(own), Light(row["light"]), _text(row["detail"])), *concerns)
    no_fat = row["fi_reason_code"]
    field = f"{row['field_strength_t']:.3g} T" if _given(row["field_strength_t"]) else ""
    return ScanLine(
        subject=row["subject"],
        session=row["session"],
        visit=str(int(row["visit"])) if _given(row["visit"]) else "",
        scan_id=row["scan_id"],
        name=row["scan_id"].removeprefix(f"sub-{row['subject']}_").removeprefix(f"ses-{row['session']}_"),
        role={"muscles": "axial, muscles", "spine": "sagittal, levels"}.get(row["role"], "not used"),
        site=_text(row["site"]),
        sequence=SEQUENCES[Sequence(row["sequence"])],
        scanner=" ".join(x for x in (_text(row["manufacturer"]), _text(row["scanner_model"]), field) if x),
        grid=_grid(row["size"], row["spacing_mm"]),
        levels=levels,
        fat=fat or (f"none: {reason_text(no_fat)}" if _given(no_fat) else ""),
        light=Light(row["light"]),
        is_measured=row["measured"],
        concerns=concerns,
        picture=picture,
    )


def _given(value: Any) -> bool:
    return value is not None and not pd.isna(value)


def _text(value: Any) -> str:
    return str(value) if _given(value) else ""


def _grid(size: Any, spacing: Any) -> str:
    if size is None or spacing is None:
        return ""
    return f"{size[2]} slices, " + " × ".join(f"{mm:.3g}" for mm in spacing) + " mm"


def _reasons(quality: pd.DataFrame) -> tuple[ReasonRow, ...]:
    flags = quality[quality["reason_code"].notna()]
    found = [
        ReasonRow(code, reason_text(code), Light(light), len(rows[SCAN_KEY].drop_duplicates()), len(rows))
        for (code, light), rows in groups(flags, ["reason_code", "light"])
    ]
    order = list(LIGHTS)
    return tuple(sorted(found, key=lambda r: (order.index(r.light), -r.scans, r.code)))


def _concerns(flags: pd.DataFrame) -> dict[tuple[str, ...], tuple[Concern, ...]]:
    """Gather the flags of each scan by reason, worst first; many muscles and levels are counted, not listed."""
    gathered: dict[tuple[str, ...], dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in records(flags):
        key = (row["subject"], row["session"], row["scan_id"])
        gathered[key][row["light"], row["reason_code"]].append(_part(row))
    order = list(LIGHTS)
    return {
        key: tuple(
            Concern(code, reason_text(code), Light(light), _few([p for p in parts if p]))
            for (light, code), parts in sorted(
                reasons.items(), key=lambda item: (order.index(Light(item[0][0])), item[0])
            )
        )
        for key, reasons in gathered.items()
    }


def _part(row: Row) -> str:
    muscle = MUSCLES[Muscle(row["muscle"])].lower() if _given(row["muscle"]) else ""
    level = level_name(row["level"]) if _given(row["level"]) else ""
    where = " ".join(x for x in (muscle, _text(row["side"]), level) if x)
    return ": ".join(x for x in (where, _text(row["detail"])) if x)


def _few(parts: list[str]) -> str:
    shown = "; ".join(parts[:MAX_PARTS])
    return f"{shown}; and {len(parts) - MAX_PARTS} more" if len(parts) > MAX_PARTS else shown


def _levels(levels: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """Name the vertebrae or discs each scan covers, as a range where there is no gap."""
    rows = levels[levels["level_scheme"].isin(["vertebra_slab", "disc_stack"])]
    rows = rows[rows["level"].notna() & (rows["coverage_frac"] > 0)]
    order = level_order()
    found: dict[tuple[str, ...], str] = {}
    for key, group in groups(rows, SCAN_KEY):
        covered = sorted(set(group["level"]), key=order.index)
        first, last = covered[0], covered[-1]
        between = order[order.index(first) : order.index(last) + 1]
        usual = [x for x in between if ("_" in x) == ("_" in first) and (x in covered or "L6" not in x)]
        is_range = len(covered) > 2 and covered == usual
        names = [level_name(first), level_name(last)] if is_range else [level_name(x) for x in covered]
        found[key] = (" to " if is_range else ", ").join(names)
    return found


def _fat_methods(metrics: pd.DataFrame, cohort: Cohort) -> dict[tuple[str, ...], str]:
    given = metrics.loc[metrics["fi"].notna(), [*SCAN_KEY, "fi_method"]].drop_duplicates()
    return {
        key: "; ".join(m.title for m in cohort.fat_methods.values() if m.name in set(rows["fi_method"]))
        for key, rows in groups(given, SCAN_KEY)
    }


def _pictures(paths: list[Any], results: Path) -> list[Picture | None]:
    """Embed the first pictures within the budget and link the others; a path outside the results is ignored."""
    pictures: list[Picture | None] = []
    count = room = 0
    room = MAX_PICTURE_BYTES
    inside = results.resolve()
    for path in paths:
        file = results / path if _given(path) else None
        if file is None or not file.is_file() or not file.resolve().is_relative_to(inside):
            pictures.append(None)
            continue
        data = file.read_bytes() if count < MAX_PICTURES and file.stat().st_size <= room else b""
        if data:
            count, room = count + 1, room - len(data)
            pictures.append(Picture("data:image/png;base64," + base64.b64encode(data).decode(), True))
        else:
            pictures.append(Picture("../" + quote(path), False))
    return pictures
