"""The machine of these benches: a kernel with its journal on disk over a mock server."""

import asyncio
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

from oros.abi.manifest import Program
from oros.abi.ports import ModelInfo, Tool, ToolSpec
from oros.abi.syscalls import Outcome
from oros.drivers.clock.wall import SystemRandom, WallClock
from oros.drivers.models.openai.driver import OpenAIModel
from oros.drivers.store.sqlite import SqliteStore
from oros.kernel.kernel import Kernel
from oros.kernel.machine import World
from oros.services.shapes import SHAPES


class Nothing:
    """A tool that does nothing."""

    async def perform(self, who, args):
        return Outcome(value={"ok": True})

    async def reconcile(self, who, args):
        return None


@asynccontextmanager
async def machine(base: str, count: int):
    """A kernel over the server that has so many slots."""
    cans = frozenset({"tools", "resume"})
    # A small one: no plan is made of each goal, so all calls are those that were asked for.
    info = ModelInfo("mock-1", 128000, count, cans, (0, 0, 0), small=True)
    model = OpenAIModel("mock-1", base, "mock-1", info=info)
    program = Program("p", "", "steps", "You are a worker.", ("call",), max_tokens=4096)
    tools = {"nothing": Tool(ToolSpec("nothing", "Nothing.", {}, "read"), Nothing())}
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore.open(Path(folder) / "journal.db")
        world = World(
            store, WallClock(), SystemRandom(), lambda _: model, lambda _: None,
            lambda _, __: program, SHAPES, tools=tools,
        )  # fmt: skip
        kernel = Kernel(world)
        kernel.boot(program)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(kernel.run())
            await asyncio.sleep(0)
            yield kernel
            kernel.halt()
        await model.close()
        await store.close()


def goal(tokens: int, turns: int = 0) -> str:
    """What the server is to say."""
    calls = f'turns={turns} tool=call args={{"tool":"nothing","args":{{"n":$n}}}} ' if turns else ""
    return f"[[mock {calls}tokens={tokens}]]"


async def job(kernel: Kernel, goal: str, nice: int) -> tuple[float, int, str]:
    """Start a process and wait for it: seconds, pid, answer."""
    begun = time.perf_counter()
    started = await kernel.request("spawn", {"goal": goal, "nice": nice})
    pid = started.value["pid"]
    ended = await kernel.request("wait", {"pid": pid})
    return time.perf_counter() - begun, pid, ended.value["answer"]
