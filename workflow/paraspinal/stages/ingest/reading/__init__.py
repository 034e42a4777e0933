"""Reading files: every header once, in parallel, whatever the tree, the archive or the file may be."""

__all__ = ["cache", "header_pass", "record", "walk"]
