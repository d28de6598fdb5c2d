"""The job on this kernel: processes, scheduler, monitor, and every event in the journal on disk."""

import asyncio
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

import job as work

from oros.abi.acts import Act
from oros.abi.manifest import Program
from oros.abi.ports import ModelInfo, Tool, ToolSpec
from oros.abi.syscalls import Outcome
from oros.drivers.clock.wall import SystemRandom, WallClock
from oros.drivers.models.openai.driver import OpenAIModel
from oros.drivers.store.sqlite import SqliteStore
from oros.kernel import authority, decode
from oros.kernel.kernel import Kernel
from oros.kernel.machine import World
from oros.monitor import handles
from oros.services.shapes import SHAPES

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}


ACT = Act("lookup", "look numbers up", {"x": "target"}, triggers=("look number",))
"""The dearest case: an act with a consequence, of a process that has read others' text."""

spent = {"seconds": 0.0, "decisions": 0}


def timed(module, name: str) -> None:
    """Count the CPU of what decides or labels, by this thread's own clock, and that clock too."""
    work_of = getattr(module, name)

    def counted(*args, **more):
        begun = time.thread_time()
        try:
            return work_of(*args, **more)
        finally:
            spent["seconds"] += time.thread_time() - begun
            spent["decisions"] += name == "decide"

    setattr(module, name, counted)


def extra(calls: int) -> dict[str, float]:
    """The monitor's part: CPU a call of the job, and a decision."""
    return {
        "monitor_us_call": spent["seconds"] / calls * 1e6,
        "monitor_us_decision": spent["seconds"] / max(1, spent["decisions"]) * 1e6,
    }


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
    if not spent["decisions"]:
        for module, name in ((decode, "decide"), (decode, "access"), (decode, "judged"),
                             (authority, "authority"), (authority, "spent"),
                             (handles, "label_of"), (handles, "public")):  # fmt: skip
            timed(module, name)
    info = ModelInfo("mock-1", 128000, 4096, frozenset({"tools"}), (0, 0, 0), small=True)
    model = OpenAIModel("mock-1", options.base, "mock-1", info=info)
    prompt = work.script(options).replace(
        "tool=lookup", 'tool=call args={"tool":"lookup","args":{"x":1}}'
    )
    program = Program("w", "worker", "steps", prompt, ("call",))
    tools = {"lookup": Tool(ToolSpec("lookup", "Look a number up.", SCHEMA, "once", ACT), Lookup())}
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
            goal = f"job {number}: look up number 1 several times"
            started = await kernel.request("spawn", {"goal": goal})
            ended = await kernel.request("wait", {"pid": started.value["pid"]})
            return ended.value["answer"]

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(kernel.run())
            await asyncio.sleep(0)
            yield job
            kernel.halt()
        await model.close()
        await store.close()
