"""The first words of a TLS client: which server it names (RFC 8446, 4.1.2; RFC 6066, 3). Pure.

Read whole and strictly: every length must fit exactly, and what could be read two ways is refused.
It checks no cryptography and knows no policy.
"""

from dataclasses import dataclass

from oros.abi.errors import BadReply

RECORD, HANDSHAKE, CLIENT_HELLO, SERVER_NAME, HOST_NAME = 5, 22, 1, 0, 0
MOST_RECORD = 1 << 14
ALERT_DENIED = bytes((21, 3, 1, 0, 2, 2, 49))
"""A fatal `access_denied`, so that the program inside reads a reason."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The bytes of a ClientHello with its records, and the name in it, if any."""

    raw: bytes
    name: str | None


class Cursor:
    """Takes bytes off the front. Raises: BadReply, where there are too few."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        """Bytes that are left."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if size > self.left:
            raise BadReply("the TLS greeting ends too early")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        """A big-endian number of so many bytes."""
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> "Cursor":
        """What a length of `size` bytes stands before."""
        return Cursor(self.take(self.number(size)))

    def end(self) -> None:
        """Demand that nothing is left."""
        if self.left:
            raise BadReply("the TLS greeting is longer than it says")


def record(head: bytes) -> int:
    """The length of the record that these five bytes begin. Raises: BadReply."""
    size = int.from_bytes(head[3:5], "big")
    if len(head) != RECORD or head[0] != HANDSHAKE or head[1] != 3:
        raise BadReply("this is not TLS")
    if not 0 < size <= MOST_RECORD:
        raise BadReply("a TLS record of a wrong size")
    return size


def whole(messages: bytes) -> int | None:
    """How many bytes the first handshake message needs; None: too few to tell."""
    if messages and messages[0] != CLIENT_HELLO:
        raise BadReply("this is no TLS client's greeting")
    return 4 + int.from_bytes(messages[1:4], "big") if len(messages) >= 4 else None


def server_name(message: bytes) -> str | None:
    """The name that a whole ClientHello asks for; None without one. Raises: BadReply."""
    cursor = Cursor(message)
    if cursor.number(1) != CLIENT_HELLO:
        raise BadReply("this is no TLS client's greeting")
    body = cursor.vector(3)
    cursor.end()
    body.take(2 + 32)  # version, random
    for size in (1, 2, 1):  # session, ciphers, compressions
        body.vector(size)
    if not body.left:
        return None
    extensions = body.vector(2)
    body.end()
    found: dict[int, Cursor] = {}
    while extensions.left:
        kind = extensions.number(2)
        if kind in found:
            raise BadReply("the TLS greeting says a thing twice")
        found[kind] = extensions.vector(2)
    return _host(found[SERVER_NAME]) if SERVER_NAME in found else None


def _host(extension: Cursor) -> str:
    names = extension.vector(2)
    extension.end()
    kind, host = names.number(1), names.vector(2)
    names.end()
    if kind != HOST_NAME or not host.left:
        raise BadReply("the TLS greeting names no one host")
    try:
        return host.take(host.left).decode("ascii")
    except UnicodeDecodeError as e:
        raise BadReply("the TLS greeting names no host") from e
