"""What a fat method is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import Reason, Sequence
from paraspinal.stages.measure.fat.profile import FatReading
from paraspinal.stages.measure.scan import Scan


@dataclass(frozen=True)
class FatMethod:
    """One way to read fat infiltration off a scan, and all that the rest of the package knows of it.

    ``name`` is that of its file and stands in the tables, ``title`` in the report; ``short_name``, a letter and a
    letter or digit, ends the names of its columns in the wide table. ``definition`` and ``gate`` (when a value is
    given at all) go to the data dictionary.

    The method applies to scans of these ``sequences`` in whose row the columns ``needs`` are not null. ``read`` then
    reads such a scan, or says what is amiss with its images. ``uses_n4`` marks methods that even out the brightness
    first where the configuration asks for it.
    """

    name: str
    title: str
    short_name: str
    definition: str
    sequences: tuple[Sequence, ...]
    needs: tuple[str, ...]
    read: Callable[[Scan], FatReading | Reason]
    gate: str | None = None
    uses_n4: bool = False

    def applies_to(self, row: Row) -> bool:
        """Whether a scan, by its row, can be measured so."""
        return row["sequence"] in self.sequences and all(row[column] is not None for column in self.needs)
