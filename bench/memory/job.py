"""One engine in a process of its own: job.py MODULE[:FUNCTION] ROWS PLACE."""

import importlib
import os
import sys
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

if __name__ == "__main__":
    from vectors import Data

    module, _, name = sys.argv[1].partition(":")
    runner = importlib.import_module(module)
    getattr(runner, name or "run")(Path(sys.argv[3]), Data(int(sys.argv[2])))
