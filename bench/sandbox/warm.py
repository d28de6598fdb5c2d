"""Warm interpreters, beside ipykernel in the same run."""

import asyncio
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

from bench import venvs
from bench.footprint.__main__ import Report
from oros.abi.jobs import Job, Overlay
from oros.drivers.sandbox.bwrap.driver import BwrapSandbox
from oros.drivers.sandbox.zygote.interpreter import Interpreter
from oros.drivers.sandbox.zygote.warm import Zygote

DATA = ["numpy==2.4.6", "pandas==3.1.1", "matplotlib==3.11.2"]
PEER = ["ipykernel==7.4.0", "jupyter_client==8.10.0"]
READY = "import pandas, matplotlib.pyplot"
TABLE = "pandas.DataFrame({'a': [1]})"
MANY = 50


def job(folder: Path) -> Job:
    """An interpreter over a folder."""
    return Job(("python",), cwd="/work", overlay=Overlay("/work", str(folder)), cpu=3600)


async def cell(interpreter: Interpreter, source: str) -> float:
    """Run a cell; milliseconds."""
    begun = time.perf_counter()
    found = await interpreter.run_cell(source, 60)
    assert found.error is None, found.error.text
    return (time.perf_counter() - begun) * 1000


async def laid(interpreter: Interpreter, folder: Path) -> float:
    """Lay a folder; milliseconds."""
    begun = time.perf_counter()
    os.close(await interpreter.lay(Overlay("/work", str(folder))))
    return (time.perf_counter() - begun) * 1000


def private(interpreter: Interpreter) -> float:
    """Memory that is its processes' own, in MB."""
    init = interpreter._body.init
    pids = [init, *Path(f"/proc/{init}/task/{init}/children").read_text().split()]
    lines = [x for p in pids for x in Path(f"/proc/{p}/smaps_rollup").read_text().splitlines()]
    return sum(int(x.split()[1]) for x in lines if x.startswith("Private_")) / 1024


async def one(zygote: Zygote, folder: Path) -> dict[str, float]:
    """Starts, cells, folders."""
    starts = []
    for _ in range(10):
        begun = time.perf_counter()
        it = await zygote.spawn(job(folder))
        await laid(it, folder)
        await cell(it, READY)
        starts.append((time.perf_counter() - begun) * 1000)
        if len(starts) < 10:
            await it.close()
    cells = [await cell(it, "1+1") for _ in range(200)]
    lays = [await laid(it, folder) for _ in range(50)]
    await it.close()
    median = statistics.median
    return {"start": median(starts), "cell": median(cells), "p99": sorted(cells)[197],
            "lay": median(lays)}  # fmt: skip


async def many(zygote: Zygote, folder: Path) -> tuple[float, float, float]:
    """Fifty at once: seconds until all are ready, MB of each alone, the same after a table."""
    begun = time.perf_counter()

    async def make() -> Interpreter:
        it = await zygote.spawn(job(folder))
        await cell(it, READY)
        return it

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(make()) for _ in range(MANY)]
    seconds = time.perf_counter() - begun
    sizes = [private(t.result()) for t in tasks]
    for task in tasks:
        await cell(task.result(), TABLE)
    used = [private(t.result()) for t in tasks]
    for task in tasks:
        await task.result().close()
    return seconds, statistics.median(sizes), statistics.median(used)


def peer(python: str) -> dict[str, float]:
    """The same of ipykernel."""
    script = Path(__file__).with_name("kernel.py")
    done = subprocess.run([python, script], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


async def interpreters(sandbox: BwrapSandbox, folder: Path, report: Report) -> None:
    """Fill the table."""
    python = venvs.python("data", DATA + PEER)
    packages = next(Path(python).parents[1].glob("lib/python*/site-packages"))
    zygote = Zygote(await sandbox.walls(), [str(packages)])
    await zygote.start()
    try:
        ours = await one(zygote, folder)
        seconds, size, used = await many(zygote, folder)
    finally:
        await zygote.close()
    theirs = peer(python)
    report.row("a cell `1+1` in a warm interpreter, there and back", ours["cell"], "ms", 1)
    report.row("the same, the slowest of a hundred", ours["p99"], "ms")
    report.row("the same in ipykernel", theirs["cell"], "ms")
    report.row("that in ours", theirs["cell"] / ours["cell"], "times")
    report.row("the folder, laid anew before a call", ours["lay"], "ms")
    report.row("a sandbox with pandas and matplotlib, ready", ours["start"], "ms", 60)
    report.row("ipykernel with the same, no sandbox", theirs["start"], "ms")
    report.row("that in ours", theirs["start"] / ours["start"], "times")
    report.row(f"{MANY} of them at once, until all are ready", seconds, "s")
    report.row("memory that each has alone", size, "MB", 10)
    report.row("the same when it has made a table and shown it", used, "MB")
    report.row("the same of ipykernel", theirs["private"], "MB")
