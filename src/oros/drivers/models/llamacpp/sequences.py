"""Which sequences the model's cache holds: shared beginnings are held once, the idle make room.

Pure but for the five acts of an engine: it is tested without a library.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from oros.drivers.models.llamacpp.kept import Entry, Kept, shared

WORTH = 32
"""Tokens of its own from which on a sequence is put away rather than read again."""


class Sequences(Protocol):
    """What an engine does with sequences, by their numbers."""

    def copy(self, source: int, target: int, size: int) -> None:
        """Share the first `size` tokens."""

    def cut(self, seq: int, size: int) -> bool:
        """Forget all after the first `size`; False if it can't."""

    def drop(self, seq: int) -> None:
        """Forget it."""

    def save(self, seq: int) -> bytes:
        """Its state."""

    def load(self, seq: int, state: bytes) -> bool:
        """Have a saved state; False if it does not fit."""


class Cells:
    """The cells of a cache, each held by one sequence or shared by several."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._uses: Counter[int] = Counter()
        self._next = 0

    @property
    def free(self) -> int:
        """Cells that nobody holds."""
        return self.size - len(self._uses)

    def take(self, count: int) -> list[int]:
        """Hold cells that were free."""
        found = list(range(self._next, self._next + count))
        self._next += count
        self._uses.update(found)
        return found

    def share(self, cells: Sequence[int]) -> None:
        """Hold cells that others hold, too."""
        self._uses.update(cells)

    def give(self, cells: Sequence[int]) -> None:
        """Let go of cells."""
        self._uses.subtract(cells)
        for cell in cells:
            if not self._uses[cell]:
                del self._uses[cell]

    def own(self, cells: Sequence[int]) -> int:
        """How many of them nobody else holds."""
        return sum(self._uses[c] == 1 for c in cells)


@dataclass(eq=False, slots=True)
class Held:
    """A sequence in the cache: `tokens` are what its cells hold, in order."""

    seq: int
    owner: str
    tokens: list[int] = field(default_factory=list)
    cells: list[int] = field(default_factory=list, repr=False)
    used: int = 0
    busy: bool = True


class Cache:
    """The sequences of one engine."""

    def __init__(self, engine: Sequences, cells: int, sequences: int, kept: Kept) -> None:
        self._engine, self._kept = engine, kept
        self.cells = Cells(cells)
        self._numbers = list(range(sequences))
        self._held: list[Held] = []
        self._tick = 0

    @property
    def held(self) -> Sequence[Held]:
        """All sequences in the cache."""
        return tuple(self._held)

    def needs(self, tokens: Sequence[int]) -> int:
        """Cells for these tokens beyond those of sequences that stay."""
        busy = (shared(h.tokens, tokens) for h in self._held if h.busy)
        return len(tokens) - max(busy, default=0)

    def open(self, owner: str, tokens: list[int]) -> Held | None:
        """A sequence for these tokens that holds as long a beginning as is known anywhere.

        At least the last token is left to read, as the answer comes from there. None: all numbers
        are busy.
        """
        most = len(tokens) - 1
        best = max(self._held, key=lambda h: min(most, shared(h.tokens, tokens)), default=None)
        size = min(most, shared(best.tokens, tokens)) if best else 0
        entry, away = self._kept.best(tokens)
        if entry is not None and min(away, most) > size:
            found = self._loaded(entry, owner)
            if found is not None:
                return self._cut(found, min(away, most))
        if best is None or not size or best not in self._held:
            return self._fresh(owner)
        if not best.busy and best.owner == owner and 2 * size >= len(best.tokens):
            best.busy = True
            return self._cut(best, size)
        return self._copied(best, owner, size)

    def _fresh(self, owner: str, sparing: Held | None = None) -> Held | None:
        if not self._numbers and not self._evict(sparing):
            return None
        held = Held(self._numbers.pop(), owner)
        self._held.append(held)
        return held

    def _copied(self, source: Held, owner: str, size: int) -> Held | None:
        held = self._fresh(owner, source)
        if held is not None:
            self._engine.copy(source.seq, held.seq, size)
            held.tokens, held.cells = source.tokens[:size], source.cells[:size]
            self.cells.share(held.cells)
        return held

    def _loaded(self, entry: Entry, owner: str) -> Held | None:
        """A put-away sequence, back in the cache; None if it can't be had."""
        tokens, mine = list(entry.tokens), entry.owner == owner and bool(owner)
        state = self._kept.read(entry) if self.room(len(tokens)) else None
        if state is None:
            return None
        held = self._fresh(owner)
        if held is None:
            return None
        if not self._engine.load(held.seq, state):
            self._kept.forget(entry)
            self.drop(held)
            return None
        held.tokens, held.cells = tokens, self.cells.take(len(tokens))
        if mine:
            self._kept.forget(entry)
        return held

    def _cut(self, held: Held, size: int) -> Held:
        if size < len(held.tokens) and not self._engine.cut(held.seq, size):
            self._engine.drop(held.seq)
            size = 0
        self.cells.give(held.cells[size:])
        del held.tokens[size:], held.cells[size:]
        return held

    def grow(self, held: Held, tokens: Sequence[int]) -> None:
        """Tokens were computed into it."""
        held.tokens += tokens
        held.cells += self.cells.take(len(tokens))

    def close(self, held: Held) -> None:
        """Nobody computes it now; it stays as long as there is room."""
        held.busy = False
        self._tick += 1
        held.used = self._tick

    def room(self, count: int) -> bool:
        """Have so many free cells; idle sequences go, the longest unused first."""
        while self.cells.free < count:
            if not self._evict(None):
                return False
        return True

    def reach(self) -> int:
        """Cells that are free once all idle sequences are gone."""
        busy = {cell for h in self._held if h.busy for cell in h.cells}
        return self.cells.size - len(busy)

    def _evict(self, sparing: Held | None) -> bool:
        idle = [h for h in self._held if not h.busy and h is not sparing]
        if not idle:
            return False
        self.park(min(idle, key=lambda h: h.used))
        return True

    def park(self, held: Held) -> None:
        """Out of the cache; put away if reading it again would cost more."""
        if self.cells.own(held.cells) >= WORTH:
            self._kept.put(list(held.tokens), held.owner, self._engine.save(held.seq))
        self.drop(held)

    def keep(self, held: Held) -> None:
        """Write it down for workers to come."""
        self._kept.write(list(held.tokens), self._engine.save(held.seq))

    def drop(self, held: Held) -> None:
        """Out of the cache."""
        self._engine.drop(held.seq)
        self.cells.give(held.cells)
        self._held.remove(held)
        self._numbers.append(held.seq)
