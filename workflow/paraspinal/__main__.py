"""`python -m paraspinal` is the command `paraspinal`."""

import sys

from paraspinal.cli.main import main

sys.exit(main())
