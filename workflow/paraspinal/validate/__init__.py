"""Agreement with a reference: masks of two folders, and paired values of any table.

A room of its own beside the workflow: it reads results but no stage needs it, and `statistics/` stays arithmetic.
"""

__all__ = ["conventions", "folders", "layout", "output", "pairing", "run_tables", "table"]
