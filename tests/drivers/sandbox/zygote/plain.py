"""An interpreter as a plain program, without a sandbox: to test the loop and its protocol alone."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys

import oros.drivers.sandbox.zygote.loop as inner
from oros.drivers.sandbox.zygote.interpreter import Death, Interpreter

LOOP = inner.__file__
KIT = "def answer():\n    return 42\n"


class Plain:
    """The port is `Body`."""

    def __init__(self, cwd: str) -> None:
        self.control, there = socket.socketpair()
        (self.out, out), (self.err, err) = os.pipe(), os.pipe()
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-IB", LOOP, *[str(there.fileno())] * 2], cwd=cwd,
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, pass_fds=[there.fileno()],
                start_new_session=True, env={"HOME": cwd},
            )  # fmt: skip
        os.close(out)
        os.close(err)
        self.pid = self._process.pid
        self.upper = None

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self, *, dying: bool = False) -> Death:
        with contextlib.suppress(subprocess.TimeoutExpired):
            if dying:
                await asyncio.to_thread(self._process.wait, 1)
        self.kill()
        code = await asyncio.to_thread(self._process.wait)
        return Death(code, None) if code >= 0 else Death(None, -code)


@contextlib.asynccontextmanager
async def plain(cwd, **bounds):
    made = Interpreter(Plain(str(cwd)), KIT, **bounds)
    await made.start()
    try:
        yield made
    finally:
        await made.close()
