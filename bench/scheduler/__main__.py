"""python -m bench.scheduler: the person's calls behind batch work, throughput, preempted texts.

A mock server with two slots and 20 tokens a second stands for the model, as time on it is exact.
Beside the kernel, in the same run, the same calls go straight to the server over aiohttp. Then a
crowd of 200 programs on four slots under three orders of service (crowd.py).
"""

import argparse
import asyncio
import json
import statistics
import time

import aiohttp
from tests.mock_server import MockServer

from bench.scheduler import aios, crowd
from bench.scheduler.machine import goal, job, machine

SLOTS, SPEED = 2, 20.0
SHORT, LONG, MIDDLE = 2, 160, 10
"""Tokens: 0.1 s, 8 s and 0.5 s of work."""


async def direct(base: str, goal: str, turns: int = 1) -> float:
    """The same calls with nothing between; seconds."""
    begun = time.perf_counter()
    async with aiohttp.ClientSession() as session:
        for _ in range(turns):
            body = {
                "model": "mock-1",
                "stream": True,
                "messages": [{"role": "user", "content": goal}],
            }
            async with session.post(f"{base}/chat/completions", json=body) as reply:
                await reply.read()
    return time.perf_counter() - begun


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return sorted(values)[max(0, int(len(values) * 0.95 + 0.5) - 1)]


async def person(server: MockServer, calls: int) -> dict:
    """Short calls in the foreground, alone and behind batch work that keeps all slots busy."""
    base = server.base_url
    straight = [await direct(base, goal(SHORT)) for _ in range(calls)]
    async with machine(base, SLOTS) as kernel:
        alone = [(await job(kernel, goal(SHORT), 0))[0] for _ in range(calls)]
        busy: list[float] = []
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:

            async def batch() -> None:
                while not stop.is_set():
                    await job(kernel, goal(LONG), 1)

            for _ in range(6):
                tasks.create_task(batch())
            await asyncio.sleep(1.0)
            for _ in range(calls):
                await asyncio.sleep(0.6)
                busy.append((await job(kernel, goal(SHORT), 0))[0])
            stop.set()
            for row in kernel.m.table:
                if row.pid > 1:
                    await kernel.request("kill", {"pid": row.pid, "signal": "KILL"})
        async with asyncio.TaskGroup() as tasks:
            crowd = [tasks.create_task(direct(base, goal(LONG))) for _ in range(6)]
            await asyncio.sleep(1.0)
            queued = await direct(base, goal(SHORT))
            for one in crowd:
                one.cancel()
    bar = p95(alone) + 1 / SPEED + 0.05
    return {
        "direct, server idle": statistics.median(straight),
        "alone p50": statistics.median(alone),
        "alone p95": p95(alone),
        "behind 6 batch processes p50": statistics.median(busy),
        "behind 6 batch processes p95": p95(busy),
        "bar": bar,
        "direct, behind 6 calls of 8 s": queued,
        "ok": p95(busy) <= bar,
    }


async def throughput(server: MockServer) -> dict:
    """8 agents of 4 calls of half a second each: calls a second, direct and through the kernel."""
    base = server.base_url
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(direct(base, goal(MIDDLE), 4))
    straight = 32 / (time.perf_counter() - begun)
    async with machine(base, SLOTS) as kernel:
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                # A turn with a call says half of its tokens in words.
                tasks.create_task(job(kernel, goal(2 * MIDDLE, 3), 1))
        seconds = time.perf_counter() - begun
    words = 8 * (3 * MIDDLE + 2 * MIDDLE)
    through = words / MIDDLE / seconds
    ratio = through / straight
    return {
        "direct": straight,
        "through the kernel": through,
        "ratio": ratio,
        "bar": 0.97,
        "ok": ratio >= 0.97,
    }


async def cut(server: MockServer) -> dict:
    """One long text, cut again and again by short calls, against the same text said in one go."""
    async with machine(server.base_url, SLOTS) as kernel:
        _, _, whole = await job(kernel, goal(LONG), 1)
        async with asyncio.TaskGroup() as tasks:
            # Both slots are held by texts that any foreground call may cut.
            held = [tasks.create_task(job(kernel, goal(LONG), 1)) for _ in range(SLOTS)]
            await asyncio.sleep(0.5)
            while not all(x.done() for x in held):
                async with asyncio.TaskGroup() as short:
                    for _ in range(SLOTS):
                        short.create_task(job(kernel, goal(SHORT), 0))
                await asyncio.sleep(0.4)
        cuts, same = [], True
        for one in held:
            _, pid, text = one.result()
            replies = [f.event for f in kernel.history(pid) if f.event.kind == "model_replied"]
            cuts.append(sum(r.preempted for r in replies))
            same = same and text == whole
    return {"times cut": cuts, "text equal": same, "ok": same and min(cuts) >= 10}


async def measure(calls: int) -> dict:
    """All three."""
    async with MockServer(slots=SLOTS, tps=SPEED) as server:
        found = {
            "person": await person(server, calls),
            "throughput": await throughput(server),
            "preemption": await cut(server),
        }
        return found | {"beside AIOS": await aios.table(server.base_url, found)}


def main() -> None:
    """Print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--crowd", action="store_true", help="only the crowd")
    parser.add_argument("--scale", type=float, default=9.0, help="how much faster the crowd runs")
    parser.add_argument("--part", type=float, default=1.0, help="of the crowd that comes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", choices=["json"])
    options = parser.parse_args()
    found = {} if options.crowd else asyncio.run(measure(options.calls))
    found |= asyncio.run(crowd.compare(options.scale, options.seed, options.part))
    if options.o:
        print(json.dumps(found, indent=1))
        return
    for name, figures in found.items():
        print(f"\n{name}:")
        for what, value in figures.items():
            print(
                f"  {what:34} {value:.3f}" if isinstance(value, float) else f"  {what:34} {value}"
            )


if __name__ == "__main__":
    main()
