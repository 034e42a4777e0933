"""The fat methods there are: every module of this folder that has a ``METHOD``. Adding one is adding its file."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from paraspinal.core.records.digest import code_digest
from paraspinal.core.vocab import Reason, Sequence
from paraspinal.stages.measure.fat.method import FatMethod
from paraspinal.stages.measure.fat.profile import FatReading
from paraspinal.stages.measure.scan import Scan

ROOM = __name__.rpartition(".")[0]


@cache
def fat_methods() -> tuple[FatMethod, ...]:
    """List every fat method by title; raises ValueError for one that is not called as its file."""
    found = []
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        method = getattr(importlib.import_module(f"{ROOM}.{module.name}"), "METHOD", None)
        if method is not None and method.name != module.name:
            raise ValueError(f"{module.name}.py holds a fat method called {method.name}")
        found += [method] if method is not None else []
    return tuple(sorted(found, key=lambda method: method.title))


def codes_of(methods: tuple[FatMethod, ...]) -> dict[str, str]:
    """Digest the code of each method: they are found by their files, so the digest of the stage does not hold them."""
    return {f"code of {method.name}": code_digest(f"{ROOM}.{method.name}", "METHOD", "read") for method in methods}


def read_fat(scan: Scan) -> tuple[Mapping[str, FatReading], Reason | None]:
    """Read a scan by every fat method that applies, by its name, or say why none does."""
    row = scan.row
    if row["fi_reason_code"] is not None:
        return {}, Reason(row["fi_reason_code"])
    sequence = Sequence(row["sequence"])
    if row["is_fat_suppressed"] or sequence.is_fat_suppressed:
        return {}, Reason.FATSUP_NO_FI
    found = {method.name: method.read(scan) for method in fat_methods() if method.applies_to(row)}
    readings = {name: read for name, read in found.items() if isinstance(read, FatReading)}
    if readings:
        return readings, None
    amiss = [read for read in found.values() if isinstance(read, Reason)]
    none_applies = Reason.DIXON_INCOMPLETE if sequence is Sequence.DIXON else Reason.SEQ_UNKNOWN
    return {}, amiss[0] if amiss else none_applies
