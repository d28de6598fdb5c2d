"""A sandbox that was started: its pipes, its first process, and the death of the whole tree.

The first process inside is pid 1 of a pid namespace: when it is killed the kernel kills all the
others, daemonised ones too, and its pidfd turns readable only after the last is dead. That is how
"dead" is known here. It knows bubblewrap's status lines, not jobs or limits.

Until it is released that process waits at a gate. Measured with bwrap 0.8 and 0.11: it is told to
die with its parent only *behind* the gate, and an end of file opens the gate. So the parent is not
killed while the sandbox is being built (the first process is awaited, then killed itself), and the
gate is a pipe that its reader holds open too: when the daemon dies, nothing starts.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence

from oros.abi.errors import DeviceFailed, Invalid, NotEnforced, OrosError
from oros.drivers.descriptors import readable

SETUP_SECONDS = 20.0


class Tree:
    """A sandbox that waits at the gate; `release` lets its program start."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        out: asyncio.StreamReader,
        err: asyncio.StreamReader,
        status: asyncio.StreamReader,
        gate: int,
    ) -> None:
        self.out, self.err = out, err
        self.init = 0
        self._process, self._status, self._gate = process, status, gate
        self._process_fd = os.pidfd_open(process.pid)
        self._init_fd = -1

    async def ready(self) -> None:
        """Wait for the first process. Raises: NotEnforced, DeviceFailed (too slow)."""
        try:
            async with asyncio.timeout(SETUP_SECONDS):
                line = await self._status.readline()
        except TimeoutError as e:
            raise DeviceFailed("the sandbox did not stand in time") from e
        if not line:
            raise await self.refusal()
        self.init = int(json.loads(line)["child-pid"])
        try:
            self._init_fd = os.pidfd_open(self.init)
        except ProcessLookupError as e:
            raise await self.refusal() from e

    async def refusal(self) -> NotEnforced:
        """The error for a sandbox that fell before its program ran: what bubblewrap said."""
        self.kill()
        said = (await self.err.read()).decode(errors="replace").strip()
        why = said.splitlines()[-1] if said else "it ended without a word"
        return NotEnforced(f"the sandbox does not stand: {why}")

    def release(self) -> None:
        """Let the program start."""
        os.write(self._gate, b".")

    def kill(self) -> None:
        """Kill all of it; returns before they are dead."""
        with contextlib.suppress(ProcessLookupError):
            fd = self._init_fd if self._init_fd >= 0 else self._process_fd
            signal.pidfd_send_signal(fd, signal.SIGKILL)

    async def status(self) -> int | None:
        """The shell's status of the program (128 + n: died of signal n); None: it never ran."""
        code: int | None = None
        while line := await self._status.readline():
            code = json.loads(line).get("exit-code", code)
        return code

    async def end(self) -> None:
        """Kill it and return when all of it is dead, even if cancelled meanwhile."""
        cancelled: asyncio.CancelledError | None = None
        while True:
            try:
                await self._die()
                break
            except asyncio.CancelledError as e:
                cancelled = e  # a promise: nothing lives on; the cancellation is passed on below
        for fd in (self._init_fd, self._process_fd):
            if fd >= 0:
                os.close(fd)
        if cancelled is not None:
            raise cancelled

    async def _die(self) -> None:
        if self._init_fd < 0:
            with contextlib.suppress(OrosError):
                await self.ready()
        self.kill()
        if self._init_fd >= 0:
            await readable(self._init_fd)
        await readable(self._process_fd)
        self._process.wait()


@contextlib.asynccontextmanager
async def launch(
    program: str,
    argv: Sequence[str],
    fds: Sequence[int],
    status: asyncio.StreamReader,
    stdin: int,
    gate: int,
) -> AsyncIterator[Tree]:
    """Start bubblewrap (or the stage before it) with an empty environment; dead at the end.

    Args:
        program: the path of what is started.
        argv: the whole command line, its name first.
        fds: descriptors that it inherits.
        status: what it writes to `--json-status-fd`.
        stdin: a descriptor.
        gate: its `--block-fd`, see `open_gate`.

    Raises:
        Invalid: the command line is too long. NotEnforced, DeviceFailed: it does not stand.
    """
    async with contextlib.AsyncExitStack() as stack:
        (out, out_end), (err, err_end) = [await stack.enter_async_context(pipe()) for _ in range(2)]
        try:
            process = subprocess.Popen(  # noqa: S603, ASYNC220 - it IS the sandbox; 1 ms
                argv,
                executable=program,
                stdin=stdin,
                stdout=out_end.number,
                stderr=err_end.number,
                pass_fds=fds,
                env={},
                cwd="/",
                start_new_session=True,
            )
        except OSError as e:
            raise Invalid(f"the program can't be started: {e.strerror}") from e
        for end in (out_end, err_end):
            end.close()
        tree = Tree(process, out, err, status, gate)
        try:
            yield tree
        finally:
            await tree.end()


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
async def pipe() -> AsyncIterator[tuple[asyncio.StreamReader, End]]:
    """Open a pipe whose reading end the event loop watches."""
    here, there = os.pipe()
    file, reader, end = os.fdopen(here, "rb", buffering=0), asyncio.StreamReader(), End(there)
    with file, contextlib.closing(end):
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), file
        )
        with contextlib.closing(transport):
            yield reader, end


@contextlib.contextmanager
def open_gate() -> Iterator[int]:
    """Open a pipe as one descriptor for both ends: who reads it never sees an end of file."""
    ends = os.pipe()
    try:
        gate = os.open(f"/proc/self/fd/{ends[0]}", os.O_RDWR | os.O_CLOEXEC)
    finally:
        for end in ends:
            os.close(end)
    try:
        yield gate
    finally:
        os.close(gate)
