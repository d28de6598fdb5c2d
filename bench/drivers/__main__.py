"""python -m bench.drivers: CPU per streamed token and per call, beside the SDK and an aggregator.

Two ways to be streamed to: as fast as the server can (many tokens in a packet), and paced, a
packet a token, where each one wakes the client up. The peers get venvs of their own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from bench import venvs

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = {"openai": ["openai==3.54.0"], "litellm": ["litellm==1.106.2"]}
TITLES = {
    "aiohttp": "aiohttp, unparsed (floor)",
    "oros": "oros",
    "openai": "openai 3.54",
    "litellm": "litellm 1.106",
}
STREAMS = (1, 64, 256)
SHORT, LONG = 8, 248
PACE = 20
BAR = 15.0
HEAVY = ("oros.drivers", "oros.kernel", "aiohttp", "pydantic", "asyncio")


def python_of(name: str) -> str:
    """The interpreter of a runner; makes the venv of a peer."""
    packages = PEERS.get(name)
    return sys.executable if packages is None else venvs.python(name, packages)


def server(*options: str) -> tuple[subprocess.Popen, str]:
    """The mock model server in a process of its own."""
    command = [sys.executable, "-m", "tests.mock_server", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().split()[-1]


def measure(name: str, base: str, streams: int, tokens: int, calls: int) -> dict[str, float]:
    """One run of one client."""
    command = [python_of(name), str(Path(__file__).parent / "job.py"), f"run_{name}"]
    command += ["--base", base, "--streams", str(streams), "--tokens", str(tokens)]
    command += ["--calls", str(calls)]
    env = dict(os.environ, PYTHONPATH=str(ROOT / "src") if name == "oros" else "")
    found = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if found.returncode:
        raise SystemExit(f"{name}: {found.stderr[-2000:]}")
    return json.loads(found.stdout.splitlines()[-1])


def costs(name: str, base: str, streams: int, calls: int, repeats: int) -> tuple[float, ...]:
    """(us a token, us a call without its tokens, MB): medians of differences."""
    tokens, alone, memory = [], [], []
    for _ in range(repeats):
        short = measure(name, base, streams, SHORT, calls)
        long = measure(name, base, streams, LONG, calls)
        each = (long["cpu_us_call"] - short["cpu_us_call"]) / (LONG - SHORT)
        tokens.append(each)
        alone.append(short["cpu_us_call"] - SHORT * each)
        memory.append(long["rss_mb"])
    return tuple(statistics.median(x) for x in (tokens, alone, memory))


def table(title: str, names: list[str], base: str, repeats: int) -> float:
    """Print a table; the worst figure of ours."""
    print(f"\n## {title}\n")
    print(
        "| client | "
        + " | ".join(f"us/token, {c} at a time | us/call" for c in STREAMS)
        + " | MB |"
    )
    print("|---|" + "---|---|" * len(STREAMS) + "---|", flush=True)
    worst = 0.0
    for name in names:
        cells, memory = [], 0.0
        for streams in STREAMS:
            calls = max(32, 2 * streams)
            if title.startswith("Paced"):
                calls = max(8, streams)
            token, call, memory = costs(name, base, streams, calls, repeats)
            cells.append(f"{token:.1f} | {call:.0f}")
            worst = max(worst, token) if name == "oros" else worst
        print(f"| {TITLES[name]} | {' | '.join(cells)} | {memory:.0f} |", flush=True)
    return worst


def imports() -> None:
    """What the command line imports of all this: nothing."""
    program = (
        "import sys, oros.shells.cli.main;"
        f"print(*[m for m in sys.modules if m.startswith({HEAVY!r})])"
    )
    env = dict(os.environ, PYTHONPATH=str(ROOT / "src"))
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    print(f"\nimported by the command line of {', '.join(HEAVY)}: {found.stdout.strip() or 'none'}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(TITLES))
    options = parser.parse_args()
    names = [n for n in TITLES if n in options.only]
    for name in names:
        python_of(name)
    fast, base = server()
    paced, paced_base = server("--tps", str(PACE))
    try:
        worst = table("As fast as it comes", names, base, options.repeats)
        table(f"Paced: {PACE} tokens a second and stream", names, paced_base, 1)
    finally:
        fast.terminate()
        paced.terminate()
    imports()
    print(f"\nours at most {worst:.1f} us a token as it comes; bar {BAR:g}")


if __name__ == "__main__":
    main()
