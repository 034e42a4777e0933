"""What became of every input, and who is in the cohort: all counts add up by construction."""

from __future__ import annotations

from collections.abc import Sequence as Sequences
from dataclasses import dataclass

import pandas as pd

from paraspinal.core.reasons import reason_text
from paraspinal.core.vocab import Light
from paraspinal.stages.report.data import Cohort, plain
from paraspinal.stages.report.words import LIGHTS, SEQUENCES


@dataclass(frozen=True)
class Share:
    """A counted part of a step: its code (empty if none), words, and count."""

    code: str
    text: str
    count: int


@dataclass(frozen=True)
class Step:
    """One box of the flow: ``count`` arrive, ``leaving`` go no further, the rest is the next box."""

    title: str
    count: int
    unit: str
    note: str
    leaving_title: str
    leaving: tuple[Share, ...]

    @property
    def kept(self) -> int:
        """How many go on."""
        return self.count - sum(share.count for share in self.leaving)


@dataclass(frozen=True)
class Flow:
    """The steps from file to measurement, counted by image, by person and by visit; two ways to divide the measured."""

    steps: tuple[Step, ...]
    persons: tuple[Step, ...]
    visits: tuple[Step, ...]
    by_level: tuple[Share, ...]
    by_fat: tuple[Share, ...]


@dataclass(frozen=True)
class Group:
    """One row of the who-is-in-it table."""

    name: str
    people: int
    visits: int
    scans: int
    measured: int


@dataclass(frozen=True)
class Ages:
    """People of one sex and their ages at the first visit (years); None where no age is known."""

    sex: str
    people: int
    median: float | None
    q1: float | None
    q3: float | None


@dataclass(frozen=True)
class People:
    """Who is in the cohort: every group table under its heading, and sex with age."""

    groups: dict[str, tuple[Group, ...]]
    ages: tuple[Ages, ...]


@dataclass(frozen=True)
class Headline:
    """The numbers at the top of the page."""

    people: int
    visits: int
    repeat_people: int
    sites: int
    files: int
    stacks: int
    scans: int
    measured: int
    with_fat: int
    lights: dict[str, int]


def is_measured(cohort: Cohort) -> pd.Series[bool]:
    """Whether each row of ``scans`` has a cross-section."""
    keys = pd.MultiIndex.from_frame(cohort.scans[["subject", "session", "scan_id"]])
    return pd.Series(keys.isin(cohort.measured), index=cohort.scans.index, dtype="bool")


def headline(cohort: Cohort) -> Headline:
    """Count what the page is about; people and visits are those with a measured scan."""
    measured = cohort.scans[is_measured(cohort)]
    visits = measured[["subject", "session"]].drop_duplicates()
    has_fat = cohort.metrics.loc[cohort.metrics["fi"].notna(), ["subject", "session", "scan_id"]].drop_duplicates()
    return Headline(
        people=measured["subject"].nunique(),
        visits=len(visits),
        repeat_people=int((visits.groupby("subject").size() > 1).sum()),
        sites=measured["site"].nunique(),
        files=int(cohort.inventory["n_files"].sum()),
        stacks=len(cohort.inventory),
        scans=len(cohort.scans),
        measured=len(measured),
        with_fat=len(has_fat),
        lights={light: int((measured["light"] == light).sum()) for light in LIGHTS},
    )


def flow(cohort: Cohort) -> Flow:
    """Follow the inputs from stack to measurement; every step gives a reason for everything that leaves it."""
    inventory, scans = cohort.inventory, cohort.scans
    used = inventory["stack_id"].isin(scans["stack_ids"].explode())
    muscles, measured = scans["role"] == "muscles", is_measured(cohort)
    segmented = muscles & (scans["dseg_path"].notna() | measured)
    aside = scans.assign(reason_code=scans["reason_code"].where(scans["role"] != "spine", "spine"))
    words = {"spine": "sagittal, used to find the levels"}
    steps = (
        Step("Found", len(inventory), "stack", f"{int(inventory['n_files'].sum()):,} files", "Not usable",
             _shares(inventory.loc[~used, "reason_code"])),
        Step("Usable", len(scans), "scan", f"made of {int(used.sum()):,} stacks", "Not for measuring",
             _shares(aside.loc[~muscles, "reason_code"], words)),
        Step("Axial scans of the muscles", int(muscles.sum()), "scan", "", "Not segmented",
             _shares(scans.loc[muscles & ~segmented, "reason_code"])),
        Step("Segmented", int(segmented.sum()), "scan", "", "Not measured",
             _shares(scans.loc[segmented & ~measured, "reason_code"])),
        Step("Measured", int((segmented & measured).sum()), "scan", "size of at least one muscle", "", ()),
    )  # fmt: skip
    boxes = (
        inventory[inventory["session"].notna()],
        aside,
        aside[muscles],
        aside[segmented],
        aside[segmented & measured],
    )
    return Flow(
        steps, _followed(boxes, steps, ["subject"], "person"), _followed(boxes, steps, ["subject", "session"], "visit"),
        _by_level(cohort), _by_fat(cohort),
    )  # fmt: skip


