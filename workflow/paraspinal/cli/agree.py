"""`paraspinal agreement` and `paraspinal validate`: options in, one call of the package, a summary out."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from paraspinal.core.tables import Row

ALL = "all"
PIPE_WIDTH = 120


def agreement(arguments: argparse.Namespace) -> None:
    """Compare paired values of a table."""
    from paraspinal.statistics.margins import Margin
    from paraspinal.validate.layout import Layout
    from paraspinal.validate.table import agree_on_table

    layout = Layout(
        reference_suffix=arguments.reference_suffix,
        prediction_suffix=arguments.prediction_suffix,
        reference=arguments.reference,
        prediction=arguments.prediction,
        measure_column=arguments.measure_column,
        rater_column=arguments.rater_column,
        value_column=arguments.value_column,
        items=_names(arguments.item),
        participant=arguments.participant,
        by=_names(arguments.by),
        strata=_names(arguments.strata),
        age_column=arguments.age_column,
        bmi_column=arguments.bmi_column,
    )
    found = agree_on_table(
        arguments.table,
        arguments.out,
        layout,
        margins=tuple(Margin.parse(text) for text in arguments.margin),
        separator=arguments.separator.replace("\\t", "\t"),
        decimal=arguments.decimal,
        with_figures=not arguments.no_figures,
    )
    console = wide_console()
    show(console, found.rows, found.by)
    _say(console, found.notes, has_participants=bool(arguments.participant))
    _where(console, arguments.out, ("agreement.parquet", "agreement.csv"), found.figures)


def wide_console() -> Console:
    """A console that does not fold the tables of a file or pipe, which have no width of their own."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def show(console: Console, rows: Sequence[Row], by: Sequence[str]) -> None:
    """Print agreement, equivalence, and every stratum, in that order."""
    whole = [row for row in rows if row["stratum_by"] == ALL]
    keys: list[tuple[str, Callable[[Row], str]]] = [("measure", lambda row: row["measure"])]
    keys += [(name, partial(_word, name=name)) for name in by]
    _print(console, "Agreement (prediction - reference; 95 % intervals in brackets)", whole, [*keys, *_AGREEMENT])
    _print(console, "Equivalence (two one-sided tests at 0.05, 90 % interval)", whole, [*keys, *_EQUIVALENCE])
    for stratum in dict.fromkeys(row["stratum_by"] for row in rows if row["stratum_by"] != ALL):
        part = [row for row in rows if row["stratum_by"] == stratum]
        columns = [*keys, (stratum, lambda row: row["stratum"]), *_STRATUM]
        _print(console, f"By {stratum.replace('_', ' ')}", part, columns)


def _word(row: Row, name: str) -> str:
    return str(row.get(name) or "")


def _bracket(row: Row, name: str) -> str:
    if row.get(name) is None:
        return "-"
    low, high = row.get(f"{name}_ci_low"), row.get(f"{name}_ci_high")
    return _number(row[name]) + ("" if low is None else f"\n[{_number(low)}, {_number(high)}]")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


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


_AGREEMENT: list[tuple[str, Callable[[Row], str]]] = [
    ("n", lambda row: str(row["n"])),
    ("missing", lambda row: str(row["n_rows"] - row["n"])),
    ("bias", lambda row: _bracket(row, "bias")),
    ("lower limit", lambda row: _bracket(row, "loa_lower")),
    ("upper limit", lambda row: _bracket(row, "loa_upper")),
    ("ICC(A,1)", lambda row: _bracket(row, "icc_a1")),
    ("MAPE", lambda row: _percent(row, "mape_pct")),
]
_EQUIVALENCE: list[tuple[str, Callable[[Row], str]]] = [
    ("margin", lambda row: _number(row.get("margin"))),
    ("90 % interval", lambda row: f"{_number(row.get('ci90_low'))},\n{_number(row.get('ci90_high'))}"),
    ("smallest margin", lambda row: f"{_number(row.get('smallest_margin'))}\n({_percent(row, 'smallest_margin_pct')})"),
    ("p", lambda row: _p(row.get("tost_p"))),
    ("Holm p", lambda row: _p(row.get("tost_p_holm"))),
    ("verdict", _verdict),
    ("per participant", lambda row: _verdict(row, "participant_is_equivalent")),
]
_STRATUM: list[tuple[str, Callable[[Row], str]]] = [
    ("n", lambda row: str(row["n"])),
    ("people", lambda row: "-" if row["n_participants"] is None else str(row["n_participants"])),
    ("failed", lambda row: "-" if row["failure_frac"] is None else f"{100 * row['failure_frac']:.1f} %"),
    ("bias", lambda row: _bracket(row, "bias")),
    ("ICC(A,1)", lambda row: _number(row.get("icc_a1"))),
    ("p", lambda row: _p(row.get("tost_p"))),
    ("verdict", _judged),
]


