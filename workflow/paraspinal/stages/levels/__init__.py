"""Levels: which slices of each muscle scan belong to which vertebra or disc.

Vertebrae come from a sagittal scan of the same session in the same frame of reference; without one the level stays
null. The slab of a vertebra is cut where the line through the centre of its body along the slice normal crosses its two
end-plate planes, and every slice counts by the share of its interval that lies inside.
"""

from __future__ import annotations

from functools import partial

from paraspinal.core.geometry import Grid
from paraspinal.core.schemas import LEVELS_SHARD, SEGMENT
from paraspinal.core.shards import Stage, Work, guarded
from paraspinal.core.tables import Row
from paraspinal.core.vocab import LevelNumbering, LevelSource, Reason, Status
from paraspinal.stages.levels.assign import resolved_slabs, unresolved_slabs
from paraspinal.stages.levels.slabs import Stack
from paraspinal.stages.levels.spine import choose_spine_scan, vertebrae_of


def process(rows: list[Row], work: Work) -> list[Row]:
    """Give every usable muscle scan of a session its levels; other rows pass through."""
    max_angle_deg = work.settings.levels.max_disc_angle_deg
    done = []
    for row in rows:
        if row["role"] == "muscles" and Status(row["status"]).is_usable:
            done += guarded(partial(_with_levels, row, rows, max_angle_deg), [row])
        else:
            done.append(dict(row))
    return done


def _with_levels(row: Row, rows: list[Row], max_disc_angle_deg: float) -> list[Row]:
    grid = Grid(tuple(row["size"]), tuple(row["spacing_mm"]), tuple(row["origin_mm"]), tuple(row["direction"]))
    stack = Stack.of(grid)
    spine = choose_spine_scan(row, rows)
    if spine is None:
        return [
            {
                **row,
                "slabs": unresolved_slabs(stack),
                "level_source": LevelSource.NONE.value,
                "level_numbering": LevelNumbering.UNRESOLVED.value,
                "level_reason_code": Reason.LEVEL_UNRESOLVED.value,
            }
        ]
    return [
        {
            **row,
            "slabs": resolved_slabs(stack, vertebrae_of(spine), max_disc_angle_deg),
            "level_source": LevelSource.SAGITTAL_TRANSFER.value,
            "level_scan_id": spine["scan_id"],
            "level_numbering": spine["level_numbering"],
            "lstv_suspected": spine["lstv_suspected"],
        }
    ]


STAGE = Stage(
    name="levels",
    module="paraspinal.stages.levels",
    reads=SEGMENT,
    writes=LEVELS_SHARD,
    process=process,
    parameters=lambda settings: {"max_disc_angle_deg": settings.levels.max_disc_angle_deg},
)