def _followed(boxes: Sequences[pd.DataFrame], steps: Sequences[Step], by: list[str], unit: str) -> tuple[Step, ...]:
    """Follow persons or visits through the boxes; each leaves once, for the commonest reason of its images there.

    ``boxes`` hold the images that reach each step. An image that went on has no say in why its person later left.
    """
    found: list[Step] = []
    for step, here, there in zip(steps, boxes, [*boxes[1:], None], strict=True):
        count = len(here[by].drop_duplicates())
        leaving: tuple[Share, ...] = ()
        if there is not None:
            gone = here[~pd.MultiIndex.from_frame(here[by]).isin(pd.MultiIndex.from_frame(there[by]))]
            often = gone.assign(reason_code=gone["reason_code"].fillna("")).groupby([*by, "reason_code"]).size()
            first = often.rename("n").reset_index().sort_values(["n", "reason_code"], ascending=[False, True])
            leaving = _shares(first.drop_duplicates(by)["reason_code"], {"spine": "no axial scan"})
        found.append(Step(step.title, count, unit, "", step.leaving_title, leaving))
    return tuple(found)


def _shares(codes: pd.Series, words: dict[str, str] | None = None) -> tuple[Share, ...]:
    """Count reason codes, most frequent first; a missing code is counted as such."""
    counts = codes.fillna("").value_counts()
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = words or {}
    return tuple(
        Share("" if code in words else str(code), words.get(str(code)) or reason_text(str(code)), int(n))
        for code, n in ordered
    )


def _by_level(cohort: Cohort) -> tuple[Share, ...]:
    """Divide the measured scans by where their levels come from."""
    words = {
        "sagittal_transfer": "levels from a sagittal scan of the visit",
        "same_image": "levels found on the scan itself",
        "manual": "levels given by hand",
    }
    rows = cohort.levels[cohort.levels["level"].notna()]
    source = rows.groupby(["subject", "session", "scan_id"])["level_source"].first()
    found = source.reindex(cohort.measured).replace("none", pd.NA)
    return _shares(found.fillna("LEVEL_UNRESOLVED"), words)


def _by_fat(cohort: Cohort) -> tuple[Share, ...]:
    """Divide the measured scans by whether, and why not, they have a fat infiltration."""
    keys = ["subject", "session", "scan_id"]
    metrics, measured = cohort.metrics, cohort.measured
    given = pd.MultiIndex.from_frame(plain(metrics.loc[metrics["fi"].notna(), keys].drop_duplicates()))
    without = measured.difference(given)
    stated = cohort.scans.set_index(keys)["fi_reason_code"]
    counts = plain(metrics.groupby([*keys, "fi_reason_code"]).size().rename("n").reset_index())
    often = counts.sort_values(["n", "fi_reason_code"], ascending=[False, True]).groupby(keys)["fi_reason_code"].first()
    reasons = stated.reindex(without).fillna(often.reindex(without)).fillna("")
    with_fat = pd.Series(["given"] * (len(measured) - len(without)), dtype="str")
    return _shares(pd.concat([with_fat, reasons.astype("str")]), {"given": "size and fat infiltration"})


def people(cohort: Cohort) -> People:
    """Count people, visits and axial scans by site, vendor, field strength and sequence; sex and age once a person."""
    scans = cohort.scans[cohort.scans["role"] == "muscles"].assign(measured=is_measured(cohort))
    field = scans["field_strength_t"].map(lambda tesla: f"{tesla:.3g} T", na_action="ignore")
    sequence = scans["sequence"].map({sequence.value: name for sequence, name in SEQUENCES.items()})
    headings = {
        "Sequence": sequence,
        "Site (pseudonym)": scans["site"],
        "Vendor": scans["manufacturer"],
        "Field strength": field,
    }
    groups = {heading: _groups(scans, values.fillna("not stated")) for heading, values in headings.items()}
    return People(groups if len(scans) else {}, _ages(cohort))


def _groups(scans: pd.DataFrame, values: pd.Series) -> tuple[Group, ...]:
    found = [
        Group(
            name=str(name),
            people=rows["subject"].nunique(),
            visits=len(rows[["subject", "session"]].drop_duplicates()),
            scans=len(rows),
            measured=int(rows["measured"].sum()),
        )
        for name, rows in scans.groupby(values)
    ]
    return tuple(sorted(found, key=lambda g: (g.name == "not stated", -g.scans, g.name)))


def _ages(cohort: Cohort) -> tuple[Ages, ...]:
    """Sex and age of every person with a measured scan, as the participants table has them."""
    measured = cohort.measured.get_level_values("subject")
    persons = cohort.participants[cohort.participants["subject"].isin(measured)]
    names = {"F": "Women", "M": "Men", "O": "Other"}
    sex = persons["sex"].map(names).fillna("Sex not stated")
    rows = [_age_row("Everyone", persons["age_years"])]
    rows += [_age_row(name, persons.loc[sex == name, "age_years"]) for name in [*names.values(), "Sex not stated"]]
    return tuple(row for row in rows if row.people)


def _age_row(name: str, ages: pd.Series) -> Ages:
    known = ages.dropna()
    quartiles: Sequences[float | None] = [None] * 3
    if len(known):
        quartiles = [float(x) for x in known.quantile([0.25, 0.5, 0.75])]
    return Ages(name, len(ages), quartiles[1], quartiles[0], quartiles[2])


def light_counts(scans: pd.DataFrame, values: pd.Series) -> dict[str, dict[Light, int]]:
    """Count traffic lights of scans per value of a grouping, most scans first."""
    counts = {
        str(name): {light: int((rows["light"] == light).sum()) for light in LIGHTS}
        for name, rows in scans.groupby(values.fillna("not stated"))
    }
    return dict(sorted(counts.items(), key=lambda item: (-sum(item[1].values()), item[0])))
