"""Fat infiltration of a muscle: one file per method, which `registry` finds, and what methods share."""

from paraspinal.stages.measure.fat.method import FatMethod
from paraspinal.stages.measure.fat.registry import codes_of, fat_methods, read_fat

__all__ = [
    "FatMethod",
    "codes_of",
    "dixon_ff_ratio_of_sums",
    "fat_methods",
    "marrow",
    "profile",
    "read_fat",
]
