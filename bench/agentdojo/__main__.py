"""python -m bench.agentdojo: AgentDojo's 949 pairs, with the worst-case agent, through the machine.

AgentDojo gets an environment of its own under bench/.venvs, made when first used. The rows `none`,
`ask every write` and `deny after taint` are played by the same agent in the same run. No model is
called: the agent does what a fully hijacked one would. Exits 1 if a bar is missed.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from bench import venvs
from bench.agentdojo.table import bars, swapped, table

ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.agentdojo", description=__doc__.split("\n")[0])
    parser.add_argument("--suite", action="append", help="workspace, travel, banking or slack")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="about N pairs, no bars")
    parser.add_argument("--late", action="store_true", help="the attack comes last, not at once")
    parser.add_argument("--no-floor", action="store_true", help="without the rows beside ours")
    parser.add_argument("-o", dest="output", choices=("text", "json"), default="text")
    options = parser.parse_args()
    python = venvs.python("agentdojo", ["agentdojo==0.1.35", "aiohttp"])
    command = [python, "-m", "bench.agentdojo.play", "--python", sys.executable, "--swap"]
    command += [w for s in options.suite or () for w in ("--suite", s)]
    command += ["--limit", str(options.limit)] if options.limit else []
    command += ["--guard"] + ["--late"] * options.late + ["--floor"] * (not options.no_floor)
    env = os.environ | {
        "PYTHONWARNINGS": "ignore",
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
    }
    rows = []
    with subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True) as play:
        for line in play.stdout:
            rows.append(json.loads(line))
            if sys.stderr.isatty() and len(rows) % 20 == 0:
                print(f"\r{len(rows)} runs", end="", file=sys.stderr)
    if play.returncode:
        return play.returncode
    whole = not (options.limit or options.suite)
    missed = [f"{name}: {have}, the bar is {bar}" for name, have, bar, ok in bars(rows) if not ok]
    if options.output == "json":
        print(json.dumps({"rows": rows, "missed": missed}))
    else:
        print(table([r for r in rows if "swap" not in r]))
        print(swapped(rows))
        for name, have, bar, ok in bars(rows) if whole else ():
            print(f"{'ok  ' if ok else 'MISS'} {name}: {have} (bar {bar})")
    return int(bool(missed) and whole)


if __name__ == "__main__":
    sys.exit(main())
