"""Quality: flags, a traffic light and a picture for every scan; flags never change a number."""

from paraspinal.stages.quality.stage import STAGE

__all__ = ["STAGE"]
