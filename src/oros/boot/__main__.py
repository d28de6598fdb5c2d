"""`python -m oros.boot --home DIR`: the daemon in the foreground."""

import argparse
import sys
from pathlib import Path

from oros.boot.config import default_home
from oros.boot.daemon import main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="oros boot", description="Run the machine's daemon.")
    parser.add_argument("--home", type=Path, default=None, help="its folder; else $OROS_HOME")
    sys.exit(main(parser.parse_args().home or default_home()))
