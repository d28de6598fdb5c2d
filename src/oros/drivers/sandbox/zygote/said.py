"""What the cells of an interpreter print: two pipes, watched while a cell runs, in bounded memory.

Between two cells nobody reads: a thread that prints on fills a pipe (64 KiB) and waits. What it
wrote until then is told apart, as `late`.
"""

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import Callable

from oros.abi.cells import OnOutput, Stream

CHUNK = 1 << 16


class Kept:
    """The two ends of a stream, at most `limit` bytes in all, and how much is gone between them."""

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._head, self._tail = bytearray(), bytearray()
        self._total = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        self._total += len(data)
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[max(0, room) :]
        if len(self._tail) > 2 * self._half + CHUNK:
            self._trim()

    def _trim(self) -> None:
        del self._tail[: max(0, len(self._tail) - self._half)]

    def taken(self) -> tuple[bytes, int]:
        """What is kept, and how many bytes are not."""
        self._trim()
        held = bytes(self._head + self._tail)
        return held, self._total - len(held)


class Said:
    """The output of one cell, while it runs."""

    def __init__(
        self, limit: int, flood: int, on_flood: Callable[[], None], on_output: OnOutput | None
    ) -> None:
        self.kept: dict[Stream, Kept] = {"out": Kept(limit), "err": Kept(limit)}
        self._left = flood
        self._on_flood, self._on_output = on_flood, on_output

    def add(self, stream: Stream, data: bytes) -> None:
        """Take some; over the flood's limit it is counted, and told once."""
        self.kept[stream].add(data)
        if self._left < 0:
            return
        self._left -= len(data)
        if self._left < 0:
            self._on_flood()
        elif self._on_output is not None:
            self._on_output(stream, data)


class Ears:
    """The reading ends of both pipes, which it owns."""

    def __init__(self, out: int, err: int) -> None:
        self._pipes: dict[Stream, int] = {"out": out, "err": err}
        self._watched: set[Stream] = set()
        for number in (out, err):
            os.set_blocking(number, False)

    def late(self) -> bytes:
        """What was written since the last cell."""
        return b"".join(self._waiting(stream) for stream in self._pipes)

    def listen(self, said: Said) -> None:
        """Begin to pass output on."""
        loop = asyncio.get_running_loop()
        for stream, number in self._pipes.items():
            loop.add_reader(number, self._read, stream, said)
            self._watched.add(stream)

    def finish(self, said: Said) -> None:
        """Pass on what is in the pipes now, and stop."""
        self.ignore()
        for stream in self._pipes:
            if data := self._waiting(stream):
                said.add(stream, data)

    def ignore(self) -> None:
        """Stop."""
        loop = asyncio.get_running_loop()
        for stream in self._watched:
            loop.remove_reader(self._pipes[stream])
        self._watched.clear()

    def close(self) -> None:
        """Close both."""
        self.ignore()
        for number in self._pipes.values():
            os.close(number)
        self._pipes.clear()

    def _read(self, stream: Stream, said: Said) -> None:
        try:
            data = os.read(self._pipes[stream], CHUNK)
        except BlockingIOError:
            return
        if data:
            said.add(stream, data)
        else:
            asyncio.get_running_loop().remove_reader(self._pipes[stream])
            self._watched.discard(stream)

    def _waiting(self, stream: Stream) -> bytes:
        number, pieces = self._pipes[stream], list[bytes]()
        answer = fcntl.ioctl(number, termios.FIONREAD, b"\0" * 4)
        left = struct.unpack("i", answer)[0]
        while left > 0:
            pieces.append(os.read(number, left))
            left -= len(pieces[-1])
            if not pieces[-1]:
                break
        return b"".join(pieces)
