"""Measure: size and fat of every muscle, side and level of a scan, in the native grid of the image."""

from paraspinal.stages.measure.stage import STAGE

__all__ = ["STAGE", "fat"]
