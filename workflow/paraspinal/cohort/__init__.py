"""The cohort as a whole: plan, runs, aggregation, status."""

__all__ = ["asking", "running", "tables"]
