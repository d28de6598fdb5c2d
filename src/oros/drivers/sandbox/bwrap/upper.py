"""Takes over the upper folder of an overlay from the stage that makes it.

The descriptors wait in a socket until the job is over: whatever happens before, they go with the
socket, and nobody has to think of them. The program inside never has the other end.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Literal

from oros.abi.errors import DeviceFailed
from oros.drivers.descriptors import readable
from oros.drivers.sandbox.bwrap import copied, marks

Backend = Literal["overlayfs", "fuse-overlayfs", "copy"]
"""What makes a folder copy-on-write, the best first."""

SENT: dict[Backend, int] = {"overlayfs": 1, "fuse-overlayfs": 2, "copy": 2}


class Channel:
    """A pair of sockets; `number` is the end that the stage inherits."""

    def __init__(self, here: socket.socket, there: socket.socket) -> None:
        self._here, self._there = here, there

    @property
    def number(self) -> int:
        """A descriptor, open until `sent`."""
        return self._there.fileno()

    def sent(self) -> None:
        """Let go of the stage's end, which is started."""
        self._there.close()

    async def take(self, backend: Backend, layers: Sequence[str]) -> int:
        """The upper folder in overlayfs's own form, now the caller's to close.

        Args:
            backend: what made it; all that was started in the sandbox is dead.
            layers: the folders of the host that were below it, the topmost first.

        Raises: DeviceFailed (it did not come, or can't be brought into that form).
        """
        flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        numbers: list[int] = []
        with contextlib.suppress(BlockingIOError):
            _, numbers, _, _ = socket.recv_fds(self._here, 1, 2, flags)
        with contextlib.ExitStack() as stack:
            for number in numbers:
                stack.callback(os.close, number)
            if len(numbers) != SENT[backend]:
                raise DeviceFailed("the sandbox did not hand over what was changed")
            try:
                if backend == "fuse-overlayfs":
                    await readable(numbers[1])  # its server is dead
                    await asyncio.to_thread(marks.translate, numbers[0], layers)
                elif backend == "copy":
                    await asyncio.to_thread(copied.cut, *numbers)
            except OSError as e:
                why = f"what was changed can't be told from what was there: {e.strerror}"
                raise DeviceFailed(why) from e
            return os.dup(numbers[0])


@contextlib.contextmanager
def channel() -> Iterator[Channel]:
    """Open one; a folder that was not taken is gone at the end."""
    here, there = socket.socketpair()
    with here, there:
        yield Channel(here, there)
