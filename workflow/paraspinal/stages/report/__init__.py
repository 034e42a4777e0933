"""The cohort page: from the cohort tables to one self-contained HTML file."""

from paraspinal.stages.report.stage import FILES, write_report

__all__ = ["FILES", "data", "words", "write_report"]
