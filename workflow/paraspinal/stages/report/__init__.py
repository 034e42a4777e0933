"""The cohort page: from the cohort tables to one self-contained HTML file."""

from paraspinal.stages.report.render import write_report

__all__ = ["write_report"]
