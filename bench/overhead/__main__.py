"""python -m bench.overhead: this kernel beside three agent runtimes and the floor, in one run.

The peers get venvs of their own under bench/.venvs, made when first used.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from bench import venvs

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = {
    "agents": ["openai-agents==0.24.0"],
    "pydantic": ["pydantic-ai-slim[openai]==2.68.0"],
    "langgraph": [
        "langgraph==1.2.22",
        "langgraph-checkpoint-sqlite",
        "langchain-openai==1.7.0",
        "aiosqlite",
    ],
}
TITLES = {
    "aiohttp": "plain aiohttp (floor)",
    "oros": "oros, journal on",
    "agents": "openai-agents",
    "pydantic": "pydantic-ai",
    "langgraph": "langgraph + AsyncSqliteSaver",
}


def python_of(name: str) -> str:
    """The interpreter of a runner; makes the venv of a peer."""
    packages = PEERS.get(name)
    return sys.executable if packages is None else venvs.python(name, packages)


def measure(name: str, base: str, *options: str) -> dict[str, float]:
    """Run the job once on one runtime."""
    command = [python_of(name), str(Path(__file__).parent / "job.py"), f"run_{name}"]
    command += ["--base", base, *options]
    env = dict(os.environ, PYTHONPATH=str(ROOT / "src") if name == "oros" else "")
    found = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if found.returncode:
        raise SystemExit(f"{name}: {found.stderr[-2000:]}")
    return json.loads(found.stdout.splitlines()[-1])


def server(*options: str) -> tuple[subprocess.Popen, str]:
    """The mock model server in a process of its own."""
    command = [sys.executable, "-m", "tests.mock_server", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    return process, line.split()[-1]


def rounds(names: list[str], cases: dict[str, list[str]], repeats: int, base: str) -> dict:
    """Interleaved: each repeat measures every runtime once; the median counts."""
    found: dict = {}
    for title, options in cases.items():
        for _ in range(repeats):
            for name in names:
                found.setdefault((title, name), []).append(measure(name, base, *options))
                time.sleep(0.1)
    return {k: median(v) for k, v in found.items()}


def median(runs: list[dict[str, float]]) -> dict[str, float]:
    """Key by key."""
    return {k: sorted(r[k] for r in runs)[len(runs) // 2] for k in runs[0]}


def table(title: str, names: list[str], found: dict) -> None:
    """One case as a table of figures and ratios."""
    floor, ours = found[title, "aiohttp"], found[title, "oros"]
    print(f"\n## {title}\n")
    print("| runtime | CPU us/call | x floor | x oros | KB/agent | calls/s | RSS MB | threads |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        row = found[title, name]
        cpu = row["cpu_us_call"]
        print(
            f"| {TITLES[name]} | {cpu:.0f} | {cpu / floor['cpu_us_call']:.2f}"
            f" | {cpu / ours['cpu_us_call']:.2f} | {row['kb_agent']:.0f}"
            f" | {row['calls_s']:.0f} | {row['rss_mb']:.0f} | {row['threads']:.0f} |"
        )


def monitor(found: dict) -> None:
    """What the monitor takes of a turn: each call is one decision about a tool with a target."""
    print("\n## The monitor's share of a turn's CPU (bar: 5 %, 100 us a decision)\n")
    for (title, name), row in found.items():
        if name == "oros":
            share = row["monitor_us_call"] / row["cpu_us_call"]
            each = row["monitor_us_decision"]
            print(f"{title}: {share:.1%} of {row['cpu_us_call']:.0f} us, {each:.0f} us a decision")


def per_token(names: list[str], base: str, repeats: int) -> None:
    """The cost of one streamed token: long answers against short ones, by difference."""
    common = ["--agents", "16", "--conc", "8", "--stream"]
    cases = {"short": [*common, "--tokens", "8"], "long": [*common, "--tokens", "248"]}
    found = rounds(names, cases, repeats, base)
    print("\n## Streamed tokens, 8 at a time\n\n| runtime | CPU us/token |\n|---|---|")
    for name in names:
        extra = found["long", name]["cpu_us_call"] - found["short", name]["cpu_us_call"]
        # The four tool turns say half of the tokens, the answer all of them: 3 x 240 in 5 calls.
        print(f"| {TITLES[name]} | {extra / (240 * 3 / 5):.1f} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(TITLES))
    options = parser.parse_args()
    names = [n for n in TITLES if n in options.only]
    for name in names:
        python_of(name)
    quick, base = server("--ttft", "0")
    slow, slow_base = server("--ttft", "0.2")
    try:
        cases = {"1 process": ["--agents", "40", "--conc", "1"]}
        found = rounds(names, cases, options.repeats, base)
        wide = {
            "16 processes": ["--agents", "64", "--conc", "16"],
            "256 processes": ["--agents", "256", "--conc", "256"],
            "1000 processes": ["--agents", "1000", "--conc", "1000"],
        }
        found |= rounds(names, wide, 1 if options.repeats < 3 else options.repeats, slow_base)
        for title in (*cases, *wide):
            table(title, names, found)
        monitor(found)
        per_token(names, base, options.repeats)
    finally:
        quick.terminate()
        slow.terminate()


if __name__ == "__main__":
    main()
