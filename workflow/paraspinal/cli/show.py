"""Tables for people to read on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from paraspinal.core.reasons import reason_text
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Sequence
from paraspinal.stages.ingest.inventory import Overview
from paraspinal.stages.ingest.reading.header_pass import PassTally
from paraspinal.stages.report.words import SEQUENCES

PARTS = {
    "water": "water",
    "fat": "fat",
    "inphase": "in phase",
    "oppphase": "opposed phase",
    "fatfraction": "fat fraction",
}
COUNTS = ("stacks", "people", "visits", "files")


def inventory(console: Console, found: Overview) -> None:
    """What an input holds: images to work on, what needs a look, what is set aside and why, and the scanners."""
    total = found.total
    counts = ", ".join(_count(total[name], name) for name in ("people", "visits", "stacks"))
    console.print(f"[bold]{_count(total['files'], 'files')}[/bold]: {counts}\n", highlight=False)
    _print(console, "Images", ("image", "plane", "slices"), found.images, _image)
    _print(console, "Worth a look (used all the same)", ("reason", "meaning"), found.doubtful, _reason)
    _print(console, "Set aside", ("reason", "meaning"), found.rejected, _reason)
    _print(console, "Body regions, as the headers say", ("region",), found.regions, _region)
    _print(console, "Scanners", ("vendor", "model", "field"), found.scanners, _scanner)
    unknown = sum(line["stacks"] for line in found.images if line["sequence"] == Sequence.UNKNOWN.value)
    if unknown:
        console.print(
            f"{_count(unknown, 'stacks')} of unknown sequence: sizes will be measured, fat will not. "
            "Name the sequence in an override sheet, see config/README.md.",
            highlight=False,
        )


@contextmanager
def header_pass(console: Console) -> Iterator[Callable[[PassTally], None]]:
    """Show how far the header pass is while the block runs."""
    with console.status("looking for files ...") as status:
        yield lambda tally: status.update(f"{tally.n_files:,} files found, {tally.n_read:,} read")


def _print(
    console: Console, title: str, columns: tuple[str, ...], lines: list[Row], words: Callable[[Row], tuple[str, ...]]
) -> None:
    if not lines:
        return
    console.print(f"[bold]{title}[/bold]")
    table = _table(*columns, *COUNTS)
    for line in lines:
        table.add_row(*words(line), *(f"{line[name]:,}" for name in COUNTS))
    console.print(table)
    console.print()


def _image(line: Row) -> tuple[str, str, str]:
    name = SEQUENCES[Sequence(line["sequence"])]
    if line["dixon_part"]:
        name += f" {PARTS[line['dixon_part']]}"
    elif line["is_fat_suppressed"] and line["sequence"] != Sequence.STIR.value:
        name += ", fat suppressed"
    least, most = line["least_slices"], line["most_slices"]
    return name, line["plane"], str(least) if least == most else f"{least}-{most}"


def _reason(line: Row) -> tuple[str, str]:
    return line["reason_code"], reason_text(line["reason_code"])


def _region(line: Row) -> tuple[str]:
    return (line["body_region"].replace("_", " "),)


def _scanner(line: Row) -> tuple[str, str, str]:
    field = line["field_strength_t"]
    return line["manufacturer"], line["scanner_model"] or "", f"{field:g} T" if field else ""


def _count(number: int, plural: str) -> str:
    singular = {"people": "person"}.get(plural, plural[:-1])
    return f"{number:,} {singular if number == 1 else plural}"


def _table(*columns: str) -> Table:
    """A table without lines, that keeps its words whole on a narrow terminal."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        is_text = column == "meaning"
        is_number = column in COUNTS
        table.add_column(column, overflow="fold", no_wrap=not is_text, justify="right" if is_number else "left")
    return table
