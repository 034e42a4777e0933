"""Levels of one scan: slabs and planes on its slices, as structs of the column ``slabs``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from paraspinal.core.levels import LUMBAR_BLOCK, STACK, level_by_name
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import LevelScheme, Reason
from paraspinal.stages.levels.slabs import MAX_TILT_DEG, Stack, Vector, Weights
from paraspinal.stages.levels.spine import Disc, Vertebra, discs_of, least_confidence, mean_axis

FULL_COVERAGE = 1.0 - 1e-9
"""A level counts as fully covered from here on; rounding of the intersections stays below it."""

Slab = Row
Covered = tuple[Weights, float] | None
"""Slice weights and covered share; None where the level cannot be placed on the slices."""


def unresolved_slabs(stack: Stack) -> list[Slab]:
    """Levels of a scan without a spine: one that says so, and the stack."""
    none = slab_of(stack, None, LevelScheme.NONE, None, reason=Reason.LEVEL_UNRESOLVED)
    return [none, stack_slab(stack)]


def resolved_slabs(stack: Stack, vertebrae: Sequence[Vertebra], max_disc_angle_deg: float) -> list[Slab]:
    """Levels of a scan whose slices lie among these vertebrae (head to foot).

    A group of slices on one disc gets that disc only (``disc_stack`` over its slices, ``disc_mid`` at its mid plane);
    any other stack gets every vertebra (slab and mid plane), every disc (mid plane) and the block L1_L5. Levels out of
    the stack's reach are listed with coverage 0. The stack itself is always the last.
    """
    discs = [d for d in discs_of(vertebrae) if level_by_name(d.level).is_measured]
    group = disc_of_group(stack, vertebrae, discs, max_disc_angle_deg)
    if group is not None:
        stacked = _disc_slab(stack, group, LevelScheme.DISC_STACK, (np.ones(stack.n_slices), 1.0))
        return [stacked, _disc_mid(stack, group), stack_slab(stack)]
    slabs = []
    for vertebra in vertebrae:
        if level_by_name(vertebra.level).is_measured:
            slabs += _vertebra_slabs(stack, vertebra)
    slabs += [_disc_mid(stack, disc) for disc in discs]
    slabs += _block_slab(stack, vertebrae)
    return [*slabs, stack_slab(stack)]


def disc_of_group(
    stack: Stack, vertebrae: Sequence[Vertebra], discs: Sequence[Disc], max_angle_deg: float
) -> Disc | None:
    """Name the disc a few oblique slices were planned on; None if the stack is no such group.

    A group holds the mid-plane point of exactly one disc, is tilted to it by at most ``max_angle_deg``, and covers no
    vertebra from end plate to end plate (else it is a stack of its own right).
    """
    held = [d for d in discs if -0.5 <= stack.position(d.mid.point_mm) <= stack.n_slices - 0.5]
    if len(held) != 1 or stack.angle_deg(held[0].mid.normal) > max_angle_deg:
        return None
    for vertebra in vertebrae:
        covered = vertebra_cover(stack, vertebra)
        if covered is not None and covered[1] >= FULL_COVERAGE:
            return None
    return held[0]


def vertebra_ends(stack: Stack, vertebra: Vertebra) -> tuple[float, float] | None:
    """Positions of the points where the axis of the body, through its centre, meets the two end plates.

    The axis is the mean normal of the plates. Slices through these points hold the same length of muscle however they
    are tilted: n_slices * spacing / |cos tilt| is the height of the body, so that volumes do not depend on the tilt.
    """
    if vertebra.superior is None or vertebra.inferior is None:
        return None
    axis = mean_axis(vertebra.plates)
    if axis is None or stack.angle_deg(axis) > MAX_TILT_DEG:
        return None
    top, bottom = (p.crossed_by(vertebra.centre_mm, axis) for p in (vertebra.superior, vertebra.inferior))
    return stack.position(top), stack.position(bottom)


def vertebra_cover(stack: Stack, vertebra: Vertebra) -> Covered:
    """Weigh the slices of the slab of a vertebra."""
    ends = vertebra_ends(stack, vertebra)
    return None if ends is None else stack.slab(*ends)


def _vertebra_slabs(stack: Stack, vertebra: Vertebra) -> list[Slab]:
    ends = vertebra_ends(stack, vertebra)
    axis = mean_axis(vertebra.plates)
    cover = {
        LevelScheme.VERTEBRA_SLAB: None if ends is None else stack.slab(*ends),
        LevelScheme.VERTEBRA_MID: None if ends is None else stack.plane(sum(ends) / 2),
    }
    return [
        slab_of(stack, vertebra.level, scheme, covered, vertebra.confidence, axis, vertebra)
        for scheme, covered in cover.items()
    ]


def _disc_mid(stack: Stack, disc: Disc) -> Slab:
    return _disc_slab(stack, disc, LevelScheme.DISC_MID, stack.plane(stack.position(disc.mid.point_mm)))


def _disc_slab(stack: Stack, disc: Disc, scheme: LevelScheme, covered: Covered) -> Slab:
    slab = slab_of(stack, disc.level, scheme, covered, disc.confidence, disc.mid.normal)
    return {**slab, "disc_area_mm2": disc.area_mm2}


def _block_slab(stack: Stack, vertebrae: Sequence[Vertebra]) -> list[Slab]:
    block = level_by_name(LUMBAR_BLOCK)
    first, last = level_by_name(block.cranial or ""), level_by_name(block.caudal or "")
    inside = [v for v in vertebrae if first.order <= level_by_name(v.level).order <= last.order]
    if not inside or inside[0].level != first.name or inside[-1].level != last.name:
        return []
    top, bottom = vertebra_ends(stack, inside[0]), vertebra_ends(stack, inside[-1])
    covered = None if top is None or bottom is None else stack.slab(top[0], bottom[1])
    axis = mean_axis([p for v in inside for p in v.plates])
    confidence = least_confidence(inside)
    slabs = [slab_of(stack, block.name, LevelScheme.SLICE_BLOCK, covered, confidence, axis)]
    planes = _outer_planes(inside)
    if covered is not None and planes is not None:
        slabs.append(
            {**slab_of(stack, block.name, LevelScheme.PLANE_BLOCK, covered, confidence, axis), "planes_mm": planes}
        )
    return slabs


def _outer_planes(column: Sequence[Vertebra]) -> list[float] | None:
    """Upper plane of the first and lower plane of the last vertebra: a point on the body's axis and a normal each."""
    numbers: list[float] = []
    for vertebra, plate in ((column[0], column[0].superior), (column[-1], column[-1].inferior)):
        axis = mean_axis(vertebra.plates)
        if plate is None or axis is None:
            return None
        normal = plate.normal if plate.normal[2] >= 0 else -plate.normal
        numbers += [*plate.crossed_by(vertebra.centre_mm, axis).tolist(), *normal.tolist()]
    return numbers


