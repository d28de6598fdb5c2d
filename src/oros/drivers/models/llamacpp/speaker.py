"""Tokens of an answer as text: whole characters, and nothing that may be a stop string's beginning.

Pure.
"""

import codecs
from collections.abc import Sequence


class Speaker:
    """Says what an answer's tokens spell."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [s for s in stops if s]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.ended = False

    def take(self, piece: bytes) -> str:
        """What can be said after one more token; `ended` once a stop string came."""
        self._held += self._decoder.decode(piece)
        found = [at for s in self._stops if (at := self._held.find(s)) >= 0]
        if found:
            self.ended = True
            said, self._held = self._held[: min(found)], ""
            return said
        keep = max((begun(self._held, s) for s in self._stops), default=0)
        cut = len(self._held) - keep
        said, self._held = self._held[:cut], self._held[cut:]
        return said

    def rest(self) -> str:
        """What was held back, when the answer has ended."""
        said = self._held + ("" if self.ended else self._decoder.decode(b"", final=True))
        self._held = ""
        return said


def begun(text: str, stop: str) -> int:
    """How much of a stop string stands at a text's end."""
    for size in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
