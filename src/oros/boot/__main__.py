"""`python -m oros.boot --home DIR`: the daemon in the foreground."""

import argparse
import sys
from pathlib import Path

from oros.boot.daemon import main
from oros.sdk.address import home_of

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="oros boot", description="Run the machine's daemon.")
    parser.add_argument("--home", type=Path, default=None, help="its folder; else $OROS_HOME")
    sys.exit(main(parser.parse_args().home or home_of()))
