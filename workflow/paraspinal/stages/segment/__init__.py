"""Segment: muscles outlined, and what the network sees of the spine; the only stage that may use a GPU."""

from paraspinal.stages.segment.stage import STAGE

__all__ = ["STAGE"]
