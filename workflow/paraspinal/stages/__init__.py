"""One room per stage; none imports another, the shard loop in core runs them all."""

__all__ = ["ingest", "measure", "report"]
