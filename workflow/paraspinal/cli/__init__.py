"""The command line: translates arguments, nothing else."""
