"""Convert: one stack to one NIfTI image with a blank header and an allow-listed sidecar."""

from paraspinal.stages.convert.stage import STAGE

__all__ = ["STAGE"]
