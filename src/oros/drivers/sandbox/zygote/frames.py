"""The outer half of a warm interpreter's channel: frames to and from somebody who may lie.

What comes from inside is the word of a program that may do as it likes, so sizes are bounded before
they are believed, and what is no frame ends the conversation.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from oros.abi.errors import BadReply

MOST_HEADER = 1 << 20
MOST_BYTES = 32 << 20

Header = dict[str, Any]


class Frames:
    """Frames over a socket, which it owns."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, sock: socket.socket) -> "Frames":
        """Take a connected socket."""
        return cls(*await asyncio.open_unix_connection(sock=sock))

    async def send(self, header: Mapping[str, object], blob: bytes) -> None:
        """Send a frame with one blob; to somebody who is gone, too."""
        text = json.dumps({**header, "sizes": [len(blob)]}).encode()
        self._writer.write(b"".join((struct.pack(">I", len(text)), text, blob)))
        try:
            await self._writer.drain()
        except OSError:
            return  # that it is gone is told by `receive`

    async def receive(self) -> tuple[Header, Sequence[bytes]] | None:
        """The next frame; None at the end. Raises: BadReply (it is no frame)."""
        try:
            size = struct.unpack(">I", await self._reader.readexactly(4))[0]
            if size > MOST_HEADER:
                raise BadReply("an interpreter sent a header that is too long")
            header = json.loads(await self._reader.readexactly(size))
            sizes = header["sizes"]
            if any(type(n) is not int or n < 0 for n in sizes) or sum(sizes) > MOST_BYTES:
                raise BadReply("an interpreter sent too much")
            return header, [await self._reader.readexactly(n) for n in sizes]
        except (asyncio.IncompleteReadError, OSError):
            return None
        except (ValueError, KeyError, TypeError, RecursionError) as e:
            raise BadReply("an interpreter sent what is no frame") from e

    def close(self) -> None:
        """Close the socket."""
        self._writer.close()
