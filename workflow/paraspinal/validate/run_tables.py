"""What the tables of a run know of a label map: the scan, its strata, its levels and its Dixon images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from paraspinal.core.errors import InputError
from paraspinal.core.records.schemas import LEVELS, SCANS
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import LevelScheme, Sequence

SCHEMES = (LevelScheme.VERTEBRA_SLAB.value, LevelScheme.DISC_STACK.value)
"""Level schemes that are slices, not planes."""


@dataclass(frozen=True)
class KnownScan:
    """One scan of a run; ``names`` as in a pairs sheet, ``levels`` the first and last slice by level."""

    scan_id: str
    names: dict[str, str]
    water: Path | None
    fat: Path | None
    levels: dict[str, tuple[int, int]] = field(default_factory=dict)


def read_run(results: Path) -> dict[Path, KnownScan]:
    """Read the scans of a results folder by the resolved path of their label map.

    Raises InputError if there are no tables, or they are of another version.
    """
    try:
        scans = SCANS.read(results / "tables" / "scans.parquet")
        levels = LEVELS.read(results / "tables" / "levels.parquet")
    except (OSError, ValueError):
        raise InputError("the results folder has no tables of this version", hint="see paraspinal status") from None
    slices: dict[str, dict[str, tuple[int, int]]] = {}
    for row in levels:
        if row["level"] and row["level_scheme"] in SCHEMES and row["first_slice"] is not None:
            slices.setdefault(row["scan_id"], {})[row["level"]] = (row["first_slice"], row["last_slice"])
    return {
        (results / row["dseg_path"]).resolve(): _scan(row, results, slices.get(row["scan_id"], {}))
        for row in scans
        if row["dseg_path"]
    }


def _scan(row: Row, results: Path, levels: dict[str, tuple[int, int]]) -> KnownScan:
    columns = {"participant": "subject", "centre": "site", "vendor": "manufacturer"}
    columns |= {name: name for name in ("field_strength_t", "sequence", "sex", "age_years")}
    has_fat = row["sequence"] == Sequence.DIXON.value and row["fi_reason_code"] is None
    water, fat = (results / row[name] if has_fat and row[name] else None for name in ("water_path", "fat_path"))
    names = {
        name: f"{row[column]:g}" if isinstance(row[column], float) else row[column] for name, column in columns.items()
    }
    return KnownScan(row["scan_id"], {k: v for k, v in names.items() if v}, water, fat, levels)
