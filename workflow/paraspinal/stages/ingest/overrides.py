"""Apply the override sheet: what the user knows better than the headers, for a stack, a series or a whole protocol."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Reason, Status
from paraspinal.stages.ingest.kinds.region import Region
from paraspinal.stages.ingest.kinds.sequence import Contrast
from paraspinal.stages.ingest.sheets import CORRECTIONS, OverrideRow
from paraspinal.stages.ingest.stacking.stacks import Stack

IDS = ("stack_id", "series_id", "protocol_id")
"""Columns of the inventory a row of the sheet may name, the most specific first."""
EVIDENCE = "override sheet"


class Overrides:
    """The rows of the sheet by id, and which of them were met."""

    def __init__(self, rows: Iterable[OverrideRow]) -> None:
        self._rows = {row.id: row for row in rows}
        self._met: set[str] = set()

    def apply(self, stack: Stack, row: Row) -> bool:
        """Correct a stack whose inventory row is ``row``; returns whether the sheet says anything of it.

        A more specific id wins, cell by cell. Exclusions that are judgements can be lifted; faults never.
        """
        found = [self._rows[row[name]] for name in IDS if row[name] in self._rows]
        if not found:
            return False
        self._met.update(line.id for line in found)
        said = {name: next((x for f in found if (x := getattr(f, name)) is not None), None) for name in CORRECTIONS}
        _correct(stack, OverrideRow(found[0].number, found[0].id, **said))
        return True

    @property
    def n_unmet(self) -> int:
        """How many rows no stack has met so far."""
        return len(self._rows) - len(self._met)


def _correct(stack: Stack, said: OverrideRow) -> None:
    if said.sequence is not None:
        fatsup = said.sequence.is_fat_suppressed if said.is_fat_suppressed is None else said.is_fat_suppressed
        stack.contrast = Contrast(said.sequence, said.dixon_part, fatsup, EVIDENCE, 1.0)
    elif said.is_fat_suppressed is not None:
        evidence = f"{stack.contrast.evidence}; fat suppression by {EVIDENCE}"
        stack.contrast = replace(stack.contrast, is_fat_suppressed=said.is_fat_suppressed, evidence=evidence)
    if said.body_region is not None:
        stack.region = Region(said.body_region, EVIDENCE, 1.0)
    named = {Reason.SEQ_UNKNOWN: said.sequence is not None, Reason.WRONG_BODY_PART: not stack.region.is_elsewhere}
    if said.use or (stack.reason is not None and named.get(stack.reason)):
        stack.take_back()
    if said.body_region is not None and stack.region.is_elsewhere and not said.use and stack.status.is_usable:
        stack.set_aside(Reason.WRONG_BODY_PART, "the user's sheet says so")
    if said.use is False:
        stack.decide(Status.EXCLUDED, Reason.EXCLUDED_BY_SHEET, "the user's sheet says so")
