"""A crowd: 140 people's programs and 60 batch ones on four slots, under three orders of service.

Real processes with a journal on disk, over HTTP to a mock server in a process of its own: 40 tokens
a second and slot, 0.2 s before the first token of each request (so that is what a preemption costs,
too), a load of 0.9. All times are divided by `scale`, the scheduler's own among them, and told as
they would be unscaled.
"""

import asyncio
import random
import statistics
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

from bench.scheduler.machine import goal, machine
from oros.kernel import slots
from oros.scheduling import scheduler

SLOTS, SPEED, FIRST = 4, 40.0, 0.2
PEOPLE, BATCH = 140, 60
SPAN = 2430.0
"""Seconds in which they come."""


@dataclass(frozen=True)
class Job:
    """One program: when it comes (seconds, unscaled), its class, its calls and tokens a call."""

    at: float
    nice: int
    turns: int
    tokens: int


def crowd(seed: int, part: float) -> list[Job]:
    """Who comes when: a person's program is 5 s of work on average, a batch one 150 s.

    `part` of them come, in that part of the time: the load stays what it is.
    """
    chance, span = random.Random(seed), SPAN * part
    jobs = [
        Job(chance.uniform(0, span), 0, 3, int(80 * chance.uniform(0.5, 1.5)))
        for _ in range(int(PEOPLE * part))
    ]
    jobs += [
        Job(chance.uniform(0, span * 0.85), 1, 10, int(1000 * chance.uniform(0.5, 1.5)))
        for _ in range(int(BATCH * part))
    ]
    return sorted(jobs, key=lambda j: j.at)


def oldest(waiting, _):
    """The claim that has waited longest."""
    return min(waiting, key=lambda c: (c.since, c.pid), default=None)


def turned(running, candidate, now):
    """The claim that has held its slot longest, if that was a quantum."""
    held = [c for c in running if c.advanced and now - c.since >= scheduler.QUANTUM]
    return min(held, key=lambda c: c.since, default=None)


FCFS = SimpleNamespace(pick=oldest, victim=lambda *_: None, rank=lambda c, _: (c.since, c.pid))
ROUND_ROBIN = SimpleNamespace(pick=oldest, victim=turned, rank=lambda c, _: (c.since, c.pid))
POLICIES = {"ours": scheduler, "first come, first served": FCFS, "round robin": ROUND_ROBIN}


@contextmanager
def ordered(policy, scale: float):
    """The kernel's order of service, and the scheduler's times divided."""
    kept = (scheduler.BORDERS, scheduler.AGEING, scheduler.QUANTUM)
    scheduler.BORDERS = tuple(b / scale for b in kept[0])
    scheduler.AGEING, scheduler.QUANTUM = kept[1] / scale, kept[2] / scale
    slots.scheduler = policy
    try:
        yield
    finally:
        slots.scheduler = scheduler
        scheduler.BORDERS, scheduler.AGEING, scheduler.QUANTUM = kept


@dataclass
class Ended:
    """How a program went: seconds, unscaled."""

    nice: int
    took: float
    first: float
    held: float


async def one(kernel, job: Job, scale: float, begun: float, ends: list[Ended]) -> None:
    """Start a program at its time and wait for it."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(max(0.0, begun + job.at / scale - loop.time()))
    started = loop.time()
    asked = {"goal": goal(job.tokens, job.turns), "nice": job.nice}
    pid = (await kernel.request("spawn", asked)).value["pid"]
    await kernel.request("wait", {"pid": pid})
    took = (loop.time() - started) * scale
    replies = [f.event for f in kernel.history(pid) if f.event.kind == "model_replied"]
    held = sum(r.seconds for r in replies) * scale
    ends.append(Ended(job.nice, took, (replies[0].queued + replies[0].first) * scale, held))


async def play(policy, jobs: list[Job], scale: float) -> dict[str, float]:
    """All of the crowd under one policy."""
    words = ["-m", "tests.mock_server", "--slots", str(SLOTS), "--tps", str(SPEED * scale)]
    words += ["--ttft", str(FIRST / scale)]
    pipe = asyncio.subprocess.PIPE
    none = asyncio.subprocess.DEVNULL
    server = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=pipe, stderr=none)
    url = (await server.stdout.readline()).split()[-1].decode()
    ends: list[Ended] = []
    try:
        with ordered(policy, scale):
            async with machine(url, SLOTS) as kernel:
                loop = asyncio.get_running_loop()
                begun = loop.time()
                async with asyncio.TaskGroup() as tasks:
                    for job in jobs:
                        tasks.create_task(one(kernel, job, scale, begun, ends))
                span = (loop.time() - begun) * scale
                cut = sum(s.preemptions for s in kernel.m.slots.values())
    finally:
        server.kill()
        await server.wait()
    people = [e for e in ends if e.nice == 0]
    batch = [e.took for e in ends if e.nice == 1]
    return {
        "people mean": statistics.mean(e.took for e in people),
        "people p99": percentile([e.took for e in people], 99),
        "first token mean": statistics.mean(e.first for e in people),
        "first token p99": percentile([e.first for e in people], 99),
        "batch mean": statistics.mean(batch),
        "batch p99": percentile(batch, 99),
        "makespan": span,
        "slot time": sum(e.held for e in ends),
        "preemptions": cut,
    }


def percentile(values: list[float], part: int) -> float:
    """The nearest rank."""
    return sorted(values)[max(0, -(-len(values) * part // 100) - 1)]


async def compare(scale: float, seed: int, part: float) -> dict[str, dict]:
    """Each policy on the same crowd, beside its bars."""
    jobs, found = crowd(seed, part), {}
    for name, policy in POLICIES.items():
        found[name] = await play(policy, jobs, scale)
        print(f"{name}: {found[name]}", file=sys.stderr)
    ours, fcfs = found["ours"], found["first come, first served"]
    tail, span = ours["people p99"] / fcfs["people p99"], ours["makespan"] / fcfs["makespan"]
    bars = {"people p99 of FCFS's": tail, "its bar": 0.15, "makespan of FCFS's": span}
    bars["slot time of FCFS's"] = ours["slot time"] / fcfs["slot time"]
    return found | {
        "ours, beside FCFS": bars | {"bar of it": 1.03, "ok": tail <= 0.15 and span <= 1.03}
    }
