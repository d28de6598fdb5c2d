"""A forked interpreter from outside: its birth, its signals, its death.

Its first process is pid 1 of a pid namespace: when that is killed, the kernel kills all the others,
and its pidfd turns readable only after the last is dead.
"""

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from oros.abi.cells import Death
from oros.abi.errors import DeviceFailed, NotEnforced
from oros.abi.jobs import Overlay
from oros.drivers.descriptors import readable

MESSAGE = 1 << 16
MOMENT = 1.0
"""Seconds; what it takes from the end of the channel to that of the process."""


Lay = Callable[[Overlay, list[int]], Awaitable[int]]
"""Lays a folder copy-on-write over what two namespaces see; gives its upper folder."""


class Child:
    """A child that is asked for; the port is `Body` of `interpreter`."""

    def __init__(self, lay: Lay) -> None:
        self.control, control = socket.socketpair()
        self._parent, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        (self.out, out), (self.err, err) = os.pipe(), os.pipe()
        self.init = 0
        self._lay, self._outer = lay, list[int]()
        self._theirs = [control.detach(), out, err, told.detach()]
        self._init_fd = self._fd = -1
        self._death: Death | None = None
        self._after: Sequence[Callable[[], None]] = ()

    @property
    def numbers(self) -> list[int]:
        """The descriptors that the zygote is sent."""
        return self._theirs

    def handed_over(self) -> None:
        """Let go of them."""
        for number in self._theirs:
            os.close(number)
        self._theirs = []

    def after(self, *calls: Callable[[], None]) -> None:
        """What is to be done once it is dead."""
        self._after = calls

    async def stand(self) -> None:
        """Wait until its walls stand. Raises: NotEnforced."""
        told, numbers = await message(self._parent)
        self._init_fd, *self._outer = numbers or [-1]
        if "ready" not in told or self._init_fd < 0:
            raise NotEnforced(f"the sandbox does not stand: {told.get('error', 'it fell')}")
        self.init = _pid(self._init_fd)
        if self.init <= 0:
            raise NotEnforced("the sandbox fell while it was built")

    async def release(self) -> None:
        """Let the interpreter start. Raises: NotEnforced."""
        self._parent.send(b".")
        told, numbers = await message(self._parent)
        if "armed" not in told or not numbers:
            raise NotEnforced(f"the sandbox does not stand: {told.get('error', 'it fell')}")
        self._fd = numbers[0]

    @property
    def alive(self) -> bool:
        """Whether it is there still."""
        if self._death is not None:
            return False
        poll = select.poll()
        poll.register(self._init_fd, select.POLLIN)
        return not poll.poll(0)

    async def lay(self, overlay: Overlay) -> int:
        """Lay a folder copy-on-write. Raises: DeviceFailed, NotEnforced."""
        if not self.alive:
            raise DeviceFailed("the interpreter is dead", "start another one")
        return await self._lay(overlay, self._outer)

    def hold(self) -> None:
        """Have the interpreter stand still; what it started goes on."""
        _signal(self._fd, signal.SIGSTOP)

    def go(self) -> None:
        """Let it go on."""
        _signal(self._fd, signal.SIGCONT)

    def interrupt(self) -> None:
        """Send SIGINT to the interpreter; to a dead one, too."""
        _signal(self._fd, signal.SIGINT)

    def kill(self) -> None:
        """Kill all of it; returns before it is dead."""
        _signal(self._init_fd, signal.SIGKILL)

    async def end(self, *, dying: bool = False) -> Death:
        """Kill it; when this returns, even cancelled, all of it is dead. Again is harmless.

        `dying`: it seems to end by itself, so it has a moment to say how.
        """
        cancelled: asyncio.CancelledError | None = None
        while self._death is None:
            try:
                await self._die(dying=dying)
            except asyncio.CancelledError as e:
                cancelled = e  # a promise: nothing lives on; it is passed on below
        if cancelled is not None:
            raise cancelled
        return self._death

    async def discard(self) -> None:
        """End one that nobody has taken over yet."""
        await self.end()
        self.control.close()
        os.close(self.out)
        os.close(self.err)

    async def _die(self, *, dying: bool) -> None:
        self.handed_over()
        status = None
        if dying:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MOMENT):
                    told, numbers = await message(self._parent)
                    status = told.get("status")
                    for number in numbers:  # of one that lies
                        os.close(number)
        if self._init_fd >= 0:
            self.kill()
            await readable(self._init_fd)
        if self._death is not None:
            return
        self._death = _verdict(status)
        for number in (self._init_fd, self._fd, *self._outer):
            if number >= 0:
                os.close(number)
        self._outer.clear()
        self._init_fd = self._fd = -1
        self._parent.close()
        for call in self._after:
            call()


def _pid(number: int) -> int:
    """The process of a pidfd, as it is numbered here; -1: it is dead."""
    about = Path(f"/proc/self/fdinfo/{number}").read_text()
    return int(about.partition("\nPid:")[2].split()[0])


def _verdict(status: object) -> Death:
    if type(status) is not int:
        return Death(None, signal.SIGKILL)
    return Death(status, None) if status >= 0 else Death(None, -status)


def _signal(number: int, kind: signal.Signals) -> None:
    if number >= 0:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(number, kind)


async def message(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next message of a socket, and the descriptors with it; {} if there won't be one."""
    await readable(sock.fileno())
    try:
        data, numbers, _, _ = socket.recv_fds(sock, MESSAGE, 4)
        told = json.loads(data or b"{}")
    except (OSError, ValueError):
        return {}, []
    return (told if isinstance(told, dict) else {}), numbers
