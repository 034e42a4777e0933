"""The cohort page: from the cohort tables to one self-contained HTML file."""

from paraspinal.stages.report.stage import write_report

__all__ = ["data", "stage", "words", "write_report"]
