"""`python -m oros.boot --home DIR`: the daemon in the foreground."""

import argparse
import gc
import sys
from pathlib import Path

gc.disable()  # nothing that is imported is garbage

from oros.boot.daemon import main  # noqa: E402 - imported while nothing is collected
from oros.sdk.address import home_of  # noqa: E402 - as above

if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000)  # nor are the rows of a listing
    parser = argparse.ArgumentParser(prog="oros boot", description="Run the machine's daemon.")
    parser.add_argument("--home", type=Path, default=None, help="its folder; else $OROS_HOME")
    sys.exit(main(parser.parse_args().home or home_of()))
