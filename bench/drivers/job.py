"""One measurement in a process of its own: many calls, some at a time.

VENV/bin/python job.py RUNNER --base URL --calls N --streams C --tokens T

Prints one JSON line. CPU is this process's own (user and system), the server's is not in it.
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


def rss() -> float:
    """Resident memory, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def main(options: argparse.Namespace) -> dict[str, float]:
    """Warm up with a call, then make all of them."""
    module = importlib.import_module(options.runner)
    prompt = f"[[mock final=done tokens={options.tokens}]]"
    async with module.client(options.base) as ask:
        await ask(prompt)
        left = options.calls
        answers: list[str] = []

        async def one() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                answers.append(await ask(prompt))

        cpu, wall = time.process_time(), time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(options.streams):
                tasks.create_task(one())
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    assert len(answers) == options.calls
    assert all("done" in a for a in answers)
    return {"cpu_us_call": cpu / options.calls * 1e6, "wall_s": wall, "rss_mb": rss()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("runner")
    parser.add_argument("--base", required=True)
    parser.add_argument("--calls", type=int, default=32)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=8)
    print(json.dumps(asyncio.run(main(parser.parse_args()))))
