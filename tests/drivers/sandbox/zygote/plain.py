"""An interpreter as a plain program, without a sandbox: to test the loop and its protocol alone."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys

from oros.abi.cells import Death
from oros.abi.errors import Unsupported
from oros.abi.jobs import Overlay
from oros.drivers.sandbox.zygote.interpreter import Interpreter
from oros.drivers.sandbox.zygote.warm import SOURCES

START = """
import pathlib, sys
made = {}
for name, path in zip(("show", "loop"), sys.argv[2:], strict=True):
    made[name] = {"__name__": name}
    exec(compile(pathlib.Path(path).read_text(), path, "exec", dont_inherit=True), made[name])
number = int(sys.argv[1])
made["loop"]["main"](number, number, made["show"], dict(sys.modules))
"""
KIT = "def answer():\n    return 42\n"


class Plain:
    """The port is `Body`."""

    def __init__(self, cwd: str) -> None:
        self.control, there = socket.socketpair()
        (self.out, out), (self.err, err) = os.pipe(), os.pipe()
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-IB", "-c", START, str(there.fileno()),
                 *(str(SOURCES[name]) for name in ("show", "loop"))], cwd=cwd,
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, pass_fds=[there.fileno()],
                start_new_session=True, env={"HOME": cwd},
            )  # fmt: skip
        os.close(out)
        os.close(err)
        self.init = self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    async def lay(self, overlay: Overlay) -> int:
        raise Unsupported("a plain program sees its folder as it is")

    def hold(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go(self) -> None:
        self._process.send_signal(signal.SIGCONT)

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
