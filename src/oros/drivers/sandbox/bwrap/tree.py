"""A sandbox that was started: its pipes, its first process, and the death of the whole tree.

The first process inside is pid 1 of a pid namespace: when it is killed the kernel kills all the
others, daemonised ones too, and its pidfd turns readable only after the last is dead. That is how
"dead" is known here. It knows bubblewrap's status lines, not jobs or limits.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator, Sequence

from oros.abi.errors import DeviceFailed, Invalid, NotEnforced

SETUP_SECONDS = 20.0


class Tree:
    """A sandbox that waits at the gate; `release` lets its program start."""

    def __init__(self, process: Process, out: asyncio.StreamReader, err: asyncio.StreamReader,
                 status: asyncio.StreamReader, gate: int) -> None:  # fmt: skip
        self.out, self.err = out, err
        self.init = 0
        self._process, self._status, self._gate = process, status, gate
        self._init_fd = -1

    async def ready(self) -> None:
        """Wait until it stands. Raises: NotEnforced, DeviceFailed (too slow)."""
        try:
            async with asyncio.timeout(SETUP_SECONDS):
                line = await self._status.readline()
                if not line:
                    raise refusal((await self.err.read()).decode(errors="replace"))
        except TimeoutError as e:
            raise DeviceFailed("the sandbox did not stand in time") from e
        self.init = int(json.loads(line)["child-pid"])
        try:
            self._init_fd = os.pidfd_open(self.init)
        except OSError as e:
            raise NotEnforced(f"the sandbox's first process can't be held: {e}") from e

    def release(self) -> None:
        """Let the program start."""
        with contextlib.suppress(BrokenPipeError):  # dead already: its status tells
            os.write(self._gate, b".")

    def kill(self) -> None:
        """Kill all of it; returns before they are dead."""
        with contextlib.suppress(ProcessLookupError):
            if self._init_fd >= 0:
                signal.pidfd_send_signal(self._init_fd, signal.SIGKILL)
            else:
                self._process.kill()

    async def status(self) -> int | None:
        """The shell's status of the program (128 + n: died of signal n); None: it never ran."""
        code: int | None = None
        while line := await self._status.readline():
            code = json.loads(line).get("exit-code", code)
        return code

    async def end(self) -> None:
        """Kill it and return when all of it is dead, even if cancelled meanwhile."""
        self.kill()
        cancelled: asyncio.CancelledError | None = None
        while True:
            try:
                if self._init_fd >= 0:
                    await readable(self._init_fd)
                await self._process.wait()
                break
            except asyncio.CancelledError as e:
                cancelled = e  # a promise: nothing lives on; the cancellation is passed on below
        if self._init_fd >= 0:
            os.close(self._init_fd)
            self._init_fd = -1
        if cancelled is not None:
            raise cancelled


class End:
    """One end of a pipe that a child is to inherit; closed here once the child has it."""

    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        """Close it; again is harmless."""
        if self.number >= 0:
            os.close(self.number)
            self.number = -1


@contextlib.asynccontextmanager
async def launch(
    argv: Sequence[str], fds: Sequence[int], status: asyncio.StreamReader, gate: int,
    stdin: int, ends: Sequence[End],
) -> AsyncIterator[Tree]:  # fmt: skip
    """Start bubblewrap (or the stage before it) with an empty environment; dead at the end.

    Args:
        argv: the whole command line.
        fds: descriptors that it inherits.
        status: what it writes to `--json-status-fd`.
        gate: the writing end of its `--block-fd`.
        stdin: a descriptor.
        ends: closed as soon as the child has them.

    Raises:
        Invalid: the command line is too long. NotEnforced, DeviceFailed: it does not stand.
    """
    async with contextlib.AsyncExitStack() as stack:
        (out, out_end), (err, err_end) = [await stack.enter_async_context(pipe()) for _ in range(2)]
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=stdin, stdout=out_end.number, stderr=err_end.number,
                pass_fds=fds, env={}, cwd="/", start_new_session=True,
            )  # fmt: skip
        except OSError as e:
            raise Invalid(f"the program can't be started: {e.strerror}") from e
        finally:
            for end in (out_end, err_end, *ends):
                end.close()
        tree = Tree(process, out, err, status, gate)
        try:
            await tree.ready()
            yield tree
        finally:
            await tree.end()


@contextlib.asynccontextmanager
async def pipe() -> AsyncIterator[tuple[asyncio.StreamReader, End]]:
    """Open a pipe whose reading end the event loop watches."""
    here, there = os.pipe()
    reader, end = asyncio.StreamReader(limit=1 << 17), End(there)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(here, "rb", buffering=0)
    )
    try:
        yield reader, end
    finally:
        end.close()
        transport.close()


@contextlib.contextmanager
def memory_file(name: str, data: bytes) -> Iterator[int]:
    """Open a sealed file in memory that holds `data`, at its start."""
    number = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(number, view) :]
        os.lseek(number, 0, os.SEEK_SET)
        fcntl.fcntl(number, fcntl.F_ADD_SEALS, 0xF)  # seal, shrink, grow, write
        yield number
    finally:
        os.close(number)


async def readable(number: int) -> None:
    """Wait until a descriptor can be read."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(number, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(number)


def refusal(said: str) -> NotEnforced:
    """The error for a sandbox that does not stand; `said` is what bubblewrap or the stage wrote."""
    why = said.strip().splitlines()[-1] if said.strip() else "it ended without a word"
    return NotEnforced(f"the sandbox does not stand: {why}")
