"""`paraspinal agreement` and `paraspinal validate`: options in, one call of the package, a summary out."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from paraspinal.cli import show_agreement

if TYPE_CHECKING:
    from paraspinal.statistics.margins import Margin

MUSCLE = ("muscle", "side", "level")


def agreement(arguments: argparse.Namespace) -> None:
    """Compare paired values of a table."""
    from paraspinal.statistics.margins import Margin
    from paraspinal.validate.layout import Layout
    from paraspinal.validate.table import agree_on_table

    named = _margins(arguments.config)
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
        margins=(named["size"], *(Margin.parse(text, named) for text in arguments.margin)),
        separator=arguments.separator.replace("\\t", "\t"),
        decimal=arguments.decimal,
        with_figures=not arguments.no_figures,
    )
    console = show_agreement.wide_console()
    show_agreement.agreement(console, found.rows, found.by)
    show_agreement.reasons(console, found.rows, found.by)
    _say(console, found.notes, has_participants=bool(arguments.participant))
    _where(console, arguments.out, ("agreement.parquet", "agreement.csv"), found.figures)


def validate(arguments: argparse.Namespace) -> None:
    """Compare label maps with references."""
    from paraspinal.validate import folders
    from paraspinal.validate.conventions import read_convention
    from paraspinal.validate.output import write_names
    from paraspinal.validate.pairing import pair_by_entities, pair_by_sheet
    from paraspinal.validate.run_tables import read_run

    named = _margins(arguments.config)
    codes = (read_convention(arguments.prediction_labels), read_convention(arguments.reference_labels))
    roots = (arguments.predictions, arguments.references)
    pairs = pair_by_sheet(arguments.sheet, *roots) if arguments.sheet else pair_by_entities(*roots)
    known = read_run(arguments.results) if arguments.results else {}
    margins = (named["size"], replace(named["dixon_fi"], pattern="fi_*"))
    found = folders.validate(pairs, codes, known, margins, arguments.out, with_figures=not arguments.no_figures)
    if arguments.names:
        write_names(arguments.names, pairs)
    console = show_agreement.wide_console()
    states = Counter(row["reason_code"] or row["status"] for row in found.pairs)
    counts = ", ".join(f"{state} {count}" for state, count in states.most_common())
    console.print(f"[bold]{len(found.pairs)} pairs[/bold]: {counts}\n", highlight=False)
    show_agreement.overlap(console, found.summary)
    shown = [row for row in found.agreement if row["level"] == show_agreement.ALL]  # the tables have the levels
    show_agreement.agreement(console, shown, MUSCLE)
    show_agreement.reasons(console, shown, MUSCLE)
    _say(console, found.notes, has_participants=any(row["participant"] for row in found.pairs))
    tables = [f"{name}.parquet" for name in ("pairs", "overlap", "overlap_summary", "agreement")]
    _where(console, arguments.out, tables, found.figures)


def _margins(config: Path | None) -> dict[str, Margin]:
    from paraspinal.core.settings import load_settings, read_config
    from paraspinal.statistics.margins import named_margins

    return named_margins(load_settings(read_config(config, {})).agreement)


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
        help="equivalence margin: 5%% of the reference mean (default), a number in the unit of the measure, or one "
        "of the configuration: size, dixon_fi, t1t2_fi (fractions), dixon_fi_pct, t1t2_fi_pct (percent)",
    )
    command.add_argument("--config", type=Path, help="configuration with margins on top of config/config.yaml")
    command.add_argument("--separator", default="", help="between cells (default: found)")
    command.add_argument("--decimal", default="", choices=(".", ","), help="decimal mark (default: found)")
    command.add_argument("--no-figures", action="store_true", help="tables only")
    command.set_defaults(command=agreement)
    _add_validate(subs)


def _add_validate(subs: Any) -> None:
    command = subs.add_parser("validate", help="agreement of label maps with reference label maps")
    command.add_argument("predictions", type=Path, help="folder with the label maps to judge (NIfTI)")
    command.add_argument("references", type=Path, help="folder with the reference label maps (NIfTI)")
    command.add_argument("--out", type=Path, default=Path("validation"), help="folder for the results")
    command.add_argument("--sheet", type=Path, help="table that pairs files; without it BIDS entities do")
    for what in ("prediction", "reference"):
        command.add_argument(
            f"--{what}-labels",
            default="paraspinal",
            metavar="CONVENTION",
            help="paraspinal (default), musclemap, musclemap_atlas, lpm_segmentator, or a table: label, muscle, side",
        )
    command.add_argument("--results", type=Path, help="results of a run: strata, levels and Dixon images of its scans")
    command.add_argument("--names", type=Path, help="write which pair is which file; keep it as private as the images")
    command.add_argument("--config", type=Path, help="configuration with margins on top of config/config.yaml")
    command.add_argument("--no-figures", action="store_true", help="tables only")
    command.set_defaults(command=validate)
