"""Plain words for the codes of the tables; fat methods bring their own, which the data dictionary hands on."""

from __future__ import annotations

from paraspinal.core.labels import disc_labels, vertebra_labels
from paraspinal.core.vocab import LevelScheme, Light, Muscle, Sequence

MUSCLES = {
    Muscle.MULTIFIDUS: "Multifidus",
    Muscle.ERECTOR_SPINAE: "Erector spinae",
    Muscle.PSOAS_MAJOR: "Psoas major",
    Muscle.QUADRATUS_LUMBORUM: "Quadratus lumborum",
}

SCHEMES = {
    LevelScheme.VERTEBRA_SLAB: "Vertebral levels",
    LevelScheme.DISC_STACK: "Disc levels, oblique stacks",
    LevelScheme.VERTEBRA_MID: "Mid-vertebra",
    LevelScheme.DISC_MID: "Mid-disc",
    LevelScheme.SLICE_BLOCK: "Whole blocks",
    LevelScheme.PLANE_BLOCK: "Whole block between its end plates",
    LevelScheme.NONE: "Level unknown",
}
"""Title of each level scheme, in the order the report shows them; their definitions are in the data dictionary."""

SEQUENCES = {
    Sequence.T1W: "T1-weighted",
    Sequence.T2W: "T2-weighted",
    Sequence.PDW: "PD-weighted",
    Sequence.STIR: "STIR",
    Sequence.FLAIR: "FLAIR",
    Sequence.DIXON: "Dixon",
    Sequence.OTHER: "Other sequence",
    Sequence.UNKNOWN: "Unknown sequence",
}

LIGHTS = {Light.RED: "do not use without looking", Light.AMBER: "look before use", Light.GREEN: "nothing flagged"}
"""Worst first."""


def level_order() -> list[str]:
    """List every level and block in reading order: head to foot, discs between vertebrae, blocks last."""
    vertebrae, discs = list(vertebra_labels()), list(disc_labels())
    ordered: list[str] = []
    for level in vertebrae:
        ordered += [level, *(d for d in discs if d.split("_")[0] == level)]
    return [*ordered, "L1_L5", "stack"]


def level_name(level: str) -> str:
    """Write a level for people: a dash in place of the underscore."""
    return {"stack": "all slices"}.get(level, level.replace("_", "–"))
