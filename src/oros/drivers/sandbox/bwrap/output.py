"""What a program says, in bounded memory: the head and the tail are kept, the flood is stopped."""

import asyncio
from collections.abc import Callable
from typing import Literal

Stream = Literal["out", "err"]
Spool = Callable[[Stream, bytes], None]
CHUNK = 1 << 16


class Keeper:
    """The first `limit - limit // 2` and the last `limit // 2` bytes of a stream."""

    def __init__(self, limit: int) -> None:
        self._head_room = limit - limit // 2
        self._tail_room = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        self._total += len(data)
        room = self._head_room - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * self._tail_room + CHUNK:
            self._trim()

    def _trim(self) -> None:
        del self._tail[: max(0, len(self._tail) - self._tail_room)]

    @property
    def kept(self) -> bytes:
        """Head and tail, at most `limit` bytes; the cut, if any, is between them."""
        self._trim()
        return bytes(self._head + self._tail)

    @property
    def cut(self) -> int:
        """How many bytes are not in `kept`."""
        return self._total - len(self.kept)


class Meter:
    """Counts the bytes of both streams, passes them on, and calls `stop` once at the limit."""

    def __init__(self, limit: int, stop: Callable[[], None], spool: Spool | None) -> None:
        self._left = limit
        self._stop = stop
        self._spool = spool

    def pass_on(self, stream: Stream, data: bytes) -> bytes:
        """Count; what is over the limit is dropped."""
        taken = data[: self._left]
        self._left -= len(taken)
        if len(taken) < len(data):
            self._stop()
        if self._spool is not None and taken:
            self._spool(stream, taken)
        return taken


async def drain(stream: Stream, reader: asyncio.StreamReader, keeper: Keeper, meter: Meter) -> None:
    """Read to the end; the end comes when the last process that holds the pipe is dead."""
    while data := await reader.read(CHUNK):
        keeper.add(meter.pass_on(stream, data))