def stack_slab(stack: Stack) -> Slab:
    return slab_of(stack, STACK, LevelScheme.SLICE_BLOCK, (np.ones(stack.n_slices), 1.0))


def slab_of(
    stack: Stack,
    level: str | None,
    scheme: LevelScheme,
    covered: Covered,
    confidence: float | None = None,
    axis: Vector | None = None,
    vertebra: Vertebra | None = None,
    reason: Reason | None = None,
) -> Slab:
    """Describe a level; ``axis`` is the direction of the body there, and the reason follows from what is covered."""
    if reason is None and covered is None:
        reason = Reason.LEVEL_UNRESOLVED
    elif reason is None and covered is not None and covered[1] < FULL_COVERAGE:
        reason = Reason.COVERAGE_PARTIAL
    return {
        "level": level,
        "level_scheme": scheme.value,
        "slice_weights": None if covered is None else covered[0].tolist(),
        "coverage_frac": None if covered is None else min(covered[1], 1.0),
        "confidence": confidence,
        "slice_tilt_deg": None if axis is None else stack.angle_deg(axis),
        "body_area_mm2": vertebra.body_area_mm2 if vertebra else None,
        "disc_area_mm2": None,
        "centre_mm": vertebra.centre_mm.tolist() if vertebra else None,
        "planes_mm": None,
        "reason_code": None if reason is None else reason.value,
    }
