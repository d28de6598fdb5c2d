"""Frames of a stream from bytes as they come: server-sent events, lines of JSON.

Takes bytes in any pieces; gives whole frames. Knows no HTTP and no JSON. Events are those of
WHATWG HTML, 9.2.6.
"""

from typing import Protocol

from oros.abi.errors import BadReply

LONGEST = 4 << 20
"""Bytes of a frame at most; no honest server sends more."""


class Frames(Protocol):
    """Feeds on bytes, gives frames."""

    def feed(self, piece: bytes) -> list[bytes]:
        """The frames that end in this piece. Raises: BadReply for one without an end."""


class Lines:
    """Feeds on bytes, gives each line that is whole and not blank."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that end in this piece. Raises: BadReply for an endless line."""
        return [line for line in self._lines(piece) if line]

    def _lines(self, piece: bytes) -> list[bytes]:
        text = self._rest + piece if self._rest else piece
        lines = text.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST:
            raise BadReply("the server sent a line without an end")
        return [line[:-1] if line[-1:] == b"\r" else line for line in lines]

    @property
    def begun(self) -> bool:
        """Whether a line was cut off."""
        return bool(self._rest.strip())


class Events(Lines):
    """Feeds on bytes, gives the data of each event that is whole."""

    def __init__(self) -> None:
        super().__init__()
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that end in this piece. Raises: BadReply for an endless line."""
        found: list[bytes] = []
        for line in self._lines(piece):
            if line[:6] == b"data: ":
                self._data.append(line[6:])
            elif line[:5] == b"data:":
                self._data.append(line[5:])
            elif not line and self._data:
                found.append(b"\n".join(self._data))
                self._data = []
        return found

    @property
    def begun(self) -> bool:
        """Whether an event was cut off."""
        return super().begun or bool(self._data)
