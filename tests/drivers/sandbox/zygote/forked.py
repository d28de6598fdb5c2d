"""A zygote behind the walls of the sandbox beside it, as boot would hand them over."""

import contextlib
import importlib.util
import os
from pathlib import Path

from oros.abi.jobs import Bind, Job
from oros.drivers.sandbox.bwrap import BwrapSandbox, argv, limits
from oros.drivers.sandbox.zygote.walls import Walls
from oros.drivers.sandbox.zygote.warm import Zygote


async def walls() -> Walls:
    sandbox = BwrapSandbox()
    report = await sandbox.probe()
    assert report.works, report
    setup = sandbox._setup()
    return Walls(
        setup.filter, setup.python.path, setup.python.binds, argv.check,
        lambda job, grouped: limits.table(job, grouped=grouped), argv.INSIDE_UID,
        setup.uid, setup.stage, argv.SYSTEM, argv.ROOTS, argv.SETTINGS, argv.MASKED, argv.FILES,
        argv.ENVIRONMENT, argv.HOME, argv.SHM_SIZE, setup.groups, limits.OWN,
    )  # fmt: skip


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
        if interpreter.upper is not None:
            os.close(interpreter.upper)
