"""The job on this kernel: processes, scheduler, monitor, and every event in the journal on disk."""

import asyncio
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import job as work

from oros.abi.manifest import Program
from oros.abi.ports import ModelInfo, Tool, ToolSpec
from oros.abi.syscalls import Outcome
from oros.drivers.clock.wall import SystemRandom, WallClock
from oros.drivers.models.openai.driver import OpenAIModel
from oros.drivers.store.sqlite import SqliteStore
from oros.kernel.kernel import Kernel
from oros.kernel.machine import World
from oros.services.shapes import SHAPES

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}


class Lookup:
    """The tool as a device."""

    async def perform(self, who, args):
        """Look a number up."""
        return Outcome(value=work.lookup(**args["args"]))

    async def reconcile(self, who, args):
        """It only reads."""
        return


@asynccontextmanager
async def runtime(options):
    """The job on this runtime."""
    info = ModelInfo("mock-1", 128000, 4096, frozenset({"tools"}), (0, 0, 0))
    model = OpenAIModel("mock-1", options.base, "mock-1", info=info)
    prompt = work.script(options).replace(
        "tool=lookup", 'tool=call args={"tool":"lookup","args":{"x":1}}'
    )
    program = Program("w", "worker", "steps", prompt, ("call",))
    tools = {"lookup": Tool(ToolSpec("lookup", "Look a number up.", SCHEMA, "read"), Lookup())}
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore.open(Path(folder) / "journal.db")
        world = World(
            store,
            WallClock(),
            SystemRandom(),
            lambda _: model,
            lambda _: None,
            lambda _, __: program,
            SHAPES,
            None,
            tools,
        )
        kernel = Kernel(world)
        kernel.boot(program)

        async def job(number):
            started = await kernel.request("spawn", {"goal": f"job {number}"})
            ended = await kernel.request("wait", {"pid": started.value["pid"]})
            return ended.value["answer"]

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(kernel.run())
            await asyncio.sleep(0)
            yield job
            kernel.halt()
        await model.close()
        await store.close()
