"""Levels that people set: slabs from the slices they name, and spines counted from the vertebra they name."""

from __future__ import annotations

import numpy as np

from paraspinal.core.levels import LUMBAR_BLOCK, LevelKind, all_levels, level_by_name
from paraspinal.core.levels_sheet import HandLevel, HandLevels
from paraspinal.core.records.tables import Row
from paraspinal.core.vocab import LevelNumbering, LevelScheme
from paraspinal.stages.levels.assign import Covered, Slab, slab_of, stack_slab
from paraspinal.stages.levels.slabs import Stack

CONFIDENCE = 1.0
"""Confidence in what a person set."""

MISSED_RATIO = 1.5
"""Neighbours this much farther apart than the median pair have a vertebra between them that was not found."""


def hand_slabs(stack: Stack, said: HandLevels) -> list[Slab] | str:
    """Levels of a scan as the sheet has them, or a few words on why they do not fit it.

    A vertebra gets its slab and its mid plane, a disc its mid plane, L1 to L5 their block. Where the sheet knows one
    disc and nothing else, and gives it every slice, the scan is a group of slices on that disc.
    """
    last = max(found.last_slice for found in said.levels)
    if last >= stack.n_slices:
        return f"the levels sheet names slice {last}, the scan has 0 to {stack.n_slices - 1}"
    slabs: list[Slab] = []
    for found in said.levels:
        span = found.first_slice - 0.5, found.last_slice + 0.5
        if level_by_name(found.level).kind is LevelKind.VERTEBRA:
            slabs.append(_slab(stack, found, LevelScheme.VERTEBRA_SLAB, stack.slab(*span)))
            slabs.append(_slab(stack, found, LevelScheme.VERTEBRA_MID, stack.plane(sum(span) / 2)))
            continue
        if len(said.levels) == 1 and span == (-0.5, stack.n_slices - 0.5):
            slabs.append(_slab(stack, found, LevelScheme.DISC_STACK, stack.slab(*span)))
        slabs.append(_slab(stack, found, LevelScheme.DISC_MID, stack.plane(sum(span) / 2)))
    return [*slabs, *_block(stack, said), stack_slab(stack)]


def _block(stack: Stack, said: HandLevels) -> list[Slab]:
    block, by_name = level_by_name(LUMBAR_BLOCK), {found.level: found for found in said.levels}
    ends = [by_name.get(name or "") for name in (block.cranial, block.caudal)]
    if ends[0] is None or ends[1] is None:
        return []
    first, last = min(e.first_slice for e in ends if e), max(e.last_slice for e in ends if e)
    whole = HandLevel(block.name, first, last)
    return [_slab(stack, whole, LevelScheme.SLICE_BLOCK, stack.slab(first - 0.5, last + 0.5))]


def _slab(stack: Stack, found: HandLevel, scheme: LevelScheme, covered: Covered) -> Slab:
    return slab_of(stack, found.level, scheme, covered, CONFIDENCE)


def renumbered(spine: Row, lowest: str) -> Row:
    """Name the vertebrae of a spine scan upwards from its lowest one above the sacrum.

    Where neighbours lie so far apart that one between them was not found, a name is skipped. What is above the
    vocabulary keeps no name.
    """
    vertebrae = spine.get("vertebrae") or []
    found = [v for v in vertebrae if v["level"] != "S1" and v["centre_mm"] is not None]
    sacrum = [v for v in vertebrae if v["level"] == "S1"]
    found.sort(key=lambda v: v["centre_mm"][2])
    if not found:
        return spine
    steps = np.linalg.norm(np.diff([v["centre_mm"] for v in found], axis=0), axis=-1) if len(found) > 1 else np.ones(0)
    usual = float(np.median(steps)) if steps.size else 1.0
    skips = [1 if step < MISSED_RATIO * usual else round(float(step) / usual) for step in steps]
    places = np.cumsum([0, *skips])
    names = _upwards_from(lowest)
    named = [
        {**v, "level": names[place] if place < len(names) else None} for v, place in zip(found, places, strict=True)
    ]
    numbering = LevelNumbering.MANUAL.value
    return {**spine, "vertebrae": [*named, *sacrum], "level_numbering": numbering, "lstv_suspected": False}


def _upwards_from(lowest: str) -> list[str]:
    """Names of vertebrae from a lumbar one to the top of the vocabulary; L6 is passed over unless it is the lowest."""
    order = level_by_name(lowest).order
    above = [x for x in all_levels() if x.kind is LevelKind.VERTEBRA and x.order <= order]
    return [x.name for x in sorted(above, key=lambda x: -x.order)]
