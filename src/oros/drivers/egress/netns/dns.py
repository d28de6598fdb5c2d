"""DNS messages, as far as a stub resolver asks and we answer (RFC 1035). Pure.

A query is read whole or refused; compression has no place in a question, so none is followed.
What follows the question (EDNS, RFC 6891) is not looked at: we answer as a server without it.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from oros.abi.errors import BadReply

HEADER = struct.Struct("!HHHHHH")
FIXED = struct.Struct("!HH")
LONGEST = 512
"""Bytes of a message over UDP without EDNS; a longer one is not answered."""

A, AAAA, IN = 1, 28, 1
NO_ERROR, FORMAT, NO_NAME, NOT_DONE, REFUSED = 0, 1, 3, 4, 5
RESPONSE, OPCODE, WANTED, AVAILABLE = 0x8000, 0x7800, 0x0100, 0x0080
ALIVE = 60  # seconds that an answer may be kept
SIGNS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@dataclass(frozen=True, slots=True)
class Query:
    """One question. `raw` is the question as it was sent: an answer repeats it to the letter.

    `name` is "" where it has signs that no host has; then `raw` is good all the same.
    """

    id: int
    flags: int
    name: str
    kind: int
    family: int
    raw: bytes


def number(packet: bytes) -> int | None:
    """The id of what may be a query; None for what must not be answered at all."""
    if not HEADER.size <= len(packet) <= LONGEST:
        return None
    found, flags, *_ = HEADER.unpack_from(packet)
    return None if flags & RESPONSE else int(found)


def parse(packet: bytes) -> Query:
    """Read a query that has a `number`. Raises: BadReply, if it is no single whole question."""
    found, flags, questions, answers, *_ = HEADER.unpack_from(packet)
    if questions != 1 or answers:
        raise BadReply("not one question")
    labels, at = _labels(packet, HEADER.size)
    if at + FIXED.size > len(packet):
        raise BadReply("a question without its end")
    kind, family = FIXED.unpack_from(packet, at)
    plain = all(SIGNS.issuperset(label) for label in labels)
    name = b".".join(labels).decode("ascii") if plain else ""
    return Query(found, flags, name, kind, family, packet[HEADER.size : at + FIXED.size])


def _labels(packet: bytes, at: int) -> tuple[list[bytes], int]:
    """The labels of a name and where it ends."""
    labels: list[bytes] = []
    start = at
    while True:
        if at >= len(packet):
            raise BadReply("a name without its end")
        size = packet[at]
        at += 1
        if size == 0:
            return labels, at
        if size > 63 or at + size > len(packet) or at + size - start > 254:
            raise BadReply("a label or name that is too long")
        labels.append(packet[at : at + size])
        at += size


def reply(query: Query, code: int, address: IPv4Address | None = None) -> bytes:
    """An answer: an error code, nothing, or one address."""
    flags = RESPONSE | (query.flags & (OPCODE | WANTED)) | AVAILABLE | code
    head = HEADER.pack(query.id, flags, 1, int(address is not None), 0, 0)
    if address is None:
        return head + query.raw
    # the name is a pointer to the question's
    record = struct.pack("!HHHIH", 0xC000 | HEADER.size, A, IN, ALIVE, 4) + address.packed
    return head + query.raw + record


def malformed(found: int) -> bytes:
    """The answer to a query that could not be read."""
    return HEADER.pack(found, RESPONSE | AVAILABLE | FORMAT, 0, 0, 0, 0)
