"""Ingest: the only reader of raw input paths. Finds every image, decides what it is, and deals visits to shards."""

from paraspinal.stages.ingest.stage import IngestSummary, ingest, take_inventory

__all__ = ["IngestSummary", "identity", "ingest", "inventory", "reading", "sheets", "stacking", "take_inventory"]
