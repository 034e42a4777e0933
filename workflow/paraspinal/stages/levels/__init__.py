"""Levels: which slices of each muscle scan belong to which vertebra or disc."""

from paraspinal.stages.levels.stage import STAGE

__all__ = ["STAGE"]
