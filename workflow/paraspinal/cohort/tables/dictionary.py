"""The data dictionary, made from the declared schemas so that it cannot drift from the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paraspinal.core.files import write_json
from paraspinal.core.records.schemas import COHORT_TABLES
from paraspinal.core.records.tables import Column, Table
from paraspinal.core.vocab import LevelScheme, Light, Reason, Status
from paraspinal.stages.measure.fat import FatMethod, fat_methods

LEVEL_SCHEMES = {
    LevelScheme.VERTEBRA_SLAB: (
        "between the points where the axis of the body, through its centre, meets the two end-plate planes, cut along "
        "the slices; slices counted with fractional weights, so that the volume does not depend on their tilt"
    ),
    LevelScheme.VERTEBRA_MID: "at the middle of the vertebral body, linear between the two nearest slices",
    LevelScheme.DISC_MID: "at the middle of the disc, linear between the two nearest slices",
    LevelScheme.DISC_STACK: "a group of oblique slices along one disc; no volume",
    LevelScheme.SLICE_BLOCK: "exactly the slices of the scan (level stack), or L1 to L5 (level L1_L5)",
    LevelScheme.PLANE_BLOCK: (
        "between the plane of the upper end plate of L1 and that of the lower end plate of L5, which are not parallel; "
        "voxels count by their share inside, acsa_mm2 is the volume over the straight distance between the two plates"
    ),
    LevelScheme.NONE: "the level could not be resolved",
}


def dictionary() -> dict[str, Any]:
    """Describe every cohort table, column and closed vocabulary."""
    return {
        "tables": {table.name: _table(table) for table in COHORT_TABLES},
        "fi_method": {method.name: _fat_method(method) for method in fat_methods()},
        "level_scheme": {k.value: v for k, v in LEVEL_SCHEMES.items()},
        "status": [s.value for s in Status],
        "light": [x.value for x in Light],
        "reason_code": [r.value for r in Reason],
    }


def _fat_method(method: FatMethod) -> dict[str, Any]:
    return {
        "title": method.title,
        "short_name": method.short_name,
        "definition": method.definition,
        "gate": method.gate,
        "sequences": [sequence.value for sequence in method.sequences],
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "description": table.description,
        "key": list(table.key),
        "columns": [_column(column) for column in table.columns],
    }


def _column(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": str(column.type),
        "unit": column.unit,
        "description": column.description,
        "formula": column.formula,
        "null_meaning": column.null_meaning or "never null",
    }


def write_dictionary(path: Path) -> None:
    """Write the dictionary as JSON."""
    write_json(path, dictionary())
