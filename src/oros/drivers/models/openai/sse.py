"""Server-sent events from bytes: the parser of a stream (WHATWG HTML, 9.2.6).

Takes bytes as they come, in any pieces; gives the data of whole events. Knows no HTTP and no JSON.
"""

from oros.abi.errors import BadReply

LONGEST = 4 << 20
"""Bytes of an event at most; no honest server sends more."""


class Events:
    """Feeds on bytes, gives the data of each event that is whole."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that end in this piece. Raises: BadReply for an endless line."""
        text = self._rest + piece if self._rest else piece
        lines = text.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST:
            raise BadReply("the server sent a line without an end")
        found: list[bytes] = []
        for raw in lines:
            line = raw[:-1] if raw[-1:] == b"\r" else raw
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
        return bool(self._rest.strip() or self._data)
