"""The command line: translates arguments, nothing else."""

__all__ = ["main"]
