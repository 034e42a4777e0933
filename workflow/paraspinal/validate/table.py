"""`paraspinal agreement`: the statistics of agreement on any table of paired values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from paraspinal.core.records.tables import Row
from paraspinal.statistics.columns import agreement_table
from paraspinal.statistics.margins import Margin, margin_for
from paraspinal.statistics.strata import PairedTable, agreement_rows
from paraspinal.validate.figures import bland_altman
from paraspinal.validate.layout import PARTICIPANT, Layout, find_pairs
from paraspinal.validate.output import write_tables
from paraspinal.validate.table_file import read_table


@dataclass(frozen=True)
class AgreementResult:
    """Rows as written to the table, what was noticed, and the figures."""

    rows: list[Row]
    by: tuple[str, ...]
    notes: tuple[str, ...]
    figures: tuple[str, ...]


def agree_on_table(
    path: Path,
    out: Path,
    layout: Layout,
    margins: tuple[Margin, ...],
    separator: str = "",
    decimal: str = "",
    with_figures: bool = True,
) -> AgreementResult:
    """Compare the pairs of a table and write ``agreement.parquet``, ``.csv`` and figures into ``out``.

    Raises InputError or ConfigError before anything is written.
    """
    table = read_table(path, separator, decimal)
    found = find_pairs(table, layout)
    participant = PARTICIPANT if layout.participant else None
    declared = agreement_table(found.by)
    computed = agreement_rows(PairedTable(found.frame, found.by, found.strata, participant, margins))
    rows = computed + found.skipped_rows()
    notes = [*found.notes]
    notes += [
        f"--margin for {m.pattern} fits no measure"
        for m in margins
        if m.pattern != "*" and not _is_used(m, margins, rows)
    ]
    write_tables(out, [(declared, rows)], {"layout": asdict(layout), "margins": {m.pattern: str(m) for m in margins}})
    figures = bland_altman(found.frame, computed, found.by, out / "figures") if with_figures else []
    return AgreementResult(rows, found.by, tuple(notes), tuple(figures))


def _is_used(margin: Margin, margins: tuple[Margin, ...], rows: list[Row]) -> bool:
    return any(margin_for(row["measure"], margins) is margin for row in rows)
