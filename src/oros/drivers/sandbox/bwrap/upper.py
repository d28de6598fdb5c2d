"""Takes over the upper folder of an overlay from the stage that makes it.

The descriptor waits in a socket until the job is over: whatever happens before, it goes with the
socket, and nobody has to think of it. The program inside never has the other end.
"""

import contextlib
import socket
from collections.abc import Iterator

from oros.abi.errors import DeviceFailed


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

    def take(self) -> int:
        """The upper folder, now the caller's to close. Raises: DeviceFailed (it did not come)."""
        flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        try:
            _, numbers, _, _ = socket.recv_fds(self._here, 1, 1, flags)
        except BlockingIOError:
            numbers = []
        if len(numbers) != 1:
            raise DeviceFailed("the sandbox did not hand over what was changed")
        return numbers[0]


@contextlib.contextmanager
def channel() -> Iterator[Channel]:
    """Open one; a folder that was not taken is gone at the end."""
    here, there = socket.socketpair()
    with here, there:
        yield Channel(here, there)
