"""Segment: muscles and spine outlined in the native grid; the only stage that may use a GPU."""

from paraspinal.stages.segment.stage import STAGE

__all__ = ["STAGE"]
