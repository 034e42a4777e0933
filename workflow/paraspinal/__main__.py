"""`python -m paraspinal` is the command `paraspinal`."""

import os
import sys

BLAS_THREADS = "OPENBLAS_NUM_THREADS"


def main() -> int:
    """Run the command with one BLAS thread, unless the user asked for more; returns the exit code.

    The threads of numpy's own library spin beside those of torch: they double the processor time and save none.
    numpy reads the variable when it is imported, so it is set before anything else.
    """
    os.environ.setdefault(BLAS_THREADS, "1")
    from paraspinal.cli.main import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
