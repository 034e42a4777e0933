"""The cross-sections of a shard's scans, slice by slice."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from paraspinal.cohort.tables.shard_to_cohort import place_in_list

_KEPT = ("subject", "session", "scan_id", "activity_id")
SLICES_READ = (*_KEPT, "areas")
"""Columns of the measure tables that the part is made of."""


def slices_part(measure: pa.Table) -> pa.Table:
    """One row per scan, muscle, side and slice, from the measure table of a shard."""
    scans = measure["areas"].combine_chunks()
    muscles = pc.list_flatten(scans)
    of_scan = pc.list_parent_indices(scans)
    areas = pc.struct_field(muscles, "csa_mm2")
    of_muscle = pc.list_parent_indices(areas)
    columns = {name: measure[name].combine_chunks().take(of_scan).take(of_muscle) for name in _KEPT}
    columns |= {name: pc.struct_field(muscles, name).take(of_muscle) for name in ("muscle", "side")}
    columns["slice"] = pa.array(place_in_list(areas), pa.int64())
    return pa.table(columns | {"csa_mm2": pc.list_flatten(areas)})
