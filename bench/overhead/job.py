"""The job, measured in a process of its own: agents that make four tool turns and one answer.

VENV/bin/python job.py RUNNER --base URL --agents N --conc C [--stream --tokens T]

Prints one JSON line. CPU is this process's own (user + system), so the mock server's is not in it;
memory is the growth of RSS while `conc` agents run, by agent.
"""

import argparse
import asyncio
import importlib
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
TURNS = 4


def rss() -> float:
    """Resident memory, in KB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


async def main(options: argparse.Namespace) -> dict[str, float]:
    """Warm up with one agent, then run all, at most `conc` at a time."""
    module = importlib.import_module(options.runner)
    async with module.runtime(options) as job:
        await job(-1)
        before, peak = rss(), 0.0
        gate = asyncio.Semaphore(options.conc)
        answers: list[str] = []

        async def one(number: int) -> None:
            nonlocal peak
            async with gate:
                answers.append(await job(number))
                if number % 16 == 0:
                    peak = max(peak, rss())

        cpu, wall = time.process_time(), time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in range(options.agents):
                tasks.create_task(one(number))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    assert len(answers) == options.agents
    assert all("done" in a for a in answers), answers[:3]
    calls = options.agents * (TURNS + 1)
    extra = getattr(module, "extra", lambda _: {})(calls)
    return extra | {
        "cpu_us_call": cpu / calls * 1e6,
        "calls_s": calls / wall,
        "kb_agent": max(0.0, peak - before) / options.conc,
        "rss_mb": peak / 1024,
        "threads": len(os.listdir("/proc/self/task")),
    }


def script(options: argparse.Namespace) -> str:
    """The system prompt; the mock server reads its script from it."""
    return f"You are a worker. [[mock turns={TURNS} tool=lookup tokens={options.tokens}]]"


def lookup(x: int) -> str:
    """The tool."""
    return f"value of {x} is {x * 7}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("runner")
    parser.add_argument("--base", required=True)
    parser.add_argument("--agents", type=int, default=64)
    parser.add_argument("--conc", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--stream", action="store_true")
    found = asyncio.run(main(parser.parse_args()))
    print(json.dumps(found))
