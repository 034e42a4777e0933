"""The data dictionary, made from the declared schemas so that it cannot drift from the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paraspinal.core.files import write_json
from paraspinal.core.records.schemas import COHORT_TABLES
from paraspinal.core.records.tables import Column, Table
from paraspinal.core.vocab import FiMethod, LevelScheme, Light, Reason, Status
from paraspinal.stages.measure.fat.brightness import MIN_ASHMAN_D, MIN_CONTRAST_FRAC, MIN_DELTA_BIC

FI_METHODS = {
    FiMethod.DIXON_FF_RATIO_OF_SUMS: "sum F / sum (F + W) inside the mask",
    FiMethod.DIXON_FF_VOXEL_MEAN: "mean of F / (F + W) over the voxels of the mask with F + W > 0",
    FiMethod.DIXON_PDFF_MAP: "mean of the vendor or multi-echo fat-fraction map inside the mask",
    FiMethod.T1T2_SAT_ANCHORED: "mean place between the mode of lean muscle (0) and the median of subcutaneous fat (1)",
    FiMethod.T1T2_GMM3_MUSCLEMAP: (
        "3-component Gaussian mixture of the muscle: share of the brightest, plus the middle one's "
        "by where its mean lies between the two others (all or nothing where it is not separate from one)"
    ),
}
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

FI_GATE = (
    "on T1w and T2w images, only where muscle holds two populations: Ashman's D of the two-component mixture above "
    f"{MIN_ASHMAN_D:g}, BIC better than that of one component by more than {MIN_DELTA_BIC:g}, and the mean of fat at "
    f"least {MIN_CONTRAST_FRAC:.0%} brighter than that of muscle; else null with FI_UNIMODAL"
)


def dictionary() -> dict[str, Any]:
    """Describe every cohort table, column and closed vocabulary."""
    return {
        "tables": {table.name: _table(table) for table in COHORT_TABLES},
        "fi_method": {k.value: v for k, v in FI_METHODS.items()},
        "fi_gate": FI_GATE,
        "level_scheme": {k.value: v for k, v in LEVEL_SCHEMES.items()},
        "status": [s.value for s in Status],
        "light": [x.value for x in Light],
        "reason_code": [r.value for r in Reason],
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
