"""Secrets on the way out: put in where they are meant for, taken out of what comes back.

A program never holds a secret: it writes `{{secret:NAME}}` in a header of a plain request, and
only what goes to a host of that secret's own gets the value, over TLS. An echo of it in the answer
is masked, length for length, so that nothing else of the answer changes.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from oros.abi.errors import AccessDenied
from oros.drivers.egress.netns.heads import Head

MARK = re.compile(r"\{\{secret:([a-z][a-z0-9_-]{0,63})\}\}")
LEAST = 8
"""Characters of a secret at least; shorter ones could not be told from other text."""

Secrets = Callable[[str], Mapping[str, str]]
"""The secrets that a host may be sent, by name. Raises: what reading them raises."""


def none(_: str) -> Mapping[str, str]:
    """No secrets."""
    return {}


def named(head: Head) -> list[str]:
    """The secrets that a request asks for, each once."""
    return list(dict.fromkeys(n for _, value in head.fields for n in MARK.findall(value)))


def filled(head: Head, host: str, known: Mapping[str, str]) -> Head:
    """The request with its secrets in its headers. Raises: AccessDenied for another's secret."""
    if MARK.search(head.target):
        raise AccessDenied("a secret stands in a header, never in an address")
    for name in named(head):
        if name not in known:
            raise AccessDenied(f"there is no secret {name} for {host}")
    fields = [
        (key, MARK.sub(lambda m: known[m[1]], value))
        for key, value in head.fields
        if key != "accept-encoding"  # packed, an echo could not be seen
    ]
    return replace(head, fields=(*fields, ("accept-encoding", "identity")))


class Mask:
    """Takes secrets out of a stream: feeds on pieces, gives what is safe to pass on."""

    def __init__(self, values: Mapping[str, str]) -> None:
        forms = {form for value in values.values() for form in shapes(value)}
        self._forms = sorted((f for f in forms if len(f) >= LEAST), key=len, reverse=True)
        self._hold = max((len(f) for f in self._forms), default=1) - 1
        self._rest = b""

    def feed(self, piece: bytes, *, last: bool = False) -> bytes:
        """What can go on; the end of a piece waits for the next, as it may begin a secret."""
        text = self._rest + piece
        for form in self._forms:
            text = text.replace(form, b"*" * len(form))
        keep = 0 if last else min(self._hold, len(text))
        self._rest = text[len(text) - keep :]
        return text[: len(text) - keep]


def shapes(value: str) -> set[bytes]:
    """How a value may come back: as it is, and as the user:password of basic authorisation."""
    import base64

    raw = value.encode()
    return {raw, base64.b64encode(raw), base64.b64encode(raw).rstrip(b"=")}
