"""The sockets of an egress, made inside the net namespace of a sandbox that waits at its gate.

No process of ours stays inside: a short program (`inside.py`) joins the namespace, makes them and
sends them out; the daemon accepts on them. The program that is held can't take the ports: they are
made before it starts, and it may bind none below 1024.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from oros.abi.errors import NotEnforced
from oros.drivers.descriptors import readable

INSIDE = Path(__file__).with_name("inside.py")
SECONDS = 10.0
COUNT = 4

PROXY = "http://127.0.0.1:3128"
FILES = {
    "/etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
"""What the sandbox must show its program, in place of its files of these names."""
ENVIRONMENT = {
    name: value
    for upper, value in (
        ("HTTP_PROXY", PROXY),
        ("HTTPS_PROXY", PROXY),
        ("NO_PROXY", "localhost,127.0.0.1"),
    )
    for name in (upper, upper.lower())
}
"""For programs that ask for other ports or addresses; the web's ports work without."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """Four sockets that listen; closed at the end of a `with`."""

    proxy: socket.socket
    dns: socket.socket
    tls: socket.socket
    http: socket.socket

    def close(self) -> None:
        """Close them; again is harmless."""
        for each in (self.proxy, self.dns, self.tls, self.http):
            each.close()

    def __enter__(self) -> "Sockets":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Maker:
    """The program that makes the sockets, started and waiting to be told where."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    async def make(self, pid: int) -> Sockets:
        """Make the sockets in the net namespace of a process, once its loopback is up. Once only.

        The caller sees to it that the process is the one it means, and has not let its program go.

        Args:
            pid: of a process in the namespace; the daemon owns it, or is root.

        Raises:
            NotEnforced: the namespace can't be joined, or is the daemon's own.
        """
        try:
            with _namespace(pid) as space:
                socket.send_fds(self._channel, [b"."], [space])
            async with asyncio.timeout(SECONDS):
                await readable(self._channel.fileno())
            return _received(self._channel)
        except TimeoutError as e:
            raise NotEnforced("the sockets of the egress were not made in time") from e
        except ConnectionError as e:
            raise NotEnforced("the program that makes the egress's sockets fell") from e


@contextlib.contextmanager
def maker() -> Iterator[Maker]:
    """Start the program: before the sandbox, so that the two start at the same time."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = _start(theirs)
        try:
            ours.settimeout(0)
            yield Maker(ours)
        finally:
            _end(process)


async def listen(pid: int) -> Sockets:
    """Start a maker and let it make, see `Maker.make`. Raises: NotEnforced."""
    with maker() as made:
        return await made.make(pid)


@contextlib.contextmanager
def _namespace(pid: int) -> Iterator[int]:
    """Open the net namespace of a process, if it is not our own."""
    try:
        number = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        raise NotEnforced(f"the sandbox's network can't be joined: {e.strerror}") from e
    try:
        there, here = os.fstat(number), Path("/proc/self/ns/net").stat()
        if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
            raise NotEnforced("the sandbox has no network namespace of its own")
        yield number
    finally:
        os.close(number)


def _start(channel: socket.socket) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - a program of ours; it starts in 1 ms
            [sys.executable, "-ISB", str(INSIDE), str(channel.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[channel.fileno()],
            env={},
            cwd="/",
        )
    except OSError as e:
        raise NotEnforced(f"the sockets of the egress can't be made: {e.strerror}") from e


def _end(process: subprocess.Popen[bytes]) -> None:
    """It has said what it had to, or is late: either way it ends now."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def _received(channel: socket.socket) -> Sockets:
    """Take the sockets off the channel. Raises: NotEnforced, with what the program said."""
    said, numbers, *_ = socket.recv_fds(channel, 1024, COUNT, socket.MSG_CMSG_CLOEXEC)
    made = [socket.socket(fileno=number) for number in numbers]
    if len(made) != COUNT:
        for each in made:
            each.close()
        why = said.decode(errors="replace") or "the program that makes them fell"
        raise NotEnforced(f"the sockets of the egress can't be made: {why}")
    for each in made:
        each.settimeout(0)
    return Sockets(*made)
