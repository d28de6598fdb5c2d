"""A zygote behind the walls of the sandbox beside it, as boot would hand them over."""

import contextlib
import importlib.util
from pathlib import Path

from oros.abi.jobs import Bind, Job
from oros.drivers.sandbox.bwrap import BwrapSandbox
from oros.drivers.sandbox.zygote.warm import Zygote
from oros.drivers.walls import Walls


async def walls() -> Walls:
    return await BwrapSandbox().walls()


def packages() -> list[str]:
    """Where the large libraries are, if they are installed."""
    found = importlib.util.find_spec("numpy")
    return [str(Path(found.origin).parents[1])] if found and found.origin else []


@contextlib.asynccontextmanager
async def zygote(**more):
    made = Zygote(await walls(), packages(), **more)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


def job(work: Path, **more) -> Job:
    return Job(("python",), (Bind(str(work), "/work", "rw"),), **more)


@contextlib.asynccontextmanager
async def forked(made: Zygote, asked: Job, kit: str = ""):
    interpreter = await made.spawn(asked, kit)
    try:
        yield interpreter
    finally:
        await interpreter.close()
