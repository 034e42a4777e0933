"""Fat infiltration of a muscle, by every method that applies to the scan."""

__all__ = ["brightness", "dixon", "marrow", "n4", "profile"]
