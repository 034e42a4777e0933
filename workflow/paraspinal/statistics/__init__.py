"""Agreement and equivalence: arithmetic on paired values and on masks, without files or images."""

__all__ = ["agreement", "columns", "margins", "overlap", "reasons", "strata"]
