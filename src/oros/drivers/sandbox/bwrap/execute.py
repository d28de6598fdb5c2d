"""One job from its command line to its result: start, confine, let go, listen, see it dead.

It is told by a `Setup` what to use and chooses nothing itself; the survey found that out.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from oros.abi.errors import Invalid, NotEnforced
from oros.abi.jobs import Bind, Job, JobResult
from oros.drivers import mounts
from oros.drivers.descriptors import memory_file
from oros.drivers.sandbox.bwrap import argv, limits
from oros.drivers.sandbox.bwrap.cgroup import Cell, Groups
from oros.drivers.sandbox.bwrap.orphans import NAME
from oros.drivers.sandbox.bwrap.output import Keeper, Meter, Spool, drain
from oros.drivers.sandbox.bwrap.pythons import Interpreter
from oros.drivers.sandbox.bwrap.tree import Tree, launch, open_gate, pipe
from oros.drivers.sandbox.bwrap.upper import Backend, Channel, channel

STAGE = Path(__file__).with_name("stage.py")
SIGNAL_BASE = 128


@dataclass(frozen=True, slots=True)
class Setup:
    """What works on this machine.

    `uid`: a root daemon drops to it. `stage`: to mount at. `layers`: what makes a folder
    copy-on-write; `server`: the filter of its server, where it has one.
    """

    bwrap: str
    filter: bytes
    python: Interpreter
    groups: Groups | None = None
    uid: int | None = None
    stage: str = ""
    layers: Backend = "overlayfs"
    server: bytes = b""


class Watch:
    """Kills a tree once, and remembers the first reason."""

    def __init__(self, tree: Tree) -> None:
        self.ended: Literal["self", "time", "flood"] = "self"
        self._tree = tree

    def stop(self, why: Literal["time", "flood"]) -> None:
        """Kill it, if nothing has yet."""
        if self.ended == "self":
            self.ended = why
            self._tree.kill()


async def execute(setup: Setup, job: Job, spool: Spool | None = None) -> JobResult:
    """Run a job to its end. Raises: Invalid, NotEnforced, DeviceFailed."""
    argv.check(job)
    job = replace(job, binds=(*job.binds, *_mounted(setup, job)))
    with contextlib.ExitStack() as stack:
        cell = None
        if setup.groups is not None:
            cell = stack.enter_context(setup.groups.cell(job.memory, job.processes + limits.OWN))
        bounds = limits.table(job, grouped=cell is not None)
        upper = stack.enter_context(channel()) if job.overlay is not None else None
        async with _started(setup, job, bounds, upper) as tree:
            try:
                _confine(setup, bounds, tree.init, cell)
            except (ProcessLookupError, FileNotFoundError) as e:  # it fell while it was built
                raise await tree.refusal() from e
            way = contextlib.nullcontext() if job.egress is None else job.egress.serving(tree.init)
            async with way:
                result = await _follow(tree, job, spool)
        if upper is None or job.overlay is None:
            return result
        taken = await upper.take(setup.layers, argv.layers(job.overlay))
        return replace(result, upper=taken)


@contextlib.asynccontextmanager
async def _started(
    setup: Setup, job: Job, bounds: Mapping[int, int], upper: Channel | None = None
) -> AsyncIterator[Tree]:
    """Build the sandbox; its program waits."""
    async with contextlib.AsyncExitStack() as stack:

        def file(name: str, data: bytes) -> int:
            return stack.enter_context(memory_file(name, data))

        status, status_end = await stack.enter_async_context(pipe())
        gate = stack.enter_context(open_gate())
        shown = {**argv.FILES, **(job.egress.files if job.egress is not None else {})}
        files = {path: file("file", text.encode()) for path, text in shown.items()}
        numbers = argv.Numbers(status_end.number, gate, file("filter", setup.filter), files)
        folders = [*setup.python.binds, *job.binds]
        layers = () if job.overlay is None else argv.layers(job.overlay)
        seen = folders
        if setup.uid is not None or layers:
            seen = _attached(folders, setup.stage, len(layers))
        if job.overlay is not None:  # before the job's folders, which may lie below it
            over = Bind(f"{setup.stage}/over/seen", job.overlay.path, job.overlay.right)
            seen.insert(len(setup.python.binds), over)
        words = argv.options(job, seen, numbers, setup.python.path)
        args = file("args", "\0".join(words).encode(errors="surrogateescape"))
        command = [NAME, "--args", str(args), "--", *job.argv]
        program = setup.bwrap
        fds = [numbers.status, numbers.block, numbers.filter, *files.values(), args]
        overlay = ""
        if job.overlay is not None and upper is not None:
            code = file("server", setup.server)
            fds += [upper.number, code]
            sizes = len(layers), job.overlay.size, job.overlay.inodes
            parts = setup.layers, upper.number, code, *sizes
            overlay = ",".join(map(str, parts))
        if setup.uid is not None or overlay:
            hosts = [*layers, *(b.host for b in folders)]
            command = _staged(setup, hosts, bounds, overlay, command)
            program = sys.executable
        stdin = file("stdin", job.stdin)
        tree = await stack.enter_async_context(launch(program, command, fds, status, stdin, gate))
        status_end.close()
        if upper is not None:
            upper.sent()
        await tree.ready()
        yield tree


def _staged(
    setup: Setup, folders: list[str], bounds: Mapping[int, int], overlay: str, command: list[str]
) -> list[str]:
    """The command line of the stage that ends by becoming `command`."""
    held = ",".join(f"{k}={v}" for k, v in bounds.items() if k != limits.PROCESSES)
    uid = "" if setup.uid is None else str(setup.uid)
    words = [uid, setup.stage, held, overlay, setup.bwrap, str(len(folders))]
    return [sys.executable, "-ISB", str(STAGE), *words, *folders, *command]


def _mounted(setup: Setup, job: Job) -> list[Bind]:
    """Mounts below the job's folders, which the stage's copies do not show: to be read.

    An ordinary user can't have a folder laid that has any: the kernel shows them no part of what
    root has mounted. Raises: Invalid.
    """
    folders = [] if job.overlay is None else [Bind(job.overlay.base, job.overlay.path, "r")]
    found = []
    for folder in (*folders, *(job.binds if setup.uid is not None else ())):
        top = os.path.realpath(folder.host).rstrip("/")
        for place in filter(os.path.lexists, mounts.below(top)):
            if setup.uid is None or not Path(place).is_dir():
                why = f"{place} is mounted below {folder.host}, which so can't be copied on write"
                raise Invalid(why, f"unmount it, or work in a folder that is not above {place}")
            found.append(Bind(place, folder.path + place.removeprefix(top), "r"))
    return found


def _attached(folders: list[Bind], stage: str, first: int) -> list[Bind]:
    return [replace(b, host=f"{stage}/{at}") for at, b in enumerate(folders, first)]


def _confine(setup: Setup, bounds: Mapping[int, int], init: int, cell: Cell | None) -> None:
    """Bound the waiting sandbox and see that it is who it should be. Raises: NotEnforced."""
    wanted = os.getuid() if setup.uid is None else setup.uid
    if wanted == 0 or _uids(init) != {wanted}:
        raise NotEnforced(f"the sandbox runs as uid {_uids(init)}, not as {wanted}")
    staged = setup.uid is not None  # then the stage has set them all but one
    limits.bound(init, {k: v for k, v in bounds.items() if not staged or k == limits.PROCESSES})
    if cell is not None:
        cell.join(init)


def _uids(pid: int) -> set[int]:
    """The real, effective and saved uid of a process."""
    lines = Path(f"/proc/{pid}/status").read_text()
    return {int(uid) for uid in lines.partition("Uid:")[2].split()[:3]}


async def _follow(tree: Tree, job: Job, spool: Spool | None) -> JobResult:
    """Let the program go and listen until it is over."""
    loop, watch = asyncio.get_running_loop(), Watch(tree)
    out, err = Keeper(job.output), Keeper(job.output)
    meter = Meter(job.flood, lambda: watch.stop("flood"), spool)
    start = loop.time()
    timer = loop.call_later(job.seconds, watch.stop, "time")
    tree.release()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(drain("out", tree.out, out, meter))
            group.create_task(drain("err", tree.err, err, meter))
            status = group.create_task(tree.status())
    finally:
        timer.cancel()
    exit_code, signal = _verdict(status.result(), watch, err.kept)
    return JobResult(
        exit_code, signal, out.kept, err.kept, out.cut, err.cut,
        seconds=loop.time() - start, ended=watch.ended,
    )  # fmt: skip


def _verdict(code: int | None, watch: Watch, said: bytes) -> tuple[int | None, int | None]:
    """Exit code and signal, as a shell would read them. Raises: Invalid (it never started)."""
    if watch.ended != "self":
        return None, 9
    if code is None:
        why = said.decode(errors="replace").strip().removeprefix("bwrap: ")
        if why.startswith(("execvp", "Can't chdir")):
            raise Invalid(f"the program did not start: {why}", "is it there inside the sandbox?")
        raise NotEnforced(f"the sandbox does not stand: {why}")
    if code > SIGNAL_BASE and code - SIGNAL_BASE <= 64:
        return None, code - SIGNAL_BASE
    return code, None
