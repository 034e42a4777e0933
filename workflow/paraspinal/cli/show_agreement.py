"""Tables of agreement for people to read on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from rich.console import Console
from rich.table import Table

from paraspinal.core.records.tables import Row
from paraspinal.statistics.reasons import AGREEMENT_REASONS, AgreementReason

Shown: TypeAlias = tuple[str, Callable[[Row], str]]
"""A column: its heading, and what stands in a row."""

ALL = "all"
PIPE_WIDTH = 120


def wide_console() -> Console:
    """A console that does not fold the tables of a file or pipe, which have no width of their own."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def agreement(console: Console, rows: Sequence[Row], by: Sequence[str]) -> None:
    """Print agreement, equivalence, and every stratum, in that order."""
    whole = [row for row in rows if row["stratum_by"] == ALL]
    keys: list[Shown] = [("measure", lambda row: row["measure"])]
    keys += [(name, partial(_word, name=name)) for name in by]
    _print(console, "Agreement (prediction - reference; 95 % intervals in brackets)", whole, [*keys, *_AGREEMENT])
    _print(console, "Equivalence (two one-sided tests at 0.05, 90 % interval)", whole, [*keys, *_EQUIVALENCE])
    for stratum in dict.fromkeys(row["stratum_by"] for row in rows if row["stratum_by"] != ALL):
        part = [row for row in rows if row["stratum_by"] == stratum]
        columns: list[Shown] = [*keys, (stratum, lambda row: row["stratum"]), *_STRATUM]
        _print(console, f"By {stratum.replace('_', ' ')}", part, columns)


def reasons(console: Console, rows: Sequence[Row], by: Sequence[str]) -> None:
    """Say in words why something is missing in rows of the undivided table."""
    for row in rows:
        if row["stratum_by"] == ALL and row.get("reason_code"):
            name = " ".join([row["measure"], *(_word(row, name) for name in by)]).strip()
            words = "; ".join(AGREEMENT_REASONS[AgreementReason(code)] for code in row["reason_code"].split(";"))
            console.print(f"note: {name}: {words}", highlight=False, markup=False)


def overlap(console: Console, rows: Sequence[Row]) -> None:
    """Print Dice and distances by muscle, side and level; then by stratum, of the whole muscle."""
    names = ("muscle", "side", "level")
    keyed: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        keyed.setdefault((*(row[n] for n in names), row["stratum_by"], row["stratum"]), {})[row["measure"]] = row
    lines = [{**found["dsc"], "measures": found} for found in keyed.values()]
    keys: list[Shown] = [(name, partial(_word, name=name)) for name in names]
    whole = [line for line in lines if line["stratum_by"] == ALL]
    _print(
        console,
        "Overlap with the reference (mean, of distances the median; worst scan in brackets)",
        whole,
        [*keys, *_OVERLAP],
    )
    for stratum in dict.fromkeys(line["stratum_by"] for line in lines if line["stratum_by"] != ALL):
        part = [line for line in lines if line["stratum_by"] == stratum and line["level"] == ALL]
        columns: list[Shown] = [*keys[:2], (stratum, partial(_word, name="stratum")), *_OVERLAP]
        _print(console, f"Overlap by {stratum.replace('_', ' ')}", part, columns)


def _word(row: Row, name: str) -> str:
    return str(row.get(name) or "").replace("_", " ")


def _bracket(row: Row, name: str) -> str:
    if row.get(name) is None:
        return "-"
    low, high = row.get(f"{name}_ci_low"), row.get(f"{name}_ci_high")
    return _number(row[name]) + ("" if low is None else f"\n[{_number(low)}, {_number(high)}]")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _verdict(row: Row, name: str = "is_equivalent") -> str:
    found = row.get(name)
    if found is None:
        return "-" if row.get("tost_p") is not None else (row.get("reason_code") or "-")
    return "equivalent" if found else "not shown"


def _judged(row: Row) -> str:
    return _verdict(row) if row["is_sufficient"] else "insufficient"


def _percent(row: Row, name: str) -> str:
    return "-" if row.get(name) is None else f"{row[name]:.2f} %"


_AGREEMENT: list[Shown] = [
    ("n", lambda row: str(row["n"])),
    ("missing", lambda row: str(row["n_rows"] - row["n"])),
    ("bias", lambda row: _bracket(row, "bias")),
    ("lower limit", lambda row: _bracket(row, "loa_lower")),
    ("upper limit", lambda row: _bracket(row, "loa_upper")),
    ("ICC(A,1)", lambda row: _bracket(row, "icc_a1")),
    ("MAPE", lambda row: _percent(row, "mape_pct")),
]
_EQUIVALENCE: list[Shown] = [
    ("margin", lambda row: _number(row.get("margin"))),
    ("90 % interval", lambda row: f"{_number(row.get('ci90_low'))},\n{_number(row.get('ci90_high'))}"),
    ("smallest margin", lambda row: f"{_number(row.get('smallest_margin'))}\n({_percent(row, 'smallest_margin_pct')})"),
    ("p", lambda row: _p(row.get("tost_p"))),
    ("Holm p", lambda row: _p(row.get("tost_p_holm"))),
    ("verdict", _verdict),
    ("per participant", lambda row: _verdict(row, "participant_is_equivalent")),
]
_STRATUM: list[Shown] = [
    ("n", lambda row: str(row["n"])),
    ("people", lambda row: "-" if row["n_participants"] is None else str(row["n_participants"])),
    ("failed", lambda row: "-" if row["failure_frac"] is None else f"{100 * row['failure_frac']:.1f} %"),
    ("bias", lambda row: _bracket(row, "bias")),
    ("ICC(A,1)", lambda row: _number(row.get("icc_a1"))),
    ("p", lambda row: _p(row.get("tost_p"))),
    ("verdict", _judged),
]


def _centre_worst(line: Row, measure: str) -> str:
    row = line["measures"][measure]
    if not row["is_sufficient"] and row["stratum_by"] != ALL:
        return "insufficient"
    centre = row.get("median" if measure.endswith("_mm") else "mean")
    return f"{_short(centre)} ({_short(row.get('worst'))})"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if value < 2 else f"{value:.2f}"


_OVERLAP: list[Shown] = [
    ("n", lambda row: str(row["n"])),
    ("failed", lambda row: "-" if row["failure_frac"] is None else f"{100 * row['failure_frac']:.1f} %"),
    ("Dice", partial(_centre_worst, measure="dsc")),
    ("HD95 mm", partial(_centre_worst, measure="hd95_mm")),
    ("ASSD mm", partial(_centre_worst, measure="assd_mm")),
    ("NSD 1 mm", partial(_centre_worst, measure="nsd_1mm")),
    ("NSD 2 mm", partial(_centre_worst, measure="nsd_2mm")),
]
_NUMBERS = {name for name, _ in (*_AGREEMENT, *_EQUIVALENCE, *_STRATUM, *_OVERLAP)} - {"verdict", "per participant"}


def _print(console: Console, title: str, rows: Sequence[Row], columns: Sequence[Shown]) -> None:
    table = Table(box=None, pad_edge=False)
    for name, _ in columns:
        is_number = name in _NUMBERS
        heading = name.replace("_", " ").replace(" margin", "\nmargin").replace(" participant", "\nparticipant")
        table.add_column(heading, overflow="fold", justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*(words(row) for _, words in columns))
    console.print(f"[bold]{title}[/bold]", highlight=False)
    console.print(table)
    console.print()
