"""Harmonize: stacks that belong together become scans, with the checks that decide what may be measured."""

from paraspinal.stages.harmonize.stage import STAGE

__all__ = ["STAGE"]
