"""The command `paraspinal`, also as `python -m paraspinal`."""

import os
import sys

from paraspinal.core.interpreter import name_home, own_packages_first

BLAS_THREADS = "OPENBLAS_NUM_THREADS"


def main() -> int:
    """Run the command with packages of ours and one BLAS thread, unless the user asked for more; returns the exit code.

    The threads of numpy's own library spin beside those of torch: they double the processor time and save none.
    numpy reads the variable when it is imported, so it is set before anything else.
    """
    own_packages_first()
    name_home()
    os.environ.setdefault(BLAS_THREADS, "1")
    from paraspinal.cli.main import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