_NUMBERS = {name for name, _ in (*_AGREEMENT, *_EQUIVALENCE, *_STRATUM)} - {"verdict", "per participant"}


def _print(
    console: Console, title: str, rows: Sequence[Row], columns: Sequence[tuple[str, Callable[[Row], str]]]
) -> None:
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


def _say(console: Console, notes: Sequence[str], has_participants: bool) -> None:
    for note in notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    if not has_participants:
        text = "no participants named: rows count as independent, which is too hopeful where people have several"
        console.print(f"note: {text} (--participant)", highlight=False, markup=False)


def _where(console: Console, out: Path, tables: Sequence[str], figures: Sequence[str]) -> None:
    console.print(f"tables:  {', '.join(str(out / name) for name in tables)}", soft_wrap=True)
    if figures:
        console.print(f"figures: {out / 'figures'} ({len(figures)})", soft_wrap=True)


def _names(texts: Sequence[str]) -> tuple[str, ...]:
    """Column names, given one by one or with commas between."""
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())


def add_commands(subs: Any) -> None:
    """Declare both sub-commands."""
    command = subs.add_parser("agreement", help="agreement of paired values in any table")
    command.add_argument("table", type=Path, help="CSV, TSV or Parquet, with a header")
    command.add_argument("--out", type=Path, default=Path("agreement"), help="folder for the results")
    command.add_argument("--reference-suffix", default="_ref", help="wide tables: end of the reference columns' names")
    command.add_argument("--prediction-suffix", default="_pred", help="wide tables: end of the prediction columns'")
    command.add_argument("--reference", default="", metavar="NAME", help="the reference's column (long: rater)")
    command.add_argument("--prediction", default="", metavar="NAME", help="the prediction's column (long: rater)")
    command.add_argument("--measure-column", default="", metavar="COLUMN", help="tells measures apart")
    command.add_argument("--rater-column", default="", metavar="COLUMN", help="long tables: who measured")
    command.add_argument("--value-column", default="", metavar="COLUMN", help="long tables: what was measured")
    command.add_argument("--item", action="append", default=[], metavar="COLUMN", help="long tables: which item")
    command.add_argument("--participant", default="", metavar="COLUMN", help="whose rows belong together")
    command.add_argument("--by", action="append", default=[], metavar="COLUMN", help="divide measures: muscle,side")
    command.add_argument("--strata", action="append", default=[], metavar="COLUMN", help="divide once more: vendor")
    command.add_argument("--age-column", default="", metavar="COLUMN", help="ages in years, made into strata")
    command.add_argument("--bmi-column", default="", metavar="COLUMN", help="body-mass indices, made into strata")
    command.add_argument(
        "--margin",
        action="append",
        default=[],
        metavar="[MEASURE=]VALUE[%]",
        help="equivalence margin: 5%% of the reference mean (default), or a number in the unit of the measure",
    )
    command.add_argument("--separator", default="", help="between cells (default: found)")
    command.add_argument("--decimal", default="", choices=(".", ","), help="decimal mark (default: found)")
    command.add_argument("--no-figures", action="store_true", help="tables only")
    command.set_defaults(command=agreement)
