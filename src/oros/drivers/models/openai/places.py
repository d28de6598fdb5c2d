"""Which slot of a llama.cpp server each asker has: what it read last is still there. Pure.

Left to itself such a server takes the slot whose text begins most alike, so that of two processes
with the same system text one writes over what the other read. But with more askers than slots it
knows better: it puts the texts of its slots away and takes the best one back, unless it is told a
slot. And one whose slots share one cache empties a slot when another begins; that is seen by the
first asker who comes back to its own and finds nothing.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from oros.abi.grants import Usage

RECENT = 4
"""Calls a slot by which it is told how many askers there are."""


@dataclass(frozen=True, slots=True)
class Place:
    """A slot that is asked for. `back`: who asks was the last one there."""

    asker: str
    slot: int
    back: bool


@dataclass(slots=True)
class Places:
    """The slots of one server. `count` is 0 until it is known; `keeps`: a slot keeps its text."""

    count: int = 0
    keeps: bool = True
    _own: dict[str, int] = field(default_factory=dict)
    _busy: set[int] = field(default_factory=set)
    _read: set[str] = field(default_factory=set)
    _recent: deque[str] = field(default_factory=deque)

    def of(self, asker: str) -> int | None:
        """The slot that an asker has."""
        return self._own.get(asker) if asker else None

    @contextmanager
    def taken(self, asker: str) -> Iterator[Place | None]:
        """A slot for one request; None leaves it to the server."""
        place = self._place(asker)
        if place is None:
            self._own.clear()  # whose slot the server takes for it is not known
            self._read.clear()
            yield None
            return
        self._busy.add(place.slot)
        try:
            yield place
        finally:
            self._busy.discard(place.slot)

    def _place(self, asker: str) -> Place | None:
        self._recent.append(asker)
        while len(self._recent) > RECENT * self.count:
            self._recent.popleft()
        askers = set(self._recent)
        if not asker or not self.keeps or not 1 < self.count >= len(askers):
            return None
        if asker not in self._own:
            for old in [a for a in self._own if a not in askers]:
                self._own.pop(old)
                self._read.discard(old)
            free = set(range(self.count)) - set(self._own.values()) - self._busy
            if not free:
                return None
            self._own[asker] = min(free)
        slot = self._own[asker]
        return None if slot in self._busy else Place(asker, slot, asker in self._read)

    def seen(self, place: Place, used: Usage) -> None:
        """An answer is whole: what of its beginning was still there tells whether slots keep it."""
        if place.back and not used.cached:
            self.keeps = False
        if self._own.get(place.asker) == place.slot:
            self._read.add(place.asker)
