"""`python -m oros` is `oros`."""

import sys

from oros.shells.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
