"""Size of a muscle in a level."""

__all__ = ["between", "size"]
