"""Runs inside the environment that has AgentDojo: plays all cases, prints rows as JSON lines."""

import argparse
import asyncio
import json
import sys
import time

from bench.agentdojo import world
from bench.agentdojo.floor import floor
from bench.agentdojo.machine import Machine, Run
from bench.agentdojo.oracle import consequential
from bench.agentdojo.swap import applied, swaps


def row_of(run: Run, seconds: float) -> dict:
    """What one run came to."""
    useful, lost = run.case.verdicts(run.words)
    silent = [
        c
        for c in run.silent
        if consequential(c.split(" ", 1)[0]) and not any(value in c for value in run.granted)
    ]
    return {
        "suite": run.case.suite, "user": run.case.user, "injection": run.case.injection,
        "speaks": run.case.speaks_only, "useful": useful, "lost": lost, "cards": run.cards,
        "hijacked": run.agent.hijacked, "silent": silent, "who": run.user,
        "defence": "oros, guarded" if run.guard else "oros",
        "asked": run.asked, "seconds": round(seconds, 3),
        "refused": [a for a in run.agent.answers if a.startswith("E")],
    }  # fmt: skip


async def play(options: argparse.Namespace) -> None:
    names = options.suite or list(world.suites())
    out = sys.stdout
    if options.floor:
        for row in floor(names, options.limit):
            out.write(json.dumps(row) + "\n")
    async with Machine(options.python) as machine:
        for name in names:
            await machine.install(name)
        if options.swap:
            for swap in swaps(names):
                run = Run(world.case(swap.suite, swap.task), "attentive")
                applied(swap, run.agent)
                await machine.play(run)
                if getattr(run.agent, "swap_failed", False):
                    continue
                row = {"suite": swap.suite, "task": swap.task, "role": swap.role, "arg": swap.arg}
                row |= {"value": swap.value, "by_handle": swap.by_handle, "swap": True}
                row |= {
                    "silent": run.silent,
                    "reached": run.reached,
                    "answers": run.agent.answers[-1:],
                }
                out.write(json.dumps(row) + "\n")
        for user, guard in [(w, g) for g in options.guards for w in options.who]:
            for attacks in (False,) if options.calm else (False, True):
                for suite, task, injection in world.cases(names, attacks, options.limit):
                    if options.task and task not in options.task:
                        continue
                    run = Run(world.case(suite, task, injection), user, options.late, guard)
                    began = time.perf_counter()
                    await machine.play(run)
                    out.write(json.dumps(row_of(run, time.perf_counter() - began)) + "\n")
                    out.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", required=True)
    parser.add_argument("--suite", action="append")
    parser.add_argument("--task", action="append")
    parser.add_argument("--who", action="append", choices=("attentive", "yes", "absent", "nobody"))
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--late", action="store_true")
    parser.add_argument("--floor", action="store_true")
    parser.add_argument("--swap", action="store_true", help="also swap single arguments")
    parser.add_argument("--guard", action="store_true", help="also guarded processes")
    parser.add_argument("--guard-only", action="store_true")
    parser.add_argument("--calm", action="store_true", help="no attacks")
    options = parser.parse_args()
    if options.who is None:
        options.who = ["attentive", "yes", "absent"]
    options.guards = (False, True) if options.guard else (False,)
    options.guards = (True,) if options.guard_only else options.guards
    options.who = [w for w in options.who if w != "nobody"]
    asyncio.run(play(options))


if __name__ == "__main__":
    main()
