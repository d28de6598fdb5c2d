"""Tokens of an answer as text: whole characters, up to a stop string. Pure."""

import codecs
from collections.abc import Sequence

from oros.drivers.stops import Stops


class Speaker:
    """Says what an answer's tokens spell."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = Stops(stops)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def ended(self) -> bool:
        """Whether a stop string came."""
        return self._stops.hit

    def take(self, piece: bytes) -> str:
        """What can be said after one more token."""
        return self._stops.feed(self._decoder.decode(piece))

    def rest(self) -> str:
        """What was held back, when the answer has ended."""
        return self._stops.feed(self._decoder.decode(b"", final=True)) + self._stops.rest()
