"""Idle processes by the thousand, made and held by the real kernel on a store on disk.

python -m bench.footprint.idle fill HOME N   makes N processes that wait for a message
python -m bench.footprint.idle hold HOME     boots a kernel on them and measures what it holds

Each prints one JSON line; `-v` tells the lines of source that hold most, `-q` measures no memory.
`fill` spawns through the person's door; the model asks for `recv`, so each process has thought
once and waits inside a call, which is the dearest way to be idle. Memory is what tracemalloc
counts: living Python objects.
"""

import asyncio
import gc
import json
import sys
import tracemalloc
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from oros.abi.message import Ask
from oros.drivers.clock.wall import SystemRandom, WallClock
from oros.drivers.store.sqlite import SqliteStore
from oros.kernel.kernel import Kernel
from oros.kernel.machine import World
from oros.sdk.testing.scripted import Answer, ScriptedModel
from oros.services.apps.programs import Programs, builtin
from oros.services.shapes import SHAPES

GROUP, FROM = 500, 1000
GOAL = "watch folder number {} and tell me as soon as a file in it is new or changed"


@asynccontextmanager
async def kernel_on(home: Path):
    """A kernel on the journal of a home, with a model that only waits for messages."""
    model = ScriptedModel(lambda _: Answer("", (Ask("a", "recv", {}),), "calls"))
    model.requests, model.info = Forgets(), replace(model.info, slots=GROUP)
    store = SqliteStore.open(home / "journal.db")
    world = World(
        store,
        WallClock(),
        SystemRandom(),
        lambda _: model,
        lambda _: None,
        Programs(home),
        SHAPES,
    )
    kernel = Kernel(world)
    kernel.boot(builtin()["shell"])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(kernel.run())
        await asyncio.sleep(0)
        yield kernel
        kernel.halt()
    await store.close()


class Forgets(list):
    """A list that keeps nothing."""

    def append(self, _):
        pass


def held() -> int:
    """Bytes of Python objects that are alive."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def fill(home: Path, count: int) -> dict[str, float]:
    """Make processes until there are `count`; the growth a process from FROM on."""
    at = {}
    async with kernel_on(home) as kernel:
        for made in range(GROUP, count + 1, GROUP):
            await spawn(kernel, range(made - GROUP, made))
            at[made] = held()
        assert {(p.state, p.on) for p in kernel.m.table if p.pid > 1} == {("waiting", "message")}
        top()
    return {"bytes": (at[count] - at[FROM]) / max(1, count - FROM)}


async def spawn(kernel: Kernel, numbers: range) -> None:
    """Start processes, and wait until they wait."""
    async with asyncio.TaskGroup() as tasks:
        for n in numbers:
            args = {"goal": GOAL.format(n), "folder": "/srv/shared"}
            tasks.create_task(kernel.request("spawn", args))
    while kernel.m.active:  # noqa: ASYNC110 - the kernel has no event for this
        await asyncio.sleep(0.01)


async def hold(home: Path) -> dict[str, float]:
    """Boot on what is there; the bytes that it holds."""
    async with kernel_on(home) as kernel:
        found = {"bytes": held(), "processes": len(kernel.m.table)}
        top()
    return found


def top() -> None:
    """The lines that hold most, if they are asked for."""
    if "-v" in sys.argv:
        for found in tracemalloc.take_snapshot().statistics("lineno")[:25]:
            print(found, file=sys.stderr)


def main() -> None:
    """Measure one thing."""
    act, home = sys.argv[1], Path(sys.argv[2])
    home.mkdir(parents=True, exist_ok=True)
    if "-q" not in sys.argv:
        tracemalloc.start()
    work = fill(home, int(sys.argv[3])) if act == "fill" else hold(home)
    print(json.dumps(asyncio.run(work)))


if __name__ == "__main__":
    main()
