"""Shard tables to cohort tables, and those to other programs."""

__all__ = ["aggregate", "export", "outliers", "wide"]
